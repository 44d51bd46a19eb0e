import type { KeyName } from './types.js';

/**
 * What a key may still be used for.
 *
 * - `active`: for everything.
 * - `decrypt-only`: on its way out. A master key opens files but encrypts none; a signing key verifies but does not sign.
 * - `revoked`: for nothing. A file that names it is refused with `KeyRevoked`.
 */
export type KeyState = 'active' | 'decrypt-only' | 'revoked';

/** From the least strict to the strictest. */
export const KEY_STATES: readonly KeyState[] = ['active', 'decrypt-only', 'revoked'];

/** A key with a state of its own. */
export interface StatedKey extends KeyName {
  readonly state: KeyState;
  /** Name of the provider that gave it when it was looked up; absent for a key that the caller gave. */
  readonly provider?: string;
}

export function isKeyState(value: string): value is KeyState {
  return (KEY_STATES as readonly string[]).includes(value);
}

/** The stricter of two. */
export function stricterState(a: KeyState, b: KeyState): KeyState {
  return KEY_STATES.indexOf(a) > KEY_STATES.indexOf(b) ? a : b;
}

/**
 * The state that holds for a key among others: the strictest that any key of its name has, so that a revocation counts
 * wherever in the set it stands, and cannot be undone by listing the key once more.
 */
export function statesAmong(keys: readonly StatedKey[]): (key: StatedKey) => KeyState {
  const marked = keys.filter(({ state }) => state !== 'active');
  return (key) =>
    marked.reduce((state, other) => (sameName(key, other) ? stricterState(state, other.state) : state), key.state);
}

/** Whether each of two keys of one kid has a `jku` of its own. */
export function toldApart(a: KeyName, b: KeyName): boolean {
  return a.jku !== null && b.jku !== null && a.jku !== b.jku;
}

function sameName(a: KeyName, b: KeyName): boolean {
  return a.kid !== null && a.kid === b.kid && !toldApart(a, b);
}
