import { quote } from '../errors.js';
import type { KeyName } from './types.js';

/** More names than this in one message help nobody. */
const MAX_NAMES = 8;

/** The kids of keys, for messages. */
export function describeKids(keys: readonly Pick<KeyName, 'kid'>[]): string {
  return describeNames(keys.map(({ kid }) => kid));
}

export function describeNames(names: readonly (string | null)[]): string {
  if (names.length === 0) return 'none';
  const shown = names.slice(0, MAX_NAMES).map((name) => (name === null ? '(no kid)' : quote(name)));
  if (names.length > MAX_NAMES) shown.push(`${names.length - MAX_NAMES} more`);
  return shown.join(', ');
}
