import type { KeyName, KeyState, StatedKey } from './types.js';

/** From the least strict to the strictest. */
export const KEY_STATES: readonly KeyState[] = ['active', 'decrypt-only', 'revoked'];

export function isKeyState(value: string): value is KeyState {
  return (KEY_STATES as readonly string[]).includes(value);
}

/** The stricter of two. */
export function stricterState(a: KeyState, b: KeyState): KeyState {
  return KEY_STATES.indexOf(a) > KEY_STATES.indexOf(b) ? a : b;
}

/**
 * The state that holds for a key among others: the strictest that any key of its name or of its public part has, so that a
 * revocation counts wherever in the set it stands, and cannot be undone by listing the key once more, under whatever name.
 */
export function statesAmong(keys: readonly StatedKey[]): (key: StatedKey) => KeyState {
  const marked = keys.filter(({ state }) => state !== 'active');
  return (key) =>
    marked.reduce(
      (state, other) =>
        sameName(key, other) || samePublicPart(key, other) ? stricterState(state, other.state) : state,
      key.state,
    );
}

/** Whether each of two keys of one kid has a `jku` of its own. */
export function toldApart(a: KeyName, b: KeyName): boolean {
  return a.jku !== null && b.jku !== null && a.jku !== b.jku;
}

function sameName(a: KeyName, b: KeyName): boolean {
  return a.kid !== null && a.kid === b.kid && !toldApart(a, b);
}

/** A public key is the same whatever it is called. Those of two kinds of keys are never listed together. */
function samePublicPart({ publicKey: a }: StatedKey, { publicKey: b }: StatedKey): boolean {
  return a !== undefined && b !== undefined && Buffer.compare(a, b) === 0;
}
