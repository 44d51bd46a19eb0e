import { readFileSync } from 'node:fs';
import { inspectFile, load, loadSync, safeOpen, safeOpenSync, verifyFile } from 'cryptotensors';
import type { OpenOptions, SafeFile, Tensor } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { descriptorsOf } from '../support/descriptors.js';
import { sha256 } from '../support/sha256.js';
import { answerOf } from './answers.js';
import { expectSlicesOfWhole } from './slices.js';
import { openOptions, sampleOf, validFiles, vectorPath } from './vectors.js';
import type { EncryptionFacts, ValidFile } from './vectors.js';

const VALID_FILES = 183;

/** Every valid file gives exactly what is listed of it, whichever way it is read. */
export function describeValidFiles(): void {
  describe('valid files', () => {
    const files = validFiles();
    let ran = 0;

    for (const vector of files) {
      it(`${vector.file}: ${vector.shows}`, async () => {
        const path = vectorPath(vector.file);
        let options = openOptions(vector.keys);
        if (vector.category === 'policies' && vector.reference_refuses !== undefined) {
          await expectPolicyRefusal(path, options);
          options = { ...options, policy: { evaluate: () => true } };
        }
        await expectInspection(path, vector);
        await expectLazily(path, options, vector);
        expectSynchronously(path, options, vector);
        await expectFromBytes(path, options, vector);
        await expectVerified(path, options, vector);
        expect(descriptorsOf(path), 'descriptors left open').toBe(0);
        ran++;
      });
    }

    it('were all of them', () => {
      expect(ran).toBe(sampleOf(VALID_FILES));
    });
  });
}

/** A policy that the reference refuses: refused here too, on every way in. */
async function expectPolicyRefusal(path: string, options: OpenOptions): Promise<void> {
  const bytes = readFileSync(path);
  const attempts = [
    () => safeOpen(path, options),
    () => safeOpenSync(path, options),
    () => load(bytes, options),
    () => verifyFile(path, options),
  ];
  for (const attempt of attempts) expect(['PolicyDenied', 'PolicyError']).toContain(await answerOf(attempt));
}

async function expectInspection(path: string, { expected }: ValidFile): Promise<void> {
  const found = await inspectFile(path);
  expect(entries(found.metadata)).toEqual(entries(expected.metadata));
  expect(found.tensors.map(({ name, dtype, check }) => ({ name, dtype, encrypted: check === 'tag' }))).toEqual(
    expected.tensors.map(({ name, dtype, encrypted }) => ({ name, dtype, encrypted })),
  );
  if (!expected.encrypted) {
    expect(found.encryption).toBeNull();
    return;
  }
  const facts = expected as EncryptionFacts;
  const { keys, policy } = found.encryption!;
  expect(policy).toEqual(facts.policy);
  expect(String(keys.version)).toBe(facts.version);
  expect(keys.enc.algorithm).toBe(facts.algorithm);
  expect({ kid: keys.enc.kid, jku: keys.enc.jku }).toEqual(facts.enc);
  expect({ kid: keys.sign.kid, jku: keys.sign.jku }).toEqual(facts.sign);
  // A chunk that is larger than any file may be is capped: it is one chunk either way.
  if (facts.chunk_size !== null)
    expect(keys.chunkSize).toBe(Math.min(Number(facts.chunk_size), Number.MAX_SAFE_INTEGER));
}

async function expectLazily(path: string, options: OpenOptions, vector: ValidFile): Promise<void> {
  await using file = await safeOpen(path, options);
  expectHeader(file, vector);
  const all = await file.getTensors();
  expectTensors(all, vector);
  const one = new Map<string, Tensor>();
  for (const name of file.keys()) one.set(name, await file.getTensor(name));
  expectSameBytes(one, all);
  await expectSlicesOfWhole(file, all);
}

function expectSynchronously(path: string, options: OpenOptions, vector: ValidFile): void {
  using file = safeOpenSync(path, options);
  expectHeader(file, vector);
  const all = file.getTensorsSync();
  expectTensors(all, vector);
  expectSameBytes(new Map(file.keys().map((name) => [name, file.getTensorSync(name)])), all);
}

async function expectFromBytes(path: string, options: OpenOptions, vector: ValidFile): Promise<void> {
  const bytes = readFileSync(path);
  expectTensors(await load(bytes, options), vector);
  // The header's kid finds the same keys, so they need not be given by name; but the keys' file lacks one kid.
  if (vector.keys === null || vector.file === 'keys-unicode-kid.cryptotensors') return;
  const byHeader = openOptions({ file: vector.keys.file, lookup: 'header' });
  if (options.policy !== undefined) byHeader.policy = options.policy;
  expectTensors(loadSync(bytes, byHeader), vector);
}

async function expectVerified(path: string, options: OpenOptions, { expected }: ValidFile): Promise<void> {
  const verification = await verifyFile(path, options);
  expect(verification).toMatchObject({ encrypted: expected.encrypted, tensors: expected.tensors.length });
  const covered = new Set(expected.integrity ?? []);
  const unprotected = expected.tensors
    .filter(({ name, encrypted }) => !encrypted && !covered.has(name))
    .map(({ name }) => name);
  expect(verification.unprotected).toEqual(unprotected);
}

function expectHeader(file: SafeFile, { expected }: ValidFile): void {
  expect(file.encrypted).toBe(expected.encrypted);
  expect(file.offsetKeys()).toEqual(expected.tensors.map(({ name }) => name));
  expect(file.keys()).toEqual(file.offsetKeys().sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  expect(entries(file.metadata())).toEqual(entries(expected.metadata));
  expect(Object.keys(file.reservedMetadata() ?? {}).sort()).toEqual(expected.reserved_metadata);
  const covered = new Set(expected.integrity ?? []);
  for (const { name, dtype, shape, data_offsets: offsets, encrypted } of expected.tensors) {
    const info = file.info(name);
    expect(
      { dtype: info.dtype, exactShape: info.exactShape, dataOffsets: info.dataOffsets, check: info.check },
      name,
    ).toEqual({
      dtype,
      exactShape: shape.map(String),
      dataOffsets: offsets,
      check: encrypted ? 'tag' : covered.has(name) ? 'digest' : 'none',
    });
  }
}

function expectTensors(tensors: ReadonlyMap<string, Tensor>, { expected }: ValidFile): void {
  expect([...tensors].map(([name, tensor]) => ({ name, dtype: tensor.dtype, sha256: sha256(tensor.bytes) }))).toEqual(
    expected.tensors.map(({ name, dtype, sha256 }) => ({ name, dtype, sha256 })),
  );
}

function expectSameBytes(some: ReadonlyMap<string, Tensor>, all: ReadonlyMap<string, Tensor>): void {
  expect(some.size).toBe(all.size);
  for (const [name, { bytes }] of some) expect(Buffer.compare(bytes, all.get(name)!.bytes), name).toBe(0);
}

/** Sorted, so that neither integer-like nor prototype-like keys matter; null stays null. */
function entries(record: Record<string, string> | null): [string, string][] | null {
  return record === null ? null : Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
}
