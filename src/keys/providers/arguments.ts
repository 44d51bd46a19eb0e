import { argumentError } from '../../errors.js';

/** A name for the registry. @throws TypeError */
export function checkProviderName(value: unknown): void {
  if (value === undefined || (typeof value === 'string' && value !== '')) return;
  throw argumentError('options.name', 'a string that is not empty', value);
}
