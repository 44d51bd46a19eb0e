import { readFileSync } from 'node:fs';
import { load, loadSync, safeOpen, safeOpenSync, verifyFile } from 'cryptotensors';
import type { OpenOptions, SafeFile, Tensor } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { descriptorsOf } from '../support/descriptors.js';
import { sha256 } from '../support/sha256.js';
import { answerOf } from './answers.js';
import { badFiles, openOptions, sampleOf, vectorPath } from './vectors.js';
import type { BadFile } from './vectors.js';

const BAD_FILES = 1173;
/** Kinds of which the signer's identity is what is wrong. */
const WRONG_SIGNER = ['keys-other-kids', 'attacker-jku'];
const POISON = 0xaa;
/** Tensors begin on multiples of 64 bytes in memory: more than their alignment can take in any of the files. */
const MAX_ALIGNMENT_BYTES = 64 * 1024;

/** Every bad file is refused with a code that is listed for it, on every way in, and nothing of it is handed out. */
export function describeBadFiles(): void {
  describe('bad files', () => {
    const files = badFiles();
    let ran = 0;

    for (const vector of files) {
      it(`${vector.file} (${vector.kind}): ${vector.shows}`, async () => {
        const path = vectorPath(vector.file);
        const options = openOptions(vector.keys);
        if (vector.stage === 'read') await expectRefusedOnRead(path, options, vector);
        else await expectRightAnswer(path, options, vector);
        expect(descriptorsOf(path), 'descriptors left open').toBe(0);
        ran++;
      });
    }

    it('were all of them', () => {
      expect(ran).toBe(sampleOf(BAD_FILES));
    });
  });
}

/** The codes that are right for a file, and `accept` where it may be, or must be, accepted. */
function rightAnswers({ expected, also_acceptable: also = [], kind }: BadFile): string[] {
  const answers: string[] = ['code' in expected ? expected.code : 'accept', ...also];
  if (WRONG_SIGNER.includes(kind)) answers.push('UntrustedSigner');
  return answers;
}

/** Refused on opening, or accepted where that is right, with the same answer on every way in. */
async function expectRightAnswer(path: string, options: OpenOptions, vector: BadFile): Promise<void> {
  const bytes = readFileSync(path);
  // A lazy reader finds a digest that does not match when it reads the tensor (README.md of the vectors).
  const lazily = rightAnswers(vector).includes('BadDigest');
  const into = new Uint8Array(bytes.length + MAX_ALIGNMENT_BYTES).fill(POISON);
  const answers = new Set([
    await answerOf(async () => openOnly(await safeOpen(path, options), lazily)),
    await answerOf(() => openOnly(safeOpenSync(path, options), lazily)),
    await answerOf(() => load(bytes, options)),
    await answerOf(() => loadSync(bytes, { ...options, into })),
  ]);
  expect(answers.size, [...answers].join()).toBe(1);
  const [answer] = [...answers];
  expect(rightAnswers(vector)).toContain(answer);
  if (answer !== 'accept') expectNothingIn(into);
  else if (vector.tensors !== undefined) await expectTensors(path, options, vector.tensors);
}

async function expectTensors(path: string, options: OpenOptions, tensors: Record<string, string>): Promise<void> {
  const expected = new Map(Object.entries(tensors));
  expect(digests(await load(readFileSync(path), options))).toEqual(expected);
  await using file = await safeOpen(path, options);
  expect(digests(await file.getTensors())).toEqual(expected);
  using twin = safeOpenSync(path, options);
  expect(digests(twin.getTensorsSync())).toEqual(expected);
  expect((await verifyFile(path, options)).tensors).toBe(expected.size);
}

/** The caller's memory was not touched or was wiped: no byte of the file is in it. */
function expectNothingIn(into: Uint8Array): void {
  expect(into.every((byte) => byte === POISON || byte === 0)).toBe(true);
}

/** Opening was enough to accept the file, or, for a lazy check, reading all of it. */
function openOnly(file: SafeFile, lazily: boolean): void {
  try {
    if (lazily) file.getTensorsSync();
  } finally {
    file[Symbol.dispose]();
  }
}

async function expectRefusedOnRead(path: string, options: OpenOptions, vector: BadFile): Promise<void> {
  const answers = rightAnswers(vector);
  await using file = await safeOpen(path, options);
  const bad = vector.bad_tensors!;
  expect(bad.length).toBeGreaterThan(0);

  await expectWiped(answers, requiredBytes(file, file.keys()), (into) => file.getTensors({ into }));
  await expectWiped(answers, requiredBytes(file, file.keys()), (into) => file.getTensorsSync({ into }));
  for (const name of bad) {
    const { byteLength } = file.info(name);
    await expectWiped(answers, byteLength, (into) => file.getTensor(name, { into }));
    await expectWiped(answers, byteLength, (into) => file.getTensorSync(name, { into }));
    await expectWiped(answers, byteLength, (into) => file.getSlice(name).read({ into }));
    expect(answers).toContain(await answerOf(() => file.getTensor(name)));
  }
  expect(answers).toContain(await answerOf(() => verifyFile(path, options)));
  expect(answers).toContain(await answerOf(() => load(readFileSync(path), options)));

  const readable = new Map(Object.entries(vector.readable!));
  expect(digests(await file.getTensors({ names: readable.keys() }))).toEqual(readable);
  for (const [name, digest] of readable) expect(sha256(file.getTensorSync(name).bytes), name).toBe(digest);
}

/** A failed read into the caller's memory leaves no byte of the file there. */
async function expectWiped(answers: string[], byteLength: number, read: (into: Uint8Array) => unknown): Promise<void> {
  const into = new Uint8Array(new SharedArrayBuffer(byteLength)).fill(POISON);
  expect(answers).toContain(await answerOf(() => read(into)));
  expectNothingIn(into);
}

/** Bytes that a read of several tensors takes: each begins on a multiple of 64. */
function requiredBytes(file: SafeFile, names: string[]): number {
  return file
    .offsetKeys()
    .filter((name) => names.includes(name))
    .reduce((end, name) => Math.ceil(end / 64) * 64 + file.info(name).byteLength, 0);
}

function digests(tensors: ReadonlyMap<string, Tensor>): Map<string, string> {
  return new Map([...tensors].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, { bytes }]) => [name, sha256(bytes)]));
}
