import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { ErrorCode, OpenOptions } from 'cryptotensors';

/** Which keys a file is opened with: kids given directly, or what the header names. See README.md of the vectors. */
export interface VectorKeys {
  file: string;
  enc?: string | null;
  sign?: string | null;
  lookup?: 'header';
}

/** Numbers are a bigint where a number would round them. */
export type Integer = number | bigint;

export interface ValidTensor {
  name: string;
  dtype: string;
  shape: Integer[];
  data_offsets: [Integer, Integer];
  encrypted: boolean;
  sha256: string;
}

interface KeyIds {
  kid: string | null;
  jku: string | null;
}

/** Facts that only an encrypted file has. */
export interface EncryptionFacts {
  version: '1' | '2';
  chunk_size: Integer | null;
  algorithm: string;
  enc: KeyIds;
  sign: KeyIds;
  policy: { local: string; remote: string };
  integrity?: string[];
}

export interface ValidFile {
  file: string;
  category: string;
  shows: string;
  keys: VectorKeys | null;
  expected: Partial<EncryptionFacts> & {
    encrypted: boolean;
    metadata: Record<string, string> | null;
    reserved_metadata: string[];
    tensors: ValidTensor[];
  };
  reference_refuses?: string;
}

export interface BadFile {
  file: string;
  kind: string;
  category: string;
  shows: string;
  keys: VectorKeys | null;
  options?: { require_encrypted?: boolean };
  expected: { code: ErrorCode } | { accept: true };
  also_acceptable?: (ErrorCode | 'accept')[];
  stage?: 'open' | 'read';
  bad_tensors?: string[];
  /** SHA-256 by name. */
  readable?: Record<string, string>;
  tensors?: Record<string, string>;
}

const folder = new URL('../vectors/', import.meta.url);

export function vectorPath(file: string): string {
  return fileURLToPath(new URL(file, folder));
}

/** All vectors, or one in so many (vitest.quick.config.ts). */
const ONE_IN = Number(process.env.CRYPTOTENSORS_TEST_ONE_VECTOR_IN ?? 1);

/** How many of so many are in the sample. */
export function sampleOf(count: number): number {
  return Math.ceil(count / ONE_IN);
}

function sampled<File>(files: File[]): File[] {
  return files.filter((_, i) => i % ONE_IN === 0);
}

export function validFiles(): ValidFile[] {
  return sampled((parse('vectors.json') as { vectors: ValidFile[] }).vectors);
}

export function badFiles(): BadFile[] {
  return sampled((parse('bad.json') as { bad: BadFile[] }).bad);
}

/** How a file of the vectors is opened through the public API. */
export function openOptions(keys: VectorKeys | null): OpenOptions {
  if (keys === null) return {};
  return {
    keys: vectorPath(keys.file),
    ...(typeof keys.enc === 'string' ? { encKid: keys.enc } : {}),
    ...(typeof keys.sign === 'string' ? { signKid: keys.sign } : {}),
  };
}

/** Marks an integer that `JSON.parse` would round. No string of the vectors begins like this. */
const BIG = '\u0001bigint:';

/** `JSON.parse`, but integers of 16 digits and more come as bigints. */
function parse(file: string): unknown {
  const text = readFileSync(new URL(file, folder), 'utf8');
  const marked = text.replace(/"(?:[^"\\]|\\.)*"|\d{16,}/g, (token) =>
    token.startsWith('"') ? token : JSON.stringify(BIG + token),
  );
  return JSON.parse(marked, (_, value: unknown) =>
    typeof value === 'string' && value.startsWith(BIG) ? BigInt(value.slice(BIG.length)) : value,
  );
}
