import { CryptoTensorsError, argumentError, looksSecret } from '../../errors.js';
import { named, say } from '../../wording.js';

/** A name for the registry. @throws TypeError, InvalidOption */
export function checkProviderName(value: unknown): void {
  if (value === undefined) return;
  if (typeof value !== 'string' || value === '') {
    throw argumentError('options.name', 'a string that is not empty', value);
  }
  refuseSecretName(value, 'options.name');
}

/** A provider's name is in messages and in what a ring shows of itself: what could be a key is none. @throws InvalidOption */
export function refuseSecretName(name: string, label: string): void {
  if (!looksSecret(name)) return;
  throw new CryptoTensorsError(
    'InvalidOption',
    say`${named(label)} is shown in messages, and this text of ${name.length} characters, not shown, could be a key: choose a name in words`,
  );
}
