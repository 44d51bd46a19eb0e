import { encodeCryptoKeys } from '../format/crypto-metadata.js';
import type { CryptoKeysToWrite, PolicyTexts } from '../format/crypto-metadata.js';
import type { AeadAlgorithm, DigestAlgorithm, Engine, SealRequest } from '../engine/types.js';
import { openKeyRing } from '../keys/load.js';
import { lookUpSigningKey, lookUpWritingMasterKey } from '../keys/lookup.js';
import type { MasterKey, SigningKey } from '../keys/types.js';
import type { Twin } from '../twin.js';
import { DEFAULT_CHUNK_BYTES, DEFAULT_POLICY } from './options.js';
import type { ProtectOptions, WorkOptions } from './options.js';

/** How a file is to be protected, with the keys at hand. */
export interface Protection {
  encryption: NonNullable<SealRequest['encryption']>;
  integrity: { algorithm: DigestAlgorithm; chunkSize: number } | null;
  cryptoKeys: CryptoKeysToWrite;
  policy: PolicyTexts;
  /** Ed25519 over the canonical header text. */
  sign(message: Uint8Array): Twin<Uint8Array>;
  dispose(): void;
}
