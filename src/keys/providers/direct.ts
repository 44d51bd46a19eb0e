import { argumentError } from '../../errors.js';
import { KeyRing } from '../keyring.js';
import { PROVIDER_PRIORITY } from './types.js';
import type { KeyProvider } from './types.js';

/** A provider of keys that are at hand already; register it to use them wherever no `keys` option is given. */
export function directKeyProvider(ring: KeyRing, name = 'direct'): KeyProvider {
  if (!(ring instanceof KeyRing)) throw argumentError('ring', 'a KeyRing', ring);
  return { name, priority: PROVIDER_PRIORITY.direct, findSync: () => ring };
}
