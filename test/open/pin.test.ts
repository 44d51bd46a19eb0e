import { copyFileSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import { describe, expect, test, vi } from 'vitest';
import {
  SafeFile,
  decryptFile,
  generateKeys,
  inspectFileSync,
  loadFile,
  safeOpen,
  safeOpenSync,
  saveFileSync,
  verifyFile,
} from 'cryptotensors';
import type { KeyProvider, OpenInput, OpenOptions } from 'cryptotensors';
import { parseHeader } from '#dist/format/header.js';
import { descriptorsOf } from '../support/descriptors.js';
import { headerFrom, headerOf } from '../support/detach.js';
import { refusal } from '../support/errors.js';
import { KEYS, saveSmallModel, smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const path = saveSmallModel(folder, 'new.safetensors', { metadata: { release: '2' } });
const old = saveSmallModel(folder, 'old.safetensors', { metadata: { release: '1' } });
const plain = join(folder, 'plain.safetensors');
saveFileSync(smallTensors(), plain);

const pinOf = (input: OpenInput): string => inspectFileSync(input).pin;
const pin = pinOf(path);

describe('pin', () => {
  test.each([
    ['encrypted', path],
    ['plain', plain],
  ])('is the SHA-256 of the canonical header, by another implementation too: %s', async (_, input) => {
    const file = readFileSync(input);
    const canonical = parseHeader(headerOf(file).subarray(8), file.length).canonical();
    expect(pinOf(input)).toBe(bytesToHex(sha256(canonical)));
    await using model = await safeOpen(input, input === plain ? {} : { keys: KEYS });
    expect(model.pins()).toEqual([pinOf(input)]);
    expect((await verifyFile(input, input === plain ? {} : { keys: KEYS })).pins).toEqual([pinOf(input)]);
    using attached = SafeFile.attach(model.share());
    expect(attached.pins()).toEqual([pinOf(input)]);
  });

  test.each([[pin], [`sha256:${pin}`], [[pin]], [[`sha256:${pin}`]]])('lets the file in: %j', async (given) => {
    await using model = await safeOpen(path, { keys: KEYS, pin: given });
    expect(model.pins()).toEqual([pin]);
  });

  test('does not depend on spaces and padding, but on everything that is signed', () => {
    const header = headerOf(readFileSync(path));
    expect(pinOf(headerFrom(header.subarray(8), 1000))).toBe(pin);
    expect(pinOf(old)).not.toBe(pin);
    // The same tensors once more: other data keys and tags.
    expect(pinOf(saveSmallModel(folder, 'again.safetensors', { metadata: { release: '2' } }))).not.toBe(pin);
  });

  test('an old file in the place of a new one is refused, however well it is signed', async () => {
    const replayed = join(folder, 'replayed.safetensors');
    saveSmallModel(folder, 'replayed.safetensors', { metadata: { release: '1' } });
    await (await safeOpen(replayed, { keys: KEYS })).close();
    const found = pinOf(replayed);
    const options = { keys: KEYS, pin };
    const attempts: (() => unknown)[] = [
      () => safeOpen(replayed, options),
      () => safeOpenSync(replayed, options),
      () => loadFile(replayed, options),
      () => verifyFile(replayed, options),
      () => decryptFile(replayed, join(folder, 'never.safetensors'), options),
      () => safeOpen(readFileSync(replayed), options),
      () => safeOpen(path, { ...options, header: headerOf(readFileSync(replayed)) }),
    ];
    for (const attempt of attempts) {
      const error = await refusal('PinMismatch', attempt);
      expect(error).toMatchObject({ expected: `${pin.slice(0, 8)}...`, found });
      expect(error.message).toContain(`is ${found}, but options.pin asks for ${pin.slice(0, 8)}...`);
    }
    expect(descriptorsOf(replayed)).toBe(0);
  });

  test('is checked after the signature, and before the policy is asked and the master key looked for', async () => {
    const evaluate = vi.fn(() => true);
    const asked: string[] = [];
    const provider: KeyProvider = {
      name: 'witness',
      findSync: ({ role }) => {
        asked.push(role);
        return readFileSync(KEYS);
      },
    };
    const options: OpenOptions = { keys: provider, pin, policy: { evaluate } };
    await refusal('PinMismatch', () => safeOpen(old, options));
    expect([evaluate.mock.calls, asked]).toEqual([[], ['verifying']]);
    await (await safeOpen(path, options)).close();
    expect([evaluate.mock.calls.length, asked]).toEqual([1, ['verifying', 'verifying', 'master']]);
    await refusal('UntrustedSigner', () => safeOpen(old, { keys: KEYS, trust: generateKeys(), pin }));
  });

  test('a pin is no trust: the signature is checked all the same', async () => {
    const forged = headerOf(readFileSync(path));
    const text = new TextDecoder().decode(forged);
    const at = text.indexOf('"__signature__":"') + 20;
    forged[at] = forged[at] === 0x41 ? 0x42 : 0x41;
    expect(pinOf(forged)).toBe(pin);
    await refusal('BadSignature', () => safeOpen(path, { keys: KEYS, pin, header: forged }));
  });

  test('a plain file can be pinned, but still has to be allowed where keys are configured', async () => {
    const mine = pinOf(plain);
    expect((await loadFile(plain, { pin: mine })).size).toBe(6);
    expect((await loadFile(plain, { pin: mine, keys: KEYS, allowPlain: true })).size).toBe(6);
    await refusal('NotEncrypted', () => safeOpen(plain, { pin: mine, keys: KEYS }));
    expect((await refusal('PinMismatch', () => safeOpen(plain, { pin }))).found).toBe(mine);
    await refusal('PinMismatch', () => safeOpen(plain, { pin, keys: KEYS, allowPlain: true }));
    await refusal('PinMismatch', () => safeOpen(path, { pin: mine, keys: KEYS }));
  });

  test('a sharded model needs the pin of each of its files, and no other', async () => {
    const evaluate = vi.fn(() => true);
    const names = ['a', 'b', 'c'];
    for (const name of names) {
      const tensors = { [name]: { shape: [1], data: Int8Array.of(1) } };
      saveFileSync(tensors, join(folder, `${name}.safetensors`), { keys: KEYS });
    }
    const index = join(folder, 'model.safetensors.index.json');
    writeShardIndex(index, Object.fromEntries(names.map((name) => [name, `${name}.safetensors`])));
    const [a, b, c] = names.map((name) => pinOf(join(folder, `${name}.safetensors`))) as [string, string, string];
    const open = (...pins: string[]) => safeOpen(index, { keys: KEYS, pin: pins, policy: { evaluate } });
    await using model = await open(c, `sha256:${a}`, b);
    expect(model.pins()).toEqual([a, b, c]);

    evaluate.mockClear();
    expect(await refusal('PinMismatch', () => open(a, b))).toMatchObject({
      path: join(folder, 'c.safetensors'),
      found: c,
    });
    expect(evaluate).toHaveBeenCalledTimes(2);
    evaluate.mockClear();
    expect(await refusal('PinMismatch', () => open(a, b, c, pin))).toMatchObject({
      path: index,
      expected: '4 files',
      found: '3 files',
    });
    expect(evaluate).not.toHaveBeenCalled();
    await refusal('PinMismatch', () => safeOpen(path, { keys: KEYS, pin: [pin, a] }));

    // One of the files twice, in the place of another.
    copyFileSync(join(folder, 'a.safetensors'), join(folder, 'copy.safetensors'));
    const twice = join(folder, 'twice.safetensors.index.json');
    writeShardIndex(twice, { a: 'a.safetensors', b: 'copy.safetensors' });
    const absent = await refusal('PinMismatch', () => safeOpen(twice, { keys: KEYS, pin: [a, b] }));
    expect(absent).toMatchObject({ path: twice, expected: `${b.slice(0, 8)}...`, found: a });

    // A whole shard of an older release among the new ones.
    const older = join(folder, 'older.safetensors');
    saveFileSync({ b: { shape: [1], data: Int8Array.of(0) } }, older, { keys: KEYS });
    renameSync(older, join(folder, 'b.safetensors'));
    await (await safeOpen(index, { keys: KEYS })).close();
    const error = await refusal('PinMismatch', () => open(a, b, c));
    expect(error).toMatchObject({
      path: join(folder, 'b.safetensors'),
      expected: [a, b, c].map((pin) => `${pin.slice(0, 8)}...`).join(', '),
    });
  });

  test.each([
    ['upper case', pin.toUpperCase()],
    ['too short', pin.slice(1)],
    ['another algorithm', `sha512:${pin}`],
    ['an empty list', []],
    ['an empty string', ''],
    ['a line break behind it', `${pin}\n`],
    ['one of two', [pin, 'x']],
  ])('%s is refused', async (_, given) => {
    await refusal('InvalidOption', () => safeOpen(path, { keys: KEYS, pin: given }));
  });

  test.each([[5], [null], [[5]], [{}]])('%j is refused', async (given) => {
    await expect(safeOpen(path, { keys: KEYS, pin: given as never })).rejects.toThrow(
      /^options\.pin must be a string or a list of strings, not /,
    );
  });
});
