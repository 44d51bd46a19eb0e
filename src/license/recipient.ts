import { CryptoTensorsError, inputDetail, quote, quoteInput } from '../errors.js';
import type { Engine } from '../engine/types.js';
import { openKeyRing } from '../keys/load.js';
import { ringContents } from '../keys/keyring.js';
import { statesAmong } from '../keys/state.js';
import type { RecipientKey } from '../keys/types.js';
import type { Twin } from '../twin.js';
import type { LicenseOptions } from './options.js';
import { option, say } from '../wording.js';

/**
 * The one key that a licence is issued to. A private part that comes along is not kept.
 *
 * @throws TypeError, InvalidKey, FileError, KeyNotFound, KeyRevoked; InvalidOption if it is not clear which
 */
export function* openRecipient({ to, toKid }: LicenseOptions, engine: Engine): Twin<RecipientKey> {
  const ring = yield* openKeyRing(to, engine, 'options.to');
  try {
    return chooseRecipient(ringContents(ring).recipientKeys, toKid);
  } finally {
    ring.dispose();
  }
}

function chooseRecipient(keys: readonly RecipientKey[], name: string | undefined): RecipientKey {
  const stateOf = statesAmong(keys);
  const named = keys.filter(({ kid, thumbprint }) => name === undefined || kid === name || thumbprint === name);
  const [key, ...others] = named.filter((candidate) => stateOf(candidate) === 'active');
  if (others.length > 0) {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`${option('to')} holds ${others.length + 1} recipient keys, and a licence is for one: choose it by ${option('toKid')}`,
    );
  }
  if (key !== undefined) return { ...key, secret: null };
  const retired = named[0];
  if (retired !== undefined) {
    throw new CryptoTensorsError(
      stateOf(retired) === 'revoked' ? 'KeyRevoked' : 'KeyNotFound',
      `the recipient key ${quote(retired.kid ?? retired.thumbprint)} is ${stateOf(retired)}: no licence is issued to it any more. Ask the customer for a new key`,
      { kid: retired.kid },
    );
  }
  throw new CryptoTensorsError(
    'KeyNotFound',
    say`${option('to')} holds no recipient key${name === undefined ? '' : ` ${quoteInput(name)}`}: it must be the customer's public X25519 or P-256 key, as \`cryptotensors keygen --recipient --public\` writes it`,
    inputDetail('kid', name ?? null),
  );
}
