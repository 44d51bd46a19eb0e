import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { generateKeyPairSync } from 'node:crypto';
import { generateKeys, loadFileSync, loadKeysSync, loadSync, saveSync, verifyLicense } from 'cryptotensors';
import { readPolicy } from '#dist/cli/files.js';
import { recogniseFile } from '#dist/format/file-kind.js';
import { describe, expect, test } from 'vitest';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const KEYS = generateKeys();
const MODEL = Buffer.from(saveSync(smallTensors(), {}));
const utf8 = (text: string): Buffer => Buffer.from(text);
const pem = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

/** What people have in place of the right file: its bytes, and what the message must call it. */
const FILES: Record<string, [Uint8Array, RegExp]> = {
  'an HTML page': [utf8('<!DOCTYPE html>\n<html><head><title>401 Unauthorized</title>'), /HTML/],
  'an HTML page after a BOM': [utf8('\ufeff\n<html lang="en">'), /HTML/],
  'an XML document': [utf8('<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), /XML/],
  GGUF: [Buffer.concat([utf8('GGUF'), Buffer.from([3, 0, 0, 0]), Buffer.alloc(100)]), /GGUF/],
  ONNX: [Buffer.from('08071207707974 6f726368 1a05322e302e31'.replaceAll(' ', ''), 'hex'), /protobuf.*ONNX/],
  'a PEM key': [utf8(pem), /PEM/],
  'a gzip file': [gzipSync(MODEL), /gzip/],
  'a zip archive': [Buffer.concat([Buffer.from('504b0304140000000000', 'hex'), Buffer.alloc(60)]), /zip.*PyTorch/],
  'a pickle': [Buffer.from('80027d71002e000000000000', 'hex'), /pickle/],
  'an index': [utf8('{"metadata":{},"weight_map":{"a":"model-00001-of-00001.safetensors"}}'), /index/],
  'a git-lfs pointer': [utf8('version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n'), /git-lfs/],
  'a key set': [utf8(JSON.stringify(KEYS)), /JWK/],
  'a safetensors file': [MODEL, /safetensors file/],
  'HDF5': [Buffer.concat([Buffer.from('894844460d0a1a0a', 'hex'), Buffer.alloc(50)]), /HDF5/],
  'a NumPy array': [Buffer.concat([Buffer.from('934e554d5059', 'hex'), Buffer.alloc(50)]), /NumPy/],
  'text in UTF-16': [Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from('{"a":1}', 'utf16le')]), /UTF-16/],
  zeros: [Buffer.alloc(300), /zeros/],
  nothing: [Buffer.alloc(0), /empty/],
  'a Rego policy': [utf8('# ours\npackage model\n\nallow if true\n'), /Rego/],
}; // prettier-ignore

test.each(Object.entries(FILES))('%s is known by its first bytes', (_, [bytes, name]) => {
  expect(recogniseFile(bytes)).toMatch(name);
});

test('what nobody knows is not given a name', () => {
  expect(recogniseFile(utf8('hello, world'))).toBeNull();
  expect(recogniseFile(Buffer.from([1, 2, 3, 4, 5, 6, 7, 8, 9]))).toBeNull();
});

/** Where a file is read, what may stand there, and the codes that it is refused with. */
const INDEX = 'model.safetensors.index.json';
const PLACES: Record<string, { read: (path: string, bytes: Uint8Array) => unknown; right: string[]; code: RegExp }> = {
  'as a model': { read: (path) => loadFileSync(path), right: ['a safetensors file'], code: /Header/ },
  'as bytes of a model': { read: (_, bytes) => loadSync(bytes), right: ['a safetensors file'], code: /Header/ },
  'as keys': { read: (path) => loadKeysSync(path), right: ['a key set', 'a PEM key'], code: /^InvalidKey$/ },
  'as bytes of keys': { read: (_, bytes) => loadKeysSync(bytes), right: ['a key set', 'a PEM key'], code: /^InvalidKey$/ },
  'as a licence': {
    read: (path) => verifyLicense(path, { keys: KEYS, trust: KEYS }),
    right: ['a safetensors file'],
    code: /^InvalidLicense$/,
  },
  'as an index': {
    read: (path, bytes) => {
      const model = join(path.replace(/[^\w/.-]/g, '_') + '-model');
      mkdirSync(model, { recursive: true });
      writeFileSync(join(model, INDEX), bytes);
      return loadFileSync(join(model, INDEX));
    },
    right: ['an index'],
    code: /^InvalidIndex$/,
  },
  'as a shard': {
    read: (path, bytes) => {
      const model = join(path.replace(/[^\w/.-]/g, '_') + '-sharded');
      mkdirSync(model, { recursive: true });
      writeFileSync(join(model, 'm-1.safetensors'), bytes);
      writeFileSync(join(model, INDEX), '{"weight_map":{"a":"m-1.safetensors"}}');
      return loadFileSync(join(model, INDEX));
    },
    right: ['a safetensors file'],
    code: /Header/,
  },
  'as a policy': { read: (path) => readPolicy(path), right: ['a Rego policy'], code: /usage/ },
}; // prettier-ignore

describe.each(Object.entries(PLACES))('read %s', (place, { read, right, code }) => {
  const wrong = Object.entries(FILES).filter(([name]) => !right.includes(name));
  test.each(wrong)('%s is named', async (name, [bytes, kind]) => {
    const path = join(folder, `${place}-${name}`.replaceAll(' ', '-'));
    writeFileSync(path, bytes);
    const error = (await Promise.resolve()
      .then(() => read(path, bytes))
      .then(
        () => new Error('was read'),
        (thrown: unknown) => thrown,
      )) as Error & { code?: string };
    expect(error.message).toMatch(kind);
    if (place !== 'as a policy') expect(error.code).toMatch(code);
    // Never what is in it.
    for (const secret of [KEYS.keys[0]!.k!, KEYS.keys[1]!.d!, pem.split('\n')[1]!]) {
      expect(error.message).not.toContain(secret.slice(0, 12));
    }
  });
});
