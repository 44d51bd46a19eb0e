import { lookUpMasterKeys } from '#dist/keys/lookup.js';
import type { MasterKey } from '#dist/keys/types.js';
import type { Twin } from '#dist/twin.js';

/** The key that is tried first. */
export function* lookUpMasterKey(...args: Parameters<typeof lookUpMasterKeys>): Twin<MasterKey> {
  return (yield* lookUpMasterKeys(...args))[0]!;
}
