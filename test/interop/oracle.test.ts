import { execFile } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { encryptModel, inspectFile, loadFile, safeOpen, saveFile } from 'cryptotensors';
import type { ErrorCode, JwkSet } from 'cryptotensors';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensurePythonEnv } from '../../scripts/python-env.mjs';
import { Forgery } from '../attacks/forgery.js';
import { refusal } from '../support/errors.js';
import { SHARDS, writeModelFolder } from '../support/model-folder.js';
import { temporaryFolder } from '../support/temporary.js';
import { sha256 } from '../support/sha256.js';
import { ALL_DTYPES, KEYS_FILE, MASTER_KIDS, SIGNER_KID, input, samples } from './samples.js';

const folder = temporaryFolder();
const script = fileURLToPath(new URL('../tools/oracle.py', import.meta.url));
const path = join(folder, 'model.safetensors');
const tensors = samples(ALL_DTYPES);
let python: string;

beforeAll(async () => {
  python = await ensurePythonEnv();
  const keys = { keys: KEYS_FILE, encKid: MASTER_KIDS.chacha20poly1305, signKid: SIGNER_KID };
  const metadata = { format: 'pt' };
  await saveFile(input(tensors), path, { ...keys, metadata, tensors: ['layer.U*', 'odd'], integrity: 'blake3' });
});

/** Exit status and answer of the oracle as a command. */
async function oracle(...args: string[]): Promise<{ status: number; answer: unknown }> {
  const command = [script, ...args, '--keys', KEYS_FILE];
  const { status, stdout } = await promisify(execFile)(python, command).then(
    ({ stdout }) => ({ status: 0, stdout }),
    (error: unknown) => {
      const { code, stdout } = error as { code: number; stdout: string };
      return { status: code, stdout };
    },
  );
  return { status, answer: JSON.parse(stdout) };
}

describe('the oracle as a command', () => {
  it('dumps what inspectFile finds', async () => {
    const { status, answer } = await oracle('dump', path);
    const { encryption, tensors, metadata, fileBytes } = await inspectFile(path);
    expect(status).toBe(0);
    expect(answer).toMatchObject({
      file_size: fileBytes,
      metadata,
      version: String(encryption!.keys.version),
      chunk_size: encryption!.keys.chunkSize,
      algorithm: encryption!.keys.enc.algorithm,
      enc: { kid: encryption!.keys.enc.kid },
      sign: { kid: encryption!.keys.sign.kid },
      policy: encryption!.policy,
      integrity: tensors
        .filter(({ check }) => check === 'digest')
        .map(({ name }) => name)
        .sort(),
      tensors: tensors.map(({ name, dtype, shape, check }) => ({ name, dtype, shape, encrypted: check === 'tag' })),
    });
  });

  it('checks a file against what is expected of it', async () => {
    const expectation = join(folder, 'expected.json');
    const read = [...(await loadFile(path, { keys: KEYS_FILE })).values()];
    const expected = { tensors: read.map(({ name, bytes }) => ({ name, sha256: sha256(bytes) })) };
    writeFileSync(expectation, JSON.stringify({ expected }));
    expect(await oracle('check', path, '--expect', expectation)).toEqual({
      status: 0,
      answer: { ok: true, tensors: tensors.length },
    });
    expected.tensors[0]!.sha256 = sha256(new Uint8Array(1));
    writeFileSync(expectation, JSON.stringify({ expected }));
    expect(await oracle('check', path, '--expect', expectation)).toMatchObject({ status: 2 });
  });

  it.each([
    { title: 'an encrypted tensor', name: 'odd', code: 'BadTag' as const },
    { title: 'a plain tensor with a BLAKE3 digest', name: 'layer.F32', code: 'BadDigest' as const },
  ])('refuses $title of which a bit has changed, as this library does', async ({ name, code }) => {
    const bytes = readFileSync(path);
    const { begin, headerBytes } = await placeOf(name);
    bytes[headerBytes + begin]! ^= 0x10;
    const changed = join(folder, `${code}.safetensors`);
    writeFileSync(changed, bytes);
    await refusal(code, () => loadFile(changed, { keys: KEYS_FILE }));
    expect(await oracle('dump', changed)).toMatchObject({ status: 1, answer: { error: { code } } });
  });
});

async function placeOf(name: string): Promise<{ begin: number; headerBytes: number }> {
  const { headerBytes, tensors } = await inspectFile(path);
  const index = tensors.findIndex((tensor) => tensor.name === name);
  return { begin: tensors.slice(0, index).reduce((sum, { byteLength }) => sum + byteLength, 0), headerBytes };
}

describe('the oracle, of the files of a model', () => {
  const source = writeModelFolder(join(folder, 'plain'));
  const target = join(folder, 'encrypted');
  const keys = { keys: KEYS_FILE, encKid: MASTER_KIDS.aes256gcm, signKid: SIGNER_KID };

  beforeAll(async () => {
    await encryptModel(source, target, keys);
  });

  it('agrees with what each of them says of its model', async () => {
    await using model = await safeOpen(target, keys);
    for (const name of [...SHARDS, 'onnx/model.onnx.sealed', 'empty.bin.sealed']) {
      const { status, answer } = await oracle('dump', join(target, name));
      expect(status, JSON.stringify(answer)).toBe(0);
      expect(answer).toMatchObject({
        model: { ...model.identity(), file: name, sealed: ['empty.bin', 'onnx/model.onnx'] },
      });
    }
  });

  it.each([
    [
      'names a file outside',
      'InvalidCryptoMetadata',
      (document: Manifest) => (document.plain['../x'] = document.plain['config.json']!),
    ],
    ['is not canonical', 'InvalidCryptoMetadata', (document: Manifest) => document.sealed.reverse()],
    [
      'names two files that are one',
      'InvalidCryptoMetadata',
      (document: Manifest) => document.sealed.splice(1, 0, 'ONNX/model.onnx'),
    ],
    ['is of another version', 'UnsupportedVersion', (document: Manifest) => (document.version = '2')],
    [
      'names other tensors',
      'ModelMismatch',
      (document: Manifest) => (document.weights[SHARDS[0]!] = document.weights[SHARDS[1]!]!),
    ],
  ])('refuses with the library a signed header that %s', async (_, code, change) => {
    const signer = (JSON.parse(readFileSync(KEYS_FILE, 'utf8')) as JwkSet).keys.find(({ kid }) => kid === SIGNER_KID)!;
    const forged = new Forgery(readFileSync(join(target, SHARDS[0]!))).edit('__model__', change).sign(signer);
    const changed = join(folder, 'changed.safetensors');
    writeFileSync(changed, forged.bytes());
    await refusal(code as ErrorCode, () => safeOpen(changed, keys));
    const { status, answer } = await oracle('dump', changed);
    expect(status).toBe(1);
    expect(answer).toMatchObject({ error: { code } });
  });
});

interface Manifest {
  version: string;
  weights: Record<string, string>;
  sealed: string[];
  plain: Record<string, string>;
}
