import type { Engine, Secret } from '../engine/types.js';
import { createKeyRing } from './keyring.js';
import type { KeyRing } from './keyring.js';
import type { KeySelector } from './providers/types.js';
import { publicHalf } from './trust.js';
import type { LoadedKeys } from './types.js';

/**
 * A ring of its own with the keys that a selector asks for, by role and name. Secrets are copied, except those that `take`
 * hands over. Keys that only verify come without their private parts.
 */
export function selectedKeys(
  { masterKeys, signingKeys, recipientKeys }: LoadedKeys,
  selector: KeySelector | null,
  engine: Engine,
  take: (secret: Secret) => boolean = () => false,
): KeyRing {
  const owned: Secret[] = [];
  const own = (secret: Secret): Secret => {
    const mine = take(secret) ? secret : copySecret(secret, engine);
    owned.push(mine);
    return mine;
  };
  // A key without a name is tried whatever the name that is asked for.
  const named = ({ kid }: { kid: string | null }): boolean =>
    selector?.kid == null || kid === null || kid === selector.kid;
  const meant = ({ thumbprint }: { thumbprint: string }): boolean =>
    selector?.kid == null || thumbprint === selector.kid;
  const role = selector?.role;
  try {
    const masters = role === undefined || role === 'master' ? masterKeys.filter(named) : [];
    const signers = role === 'master' || role === 'recipient' ? [] : signingKeys.filter(named);
    const recipients = role === undefined || role === 'recipient' ? recipientKeys.filter(meant) : [];
    return createKeyRing({
      masterKeys: masters.map((key) => ({ ...key, secret: key.secret === null ? null : own(key.secret) })),
      signingKeys: signers.map((key) =>
        role === 'verifying' ? publicHalf(key) : { ...key, seed: key.seed === null ? null : own(key.seed) },
      ),
      recipientKeys: recipients.map((key) => ({ ...key, secret: key.secret === null ? null : own(key.secret) })),
      providers: [],
      owned,
      borrowed: [],
    });
  } catch (error) {
    for (const secret of owned) secret.dispose();
    throw error;
  }
}

function copySecret(secret: Secret, engine: Engine): Secret {
  const bytes = engine.exportSecret(secret);
  try {
    return engine.importSecret(bytes);
  } finally {
    engine.wipe(bytes);
  }
}
