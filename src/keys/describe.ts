import { quote } from '../errors.js';
import type { StatedKey } from './types.js';

/** More names than this in one message help nobody. */
const MAX_NAMES = 8;

/** The kids of keys, for messages, with their states where those are not `active`. */
export function describeKids(keys: readonly Pick<StatedKey, 'kid' | 'state'>[]): string {
  return list(keys, ({ kid, state }) => {
    const name = kid === null ? '(no kid)' : quote(kid);
    return state === 'active' ? name : `${name} (${state})`;
  });
}

export function describeNames(names: readonly string[]): string {
  return list(names, quote);
}

function list<Item>(items: readonly Item[], describe: (item: Item) => string): string {
  if (items.length === 0) return 'none';
  const shown = items.slice(0, MAX_NAMES).map(describe);
  if (items.length > MAX_NAMES) shown.push(`${items.length - MAX_NAMES} more`);
  return shown.join(', ');
}
