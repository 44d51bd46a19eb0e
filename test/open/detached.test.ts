import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  SafeFile,
  decryptFile,
  generateKeys,
  inspectFile,
  inspectFileSync,
  loadFile,
  loadFileSync,
  safeOpen,
  safeOpenSync,
  saveFileSync,
  verifyFile,
} from 'cryptotensors';
import type { OpenOptions } from 'cryptotensors';
import { descriptorsOf } from '../support/descriptors.js';
import { dataOf, headerFrom, headerOf } from '../support/detach.js';
import { refusal } from '../support/errors.js';
import { KEYS, bytesOf, saveSmallModel, smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
// Something that a tag, a digest and nothing protects each: map is for the last.
const whole = saveSmallModel(folder, 'whole.safetensors', { tensors: 'encoder.*', integrity: false });
const file = readFileSync(whole);
const header = headerOf(file);
const data = dataOf(file);

function write(name: string, ...parts: Uint8Array[]): string {
  const path = join(folder, name);
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

const headerPath = write('detached.header', header);
const text = (json: string): Uint8Array => new TextEncoder().encode(json);

/** What may stand before the data of a body: only its length counts. */
const bodies: Record<string, string> = {
  'its own header': whole,
  'no header at all': write('empty.body', headerFrom(new Uint8Array(0)), data),
  garbage: write('garbage.body', headerFrom(Uint8Array.from({ length: 333 }, (_, i) => i)), data),
  'a plain header': write(
    'plain.body',
    headerFrom(text('{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}')),
    data,
  ),
  'a header that somebody else signed': write(
    'other.body',
    headerOf(
      readFileSync(
        saveSmallModel(folder, 'other.safetensors', {
          keys: generateKeys({ signKid: 'sign-a', encKid: 'enc-a' }),
          tensors: 'encoder.*',
          policy: { local: 'package model\nallow = false' },
        }),
      ),
    ),
    data,
  ),
};

async function expectWhole(input: string | Uint8Array, options: OpenOptions): Promise<void> {
  await using model = await safeOpen(input, options);
  expect(model.signers()).toEqual(['sign-a']);
  for (const [name, tensor] of await model.getTensors()) {
    expect(tensor.bytes, name).toEqual(bytesOf(smallTensors().get(name)!.data));
  }
  expect((await model.getSlice('encoder.weight').read([2, 3])).data).toEqual(
    Float32Array.from({ length: 16 }, (_, i) => (i + 32) / 3),
  );
}

describe('a detached header', () => {
  test.each(Object.entries(bodies))('over a body with %s', async (_, body) => {
    await expectWhole(body, { keys: KEYS, header: headerPath });
    await expectWhole(body, { keys: KEYS, header: pathToFileURL(headerPath) });
    await expectWhole(readFileSync(body), { keys: KEYS, header });
    using model = safeOpenSync(body, { keys: KEYS, header });
    expect(model.getTensorSync('mask').data).toEqual(Uint8Array.of(1, 0, 1));
    const path = join(folder, 'decrypted.safetensors');
    await decryptFile(body, path, { keys: KEYS, header });
    expect((await loadFile(path)).get('encoder.bias')!.data).toEqual(smallTensors().get('encoder.bias')!.data);
    expect(await verifyFile(body, { keys: KEYS, header })).toMatchObject({ tensors: 6, signers: ['sign-a'] });
    expect((await loadFile(body, { keys: KEYS, header })).size).toBe(6);
    expect(loadFileSync(body, { keys: KEYS, header: headerPath }).size).toBe(6);
  });

  test.each([0, 1, 4096, 100_000])('may be padded: by %i bytes', async (padding) => {
    const padded = headerFrom(header.subarray(8), padding);
    for (const body of Object.values(bodies)) await expectWhole(body, { keys: KEYS, header: padded });
  });

  test.each(Object.entries(bodies))('is mapped, shared and attached over a body with %s', async (_, body) => {
    await using model = await safeOpen(body, { keys: KEYS, header });
    const position = smallTensors().get('position')!.data;
    expect((await model.getTensor('position', { map: true })).data).toEqual(position);
    using attached = SafeFile.attach(model.share());
    expect((await attached.getTensor('position', { map: true })).data).toEqual(position);
    for (const [name, tensor] of await attached.getTensors()) {
      expect(tensor.bytes, name).toEqual(bytesOf(smallTensors().get(name)!.data));
    }
  });

  test.each([
    ['short', data.subarray(0, data.length - 1), data.length - 1],
    ['long', Buffer.concat([data, Uint8Array.of(0)]), data.length + 1],
    ['without data', new Uint8Array(0), 0],
  ])('over a body that is too %s is refused, and the message says that it is the body', async (name, bytes, length) => {
    const body = write(`${name}.body`, headerFrom(text('{}')), bytes);
    const error = await refusal('MetadataIncompleteBuffer', () => safeOpen(body, { keys: KEYS, header: headerPath }));
    expect(error.message).toContain(`the body does not fit the detached header: ${JSON.stringify(headerPath)}`);
    expect(error.message).toContain(`but ${JSON.stringify(body)} has ${length} bytes`);
    expect(error).toMatchObject({ path: body, expected: `${data.length} bytes of data`, found: `${length} bytes` });
    expect([descriptorsOf(body), descriptorsOf(headerPath)]).toEqual([0, 0]);
    await refusal('MetadataIncompleteBuffer', () => safeOpenSync(readFileSync(body), { keys: KEYS, header }));
  });

  test('over a body whose length is no header length', async () => {
    const body = write('length.body', Uint8Array.of(255, 255, 0, 0, 0, 0, 0, 0), data);
    await refusal('InvalidHeaderLength', () => safeOpen(body, { keys: KEYS, header }));
    await refusal('HeaderTooSmall', () => safeOpen(new Uint8Array(3), { keys: KEYS, header }));
  });

  test('over another body of the same length opens, and hands nothing out', async () => {
    const body = saveSmallModel(folder, 'twin.safetensors', { tensors: 'encoder.*', integrity: false });
    await using model = await safeOpen(body, { keys: KEYS, header });
    await refusal('BadTag', () => model.getTensor('encoder.weight'));
    await refusal('BadTag', () => verifyFile(body, { keys: KEYS, header }));
  });

  test('is held to the same rules as any', async () => {
    const open = (bytes: Uint8Array, options: OpenOptions = { keys: KEYS }) =>
      safeOpen(whole, { ...options, header: bytes });
    const changed = headerFrom(
      text(new TextDecoder().decode(header.subarray(8)).replaceAll('encoder.bias', 'encoder.bi4s')),
    );
    await refusal('BadSignature', () => open(changed));
    await refusal('UntrustedSigner', () => open(header, { keys: KEYS, trust: generateKeys() }));
    const stripped = headerFrom(
      text(`{"x":{"dtype":"U8","shape":[${data.length}],"data_offsets":[0,${data.length}]}}`),
    );
    await refusal('NotEncrypted', () => open(stripped));
    expect((await loadFile(whole, { header: stripped })).get('x')!.bytes).toEqual(new Uint8Array(data));
    await refusal('HeaderTooSmall', () => open(new Uint8Array(7)));
    await refusal('InvalidHeaderLength', () => open(header.subarray(0, 100)));
    await refusal('InvalidHeaderDeserialization', () => open(headerFrom(text('{"x":1}'))));
    const missing = join(folder, 'missing.header');
    const error = await refusal('FileError', () => safeOpen(whole, { keys: KEYS, header: missing }));
    expect(error).toMatchObject({ path: missing, systemCode: 'ENOENT' });
    expect(descriptorsOf(whole)).toBe(0);
  });

  test('is nothing but a header: a whole file in its place is refused', async () => {
    const error = await refusal('InvalidHeaderLength', () => safeOpen(whole, { keys: KEYS, header: whole }));
    expect(error.message).toContain('a detached header is a header and nothing else');
    expect(error.path).toBe(whole);
    expect(descriptorsOf(whole)).toBe(0);
  });

  test('is for one file, not for a sharded model', async () => {
    const index = join(folder, 'model.safetensors.index.json');
    writeShardIndex(index, { mask: 'whole.safetensors' });
    const error = await refusal('InvalidOption', () => safeOpen(index, { keys: KEYS, header }));
    expect(error.message).toContain('open its shards one by one');
  });

  test.each([[5], [null], [new URL('https://example.com/header')], ['']])('refuses %s', async (wrong) => {
    await expect(safeOpen(whole, { header: wrong as never })).rejects.toThrow('options.header');
    await expect(inspectFile(whole, { header: wrong as never })).rejects.toThrow('options.header');
  });
});

describe('inspectFile', () => {
  test('shows a detached header by itself, and says that there is no data', async () => {
    const attached = inspectFileSync(whole);
    expect(attached.detached).toBe(false);
    for (const input of [headerPath, header]) {
      const { detached, fileBytes, ...rest } = await inspectFile(input);
      expect({ detached, fileBytes }).toEqual({ detached: true, fileBytes: header.length });
      expect(rest).toEqual(expect.objectContaining({ tensors: attached.tensors, encryption: attached.encryption }));
    }
  });

  test('shows a detached header over its body', async () => {
    const found = await inspectFile(bodies.garbage!, { header: headerPath });
    expect(found).toEqual({ ...inspectFileSync(whole), fileBytes: readFileSync(bodies.garbage!).length });
    await refusal('MetadataIncompleteBuffer', () => inspectFileSync(headerPath, { header }));
  });

  test('a file without data is no detached header, and one that was cut elsewhere is refused', async () => {
    const path = join(folder, 'nothing.safetensors');
    saveFileSync({}, path);
    expect((await inspectFile(path)).detached).toBe(false);
    await refusal('MetadataIncompleteBuffer', () => inspectFile(file.subarray(0, header.length + 1)));
  });

  test('a detached header whose tensors no file could hold is refused', async () => {
    const end = 2n ** 60n;
    const huge = headerFrom(text(`{"x":{"dtype":"U8","shape":[${end}],"data_offsets":[0,${end}]}}`));
    await refusal('ValidationOverflow', () => inspectFile(huge));
  });
});
