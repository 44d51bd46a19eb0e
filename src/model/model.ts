import type { CryptoKeys, PolicyTexts } from '../format/crypto-metadata.js';
import type { Header } from '../format/header.js';
import type { LicenseTerms } from '../format/license.js';
import type { ModelIdentity } from '../format/model-identity.js';
import type { Engine, Source, TensorTable } from '../engine/types.js';
import type { TensorGuard } from './tensor-guard.js';

/** What an encrypted file's header says beside its tensors. */
export interface Encryption {
  keys: CryptoKeys;
  policy: PolicyTexts;
  /** Key id of the signer whose key verified the header. */
  signer: string | null;
  /** That key itself, in hex: ids can be alike. */
  signerKey: string;
  /** Which model the file belongs to; null where the header does not say. */
  identity: ModelIdentity | null;
  /** What the licence in the header says; null where there is none. */
  license: LicenseTerms | null;
}

/** How a tensor's bytes are checked when they are read. */
export type Check = 'tag' | 'digest' | 'none';

/**
 * One file, opened: its header verified, its policy asked, its DEKs unwrapped. Internal; `SafeFile` is made of one or more.
 */
export interface Model {
  engine: Engine;
  path: string | undefined;
  source: Source;
  /** The bytes that it was opened from; null for a file. */
  memory: Uint8Array | null;
  header: Header;
  /** Where the data begins in the source: behind the source's own header, also where `header` is a detached one. */
  dataStart: number;
  /** Null for a plain file. */
  encryption: Encryption | null;
  table: TensorTable;
  /** Whom to ask before a tensor is handed out; null if the file's policy says nothing about single tensors. */
  guard: TensorGuard | null;
  /** Per tensor in data order. */
  checks: readonly Check[];
  /** Bytes that are verified together: the tag's or digest's chunk size per tensor, 0 where the tensor is one piece. */
  chunkSizes: Float64Array;
}

/** Gives back what an open file holds. Reads that are under way keep what they need. */
export function closeModel({ table, source }: Model): void {
  table.dispose();
  source.close();
}
