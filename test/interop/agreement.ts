import { readFileSync } from 'node:fs';
import { parseHeader } from '#dist/format/header.js';
import { safeOpen } from 'cryptotensors';
import type { OpenOptions } from 'cryptotensors';
import { expect } from 'vitest';
import { sha256 } from '../support/sha256.js';
import type { OracleFacts, Reference } from './reference.js';
import { KEYS, KEYS_FILE, wire } from './samples.js';
import type { Sample } from './samples.js';

/** What is expected of a file, whoever wrote it. */
export interface Expected {
  tensors: readonly Sample[];
  metadata?: Record<string, string>;
  /** Facts of the header, as the oracle names them. */
  facts?: Partial<OracleFacts>;
  /** How it is opened here, besides `keys`. */
  open?: OpenOptions;
  /** The two keys' ids where the header does not name them. */
  kids?: { enc_kid: string; sign_kid: string };
}

/**
 * One file, read by everybody: this library, the reference and the oracle find the same names, dtypes, shapes, bytes and
 * metadata, and all compute the same signed text from it.
 */
export async function expectAgreement(reference: Reference, path: string, expected: Expected): Promise<void> {
  await expectReadHere(path, expected);
  await expectReadByReference(reference, path, expected);
  await expectReadByOracle(reference, path, expected);
}

async function expectReadHere(path: string, { tensors, metadata, open }: Expected): Promise<void> {
  await using file = await safeOpen(path, { keys: KEYS_FILE, ...open });
  const read = await file.getTensors();
  expect([...read.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
  expect([...read.keys()]).toEqual(file.offsetKeys());
  for (const { name, dtype, shape, data } of tensors) {
    const tensor = read.get(name)!;
    expect({ dtype: tensor.dtype, shape: tensor.shape }, name).toEqual({ dtype, shape });
    expect(Buffer.compare(tensor.bytes, data), `bytes of ${name}`).toBe(0);
  }
  expect({ ...file.metadata() }).toEqual(metadata ?? {});
}

async function expectReadByReference(
  reference: Reference,
  path: string,
  { tensors, metadata }: Expected,
): Promise<void> {
  const reading = await reference.call('reference_read', { path, keys: KEYS });
  expect(sorted(reading.tensors)).toEqual(sorted(tensors.map(wire)));
  expect(reading.metadata ?? {}).toEqual(metadata ?? {});
  await using file = await safeOpen(path, { keys: KEYS_FILE, policy: { evaluate: () => true } });
  expect(reading.keys).toEqual(file.offsetKeys());
  expect(reading.reserved).toEqual(Object.keys(file.reservedMetadata() ?? {}).sort());
}

async function expectReadByOracle(
  reference: Reference,
  path: string,
  { tensors, metadata, facts, kids }: Expected,
): Promise<void> {
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE(0));
  const header = parseHeader(bytes.subarray(8, 8 + length), bytes.length);
  const oracle = await reference.call('oracle_facts', { path, keys: KEYS, ...kids });
  expect(oracle.facts).toMatchObject({ encrypted: true, signature_ok: true, ...facts });
  expect(oracle.facts.metadata).toEqual(metadata ?? {});
  expect(oracle.facts.tensors.map(({ name }) => name)).toEqual(header.names);
  expect(
    sorted(oracle.facts.tensors.map(({ name, dtype, shape, sha256 }) => ({ name, dtype, shape, sha256 }))),
  ).toEqual(sorted(tensors.map(({ name, dtype, shape, data }) => ({ name, dtype, shape, sha256: sha256(data) }))));
  // Byte for byte: the header is in canonical form, and what its signature covers is the same text here and there.
  expect(oracle.header.trimEnd()).toBe(oracle.written);
  expect(new TextDecoder().decode(header.canonical())).toBe(oracle.signed);
}

/** The header's text with every value that is random, or that depends on one, replaced by its length. */
export function headerShape(path: string): string {
  const bytes = readFileSync(path);
  const text = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString('utf8');
  const masked = (_: string, before: string, value: string): string => `${before}<${value.length}>`;
  return text
    .trimEnd()
    .replace(/(\\"(?:wrapped_key|key_iv|key_tag|iv|tag|base_iv|tags)\\":\\")([A-Za-z0-9+/=]*)/g, masked)
    .replace(/("__signature__":")([A-Za-z0-9+/=]*)/, masked);
}

function sorted<Named extends { name: string }>(list: readonly Named[]): Named[] {
  return [...list].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
