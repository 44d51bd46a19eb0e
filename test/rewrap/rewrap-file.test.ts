import {
  chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync,
} from 'node:fs'; // prettier-ignore
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { padHeader } from '#dist/format/canonical.js';
import { encodePage, journalOf, newToken } from '#dist/recovery/page.js';
import {
  AbortError,
  attachHeader,
  detachHeader,
  generateKeys,
  inspectFile,
  loadFile,
  recoverFile,
  rewrapFile,
  safeOpen,
  saveFileSync,
} from 'cryptotensors';
import type { SaveOptions } from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { smallTensors, writeShardIndex } from '../support/model.js';
import { KeyService } from '../support/remote-master.js';
import { temporaryFolder } from '../support/temporary.js';

const parent = temporaryFolder();
const OLD = generateKeys({ encKid: 'old-enc', signKid: 'old-sign' });
const NEW = generateKeys({ encKid: 'new-enc', signKid: 'new-sign' });

function saved(options: SaveOptions = {}): { folder: string; path: string } {
  const folder = mkdtempSync(join(parent, 'case-'));
  const path = join(folder, 'model.safetensors');
  saveFileSync(smallTensors(), path, { keys: OLD, chunkSize: 64, ...options });
  return { folder, path };
}

/** Where the data begins, and the bytes behind. */
function dataOf(path: string): { start: number; data: Buffer } {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  return { start, data: bytes.subarray(start) };
}

/** Without the spaces that leave room for another header. */
function tighten(path: string): void {
  const { start, data } = dataOf(path);
  writeFileSync(path, Buffer.concat([padHeader(readFileSync(path).subarray(8, start), { align: 8 }), data]));
}

async function expectOpensWith(path: string, keys: typeof OLD, more: object = {}): Promise<void> {
  const tensors = await loadFile(path, { keys, ...more });
  for (const [name, { data }] of smallTensors()) expect(tensors.get(name)!.data, name).toEqual(data);
}

describe('rewrapFile', () => {
  test.each<[string, SaveOptions]>([
    ['version 1', { version: 1, chunkSize: undefined } as never],
    ['version 2', {}],
    ['partial encryption, with digests', { tensors: '*.weight', integrity: 'blake3' }],
    ['partial encryption, without', { tensors: ['mask', 'empty'], integrity: false }],
    [
      'metadata and a policy',
      { metadata: { format: 'pt', 'ü"\\': '\n' }, policy: { local: 'package model\nallow = 1 == 1' } },
    ],
  ])('overwrites the header where it stands: %s', async (_, options) => {
    const { folder, path } = saved(options);
    const before = dataOf(path);
    const { ino } = statSync(path);
    const old = await inspectFile(path);
    expect(await rewrapFile(pathToFileURL(path), { keys: OLD, to: { keys: NEW }, verify: true })).toEqual([
      { path, how: 'in-place' },
    ]);
    expect(dataOf(path)).toEqual(before);
    expect(statSync(path).ino).toBe(ino);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    await expectOpensWith(path, NEW);
    await refusal('UntrustedSigner', () => loadFile(path, { keys: OLD }));
    await refusal('KeyNotFound', () => loadFile(path, { keys: { keys: [OLD.keys[0]!] }, trust: NEW }));
    const found = await inspectFile(path);
    expect(found.encryption!.keys).toMatchObject({ enc: { kid: 'new-enc' }, sign: { kid: 'new-sign' } });
    expect(found.encryption!.policy).toEqual(old.encryption!.policy);
    expect({ ...found, encryption: null, pin: null }).toEqual({ ...old, encryption: null, pin: null });
  });

  test('to and fro, the records come back to the same text but for the wrapped keys', async () => {
    const { path } = saved();
    const text = (): string =>
      readFileSync(path)
        .subarray(8, dataOf(path).start)
        .toString()
        .replace(/(\\"(?:wrapped_key|key_iv|key_tag)\\":\\")[^"\\]*/g, '$1')
        .replace(/("__signature__":")[^"]*/, '$1');
    const before = text();
    await rewrapFile(path, { keys: OLD, to: { keys: NEW } });
    expect(text()).not.toBe(before);
    await rewrapFile(path, { keys: NEW, to: { keys: OLD } });
    expect(text()).toBe(before);
  });

  test('replaces the policy; what is not given is kept', async () => {
    const { path } = saved({ policy: { local: 'package model\nallow = true # a', remote: 'remote a' } });
    const denies = 'package model\nallow = false';
    await rewrapFile(path, { keys: OLD, to: { keys: OLD, policy: { local: denies } } });
    expect((await inspectFile(path)).encryption!.policy).toEqual({ local: denies, remote: 'remote a' });
    await refusal('PolicyDenied', () => loadFile(path, { keys: OLD }));
  });

  test('rotates the signer alone, or the master key alone', async () => {
    const { path } = saved();
    const [oldEnc, oldSign] = OLD.keys;
    const [newEnc, newSign] = NEW.keys;
    await rewrapFile(path, { keys: OLD, to: { keys: [{ keys: [oldEnc!] }, { keys: [newSign!] }] } });
    await expectOpensWith(path, { keys: [oldEnc!, newSign!] });
    await rewrapFile(path, {
      keys: { keys: [oldEnc!, newSign!] },
      to: { keys: { keys: [...OLD.keys, ...NEW.keys] }, encKid: 'new-enc', signKid: 'old-sign' },
    });
    await expectOpensWith(path, { keys: [newEnc!, oldSign!] });
  });

  test('to a master key that stays in its store, and back', async () => {
    const { path } = saved();
    const remote = new KeyService().provider;
    await rewrapFile(path, { keys: OLD, to: { keys: [remote, { keys: [NEW.keys[1]!] }] } });
    expect((await inspectFile(path)).encryption!.keys.enc.kid).toBe('hsm');
    const keys = [remote, { keys: [NEW.keys[1]!] }];
    await expectOpensWith(path, keys as never);
    await rewrapFile(path, { keys, to: { keys: OLD } });
    await expectOpensWith(path, OLD);
  });

  test.each(['aes128gcm', 'aes256gcm', 'chacha20poly1305'] as const)('%s, which stays', async (algorithm) => {
    const { path } = saved({ keys: generateKeys({ algorithm }) });
    await refusal('UntrustedSigner', () => rewrapFile(path, { keys: OLD, to: { keys: NEW } }));
    const [from, to] = [generateKeys({ algorithm }), generateKeys({ algorithm })];
    saveFileSync(smallTensors(), path, { keys: from });
    await rewrapFile(path, { keys: from, to: { keys: to } });
    await expectOpensWith(path, to);
    const other = generateKeys({ algorithm: algorithm === 'aes256gcm' ? 'chacha20poly1305' : 'aes256gcm' });
    await refusal('KeyNotFound', () => rewrapFile(path, { keys: to, to: { keys: other } }));
    await expectOpensWith(path, to);
  });

  test('replaces a file that has no room, keeps its permissions and leaves room in it', async () => {
    const { folder, path } = saved();
    tighten(path);
    chmodSync(path, 0o640);
    const { data } = dataOf(path);
    const progress: number[] = [];
    const to = { keys: NEW, policy: { local: `package model\nallow = true # ${'x'.repeat(5000)}` } };
    expect(
      await rewrapFile(path, { keys: OLD, to, onProgress: (done, total) => progress.push(done, total), threads: 1 }),
    ).toEqual([{ path, how: 'copy' }]);
    expect(dataOf(path).data).toEqual(data);
    expect(dataOf(path).start % 4096).toBe(0);
    expect(statSync(path).mode & 0o777).toBe(0o640);
    expect(progress.slice(-2)).toEqual([data.length, data.length]);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    await expectOpensWith(path, NEW);
    expect(await rewrapFile(path, { keys: NEW, to: { keys: OLD } })).toEqual([{ path, how: 'in-place' }]);
  });

  test('with a target leaves the file as it is', async () => {
    const { folder, path } = saved();
    const before = readFileSync(path);
    const target = join(folder, 'other.safetensors');
    chmodSync(path, 0o600);
    expect(await rewrapFile(path, { keys: OLD, to: { keys: NEW }, target })).toEqual([{ path: target, how: 'copy' }]);
    expect(readFileSync(path)).toEqual(before);
    expect(statSync(target).mode & 0o777).toBe(0o600);
    await expectOpensWith(target, NEW);
    await refusal('InvalidOption', () => rewrapFile(path, { keys: OLD, to: { keys: NEW }, target: path }));
    expect(readdirSync(folder).sort()).toEqual(['model.safetensors', 'other.safetensors']);
  });

  test('writes to the file behind a symbolic link, and keeps the link', async () => {
    const { folder, path } = saved();
    mkdirSync(join(folder, 'links'));
    const link = join(folder, 'links', 'link.safetensors');
    symlinkSync('../model.safetensors', link);
    await rewrapFile(link, { keys: OLD, to: { keys: NEW } });
    await expectOpensWith(path, NEW);
    tighten(path);
    await rewrapFile(link, { keys: NEW, to: { keys: OLD, policy: { remote: 'x'.repeat(9000) } } });
    await expectOpensWith(link, OLD);
    expect(readFileSync(path)).toEqual(readFileSync(link));
    expect([readdirSync(folder).sort(), readdirSync(join(folder, 'links'))]).toEqual([
      ['links', 'model.safetensors'],
      ['link.safetensors'],
    ]);
  });

  test('one rewrap of a file at a time; what was written first stays', async () => {
    const { folder, path } = saved();
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => rewrapFile(path, { keys: OLD, to: { keys: NEW } })),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'rejected')
        expect((result.reason as { code: string }).code).toMatch(/^(FileBusy|UntrustedSigner)$/);
    }
    await expectOpensWith(path, NEW);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });
});

describe('a refusal changes nothing and leaves nothing behind', () => {
  const denied = { policy: { local: 'package model\nallow = false' } };
  test.each<[string, string, SaveOptions, (path: string) => unknown]>([
    ['another signer', 'UntrustedSigner', {}, (path) => rewrapFile(path, { keys: NEW, to: { keys: NEW } })],
    [
      'no master key',
      'KeyNotFound',
      {},
      (path) => rewrapFile(path, { keys: { keys: [OLD.keys[1]!] }, to: { keys: NEW } }),
    ],
    [
      'the wrong master key',
      'BadTag',
      {},
      (path) => rewrapFile(path, { keys: [NEW, { keys: [OLD.keys[1]!] }], encKid: 'new-enc', to: { keys: NEW } }),
    ],
    ['no new signing key', 'KeyNotFound', {}, (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW.keys[0]! } })],
    ['no new master key', 'KeyNotFound', {}, (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW.keys[1]! } })],
    ['a public key', 'KeyNotFound', {}, (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW, signKid: 'old-sign' } })],
    ['the policy', 'PolicyDenied', denied, (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW } })],
    [
      'a header that would be too large',
      'HeaderTooLarge',
      {},
      (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW, policy: { remote: 'x'.repeat(100_000_000) } } }),
    ],
    [
      'a policy that could never open it',
      'PolicyError',
      {},
      (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW, policy: { local: 'package model\nallow = ' } } }),
    ],
    ['a plain file', 'NotEncrypted', { keys: undefined, chunkSize: undefined } as never, (path) => rewrapFile(path, { to: { keys: NEW }, allowPlain: true })],
    ['a header for another file', 'InvalidOption', {}, (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW }, header: path })],
    ['nowhere to detach to', 'InvalidOption', {}, (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW }, detached: true })],
    ['no folder for the target', 'FileError', {}, (path) => rewrapFile(path, { keys: OLD, to: { keys: NEW }, target: `${path}/no` })],
  ])('%s', async (_, code, options, work) => {
    const { folder, path } = saved(options);
    const before = readFileSync(path);
    await refusal(code as never, () => work(path));
    expect(readFileSync(path).equals(before)).toBe(true);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  }); // prettier-ignore

  test('the policy can be overruled by who holds the keys', async () => {
    const { path } = saved(denied);
    const asked: unknown[] = [];
    const evaluate = (_: string, input: { action: string }): boolean => asked.push(input.action) > 0;
    await rewrapFile(path, { keys: OLD, policy: { evaluate }, to: { keys: NEW } });
    expect(asked).toEqual(['rewrap']);
    await refusal('PolicyDenied', () => loadFile(path, { keys: NEW }));
  });

  test('damaged data, with verify', async () => {
    const { folder, path } = saved();
    const bytes = readFileSync(path);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(path, bytes);
    const error = await refusal('BadTag', () => rewrapFile(path, { keys: OLD, to: { keys: NEW }, verify: true }));
    expect(error.tensor).toBe('mask');
    expect(readFileSync(path)).toEqual(bytes);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
    await rewrapFile(path, { keys: OLD, to: { keys: NEW } });
    expect((await inspectFile(path)).encryption!.keys.enc.kid).toBe('new-enc');
  });

  test('a file that is changed meanwhile', async () => {
    const { folder, path } = saved();
    const other = saved({ metadata: { another: 'model' } });
    const evaluate = (): boolean => {
      copyFileSync(other.path, path);
      return true;
    };
    await refusal('FileChanged', () => rewrapFile(path, { keys: OLD, policy: { evaluate }, to: { keys: NEW } }));
    expect(readFileSync(path)).toEqual(readFileSync(other.path));
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  test('an abort', async () => {
    const { folder, path } = saved();
    const before = readFileSync(path);
    const controller = new AbortController();
    const evaluate = (): boolean => {
      controller.abort();
      return true;
    };
    for (const options of [{ signal: AbortSignal.abort() }, { signal: controller.signal, policy: { evaluate } }]) {
      await expect(rewrapFile(path, { keys: OLD, to: { keys: NEW }, ...options })).rejects.toBeInstanceOf(AbortError);
    }
    expect(readFileSync(path)).toEqual(before);
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });

  test.each<[RegExp, unknown]>([
    [/options\.to must be/, { keys: OLD }],
    [/options\.to\.keys must be/, { keys: OLD, to: {} }],
    [/unknown option "policy\.local"|unknown option "local"/, { keys: OLD, to: { keys: NEW, local: 'x' } }],
    [/options\.to\.policy\.local must be/, { keys: OLD, to: { keys: NEW, policy: { local: 1 } } }],
    [/unknown option "newKeys" of rewrapFile/, { keys: OLD, to: { keys: NEW }, newKeys: NEW }],
    [/options\.verify must be/, { keys: OLD, to: { keys: NEW }, verify: 1 }],
  ])('a TypeError: %s', async (message, options) => {
    const { path } = saved();
    await expect(rewrapFile(path, options as never)).rejects.toThrow(message);
    await expect(rewrapFile(path, options as never)).rejects.toBeInstanceOf(TypeError);
  });
});

/** A model of three shards; the second has no room for another header. */
function savedShards(): { folder: string; index: string; shards: string[] } {
  const folder = mkdtempSync(join(parent, 'shards-'));
  const index = join(folder, 'model.safetensors.index.json');
  const entries = [...smallTensors()];
  const shards = [0, 1, 2].map((i) => join(folder, `model-${i}.safetensors`));
  const weightMap: Record<string, string> = {};
  for (const [i, path] of shards.entries()) {
    const tensors = new Map(entries.filter((_, k) => k % 3 === i));
    for (const name of tensors.keys()) weightMap[name] = `model-${i}.safetensors`;
    saveFileSync(tensors, path, { keys: OLD, chunkSize: 64 });
  }
  tighten(shards[1]!);
  writeShardIndex(index, weightMap);
  return { folder, index, shards };
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown }).code;
}

describe('a sharded model', () => {
  test('is rewrapped as a whole', async () => {
    const { folder, index, shards } = savedShards();
    const files = readdirSync(folder);
    const long = { local: `package model\nallow = true # ${'x'.repeat(300)}` };
    const done = await rewrapFile(index, { keys: OLD, to: { keys: NEW, policy: long }, verify: true });
    expect(done).toEqual(shards.map((path, i) => ({ path, how: i === 1 ? 'copy' : 'in-place' })));
    await expectOpensWith(index, NEW);
    expect(readdirSync(folder)).toEqual(files);
    expect(await recoverFile(index)).toBe('nothing');
  });

  test('whose last shard is damaged keeps all of them', async () => {
    const { folder, index, shards } = savedShards();
    writeFileSync(shards[2]!, readFileSync(shards[2]!).fill(0, 8, 20));
    const before = shards.map((path) => readFileSync(path));
    await refusal('InvalidHeaderDeserialization', () => rewrapFile(index, { keys: OLD, to: { keys: NEW } }));
    expect(shards.map((path) => readFileSync(path))).toEqual(before);
    expect(readdirSync(folder)).toHaveLength(4);
  });

  test('excludes the rewrap of one of its shards, and the other way round', async () => {
    const { index, shards } = savedShards();
    const seen: unknown[] = [];
    const evaluate = async (): Promise<boolean> => {
      for (const path of [index, ...shards]) {
        seen.push(await rewrapFile(path, { keys: OLD, to: { keys: NEW } }).catch(codeOf));
      }
      return true;
    };
    await rewrapFile(index, { keys: OLD, to: { keys: NEW }, policy: { evaluate } });
    expect(new Set(seen)).toEqual(new Set(['FileBusy']));
    seen.length = 0;
    const other = async (): Promise<boolean> => {
      seen.push(await rewrapFile(index, { keys: NEW, to: { keys: OLD } }).catch(codeOf));
      return true;
    };
    await rewrapFile(shards[0]!, { keys: NEW, to: { keys: NEW }, policy: { evaluate: other } });
    expect(seen).toEqual(['FileBusy']);
    await expectOpensWith(index, NEW);
  });

  test('to a target: a whole new model in another folder, the index last', async () => {
    const { folder, index, shards } = savedShards();
    const before = shards.map((path) => readFileSync(path));
    const target = join(mkdtempSync(join(parent, 'target-')), 'model.safetensors.index.json');
    await rewrapFile(index, { keys: OLD, to: { keys: NEW }, target });
    expect(shards.map((path) => readFileSync(path))).toEqual(before);
    await expectOpensWith(target, NEW);
    const options = { keys: OLD, to: { keys: NEW } };
    await refusal('FileError', () => rewrapFile(index, { ...options, target }));
    await refusal('FileError', () => rewrapFile(index, { ...options, target: join(folder, 'b.index.json') }));
    await refusal('InvalidOption', () => rewrapFile(index, { ...options, target: join(folder, 'b.safetensors') }));
    await refusal('InvalidOption', () => rewrapFile(index, { ...options, target: join(parent, 'h'), detached: true }));
  });

  test('in a store behind links, as model caches keep them', async () => {
    const { folder, index, shards } = savedShards();
    const cache = mkdtempSync(join(parent, 'cache-'));
    for (const path of [index, ...shards]) symlinkSync(path, join(cache, path.slice(folder.length + 1)));
    const linked = join(cache, 'model.safetensors.index.json');
    await rewrapFile(linked, { keys: OLD, to: { keys: NEW } });
    await expectOpensWith(linked, NEW);
    await expectOpensWith(index, NEW);
    expect([readdirSync(folder).length, readdirSync(cache).length]).toEqual([4, 4]);
  });
});

describe('detached headers', () => {
  test('rewrapping by one leaves the body alone', async () => {
    const { folder, path } = saved();
    const before = readFileSync(path);
    const header = join(folder, 'customer.header');
    expect(await rewrapFile(path, { keys: OLD, to: { keys: NEW }, target: header, detached: true })).toEqual([
      { path: header, how: 'detached' },
    ]);
    expect(readFileSync(path)).toEqual(before);
    await expectOpensWith(path, NEW, { header });
    await expectOpensWith(path, OLD);
    // From one detached header to the next.
    const third = generateKeys();
    const next = join(folder, 'next.header');
    await rewrapFile(path, { keys: NEW, header, to: { keys: third }, target: next, detached: true });
    await expectOpensWith(path, third, { header: readFileSync(next) });
    // And to an ordinary file.
    const ordinary = join(folder, 'ordinary.safetensors');
    await rewrapFile(path, { keys: NEW, header, to: { keys: third }, target: ordinary });
    await expectOpensWith(ordinary, third);
  });

  test('detachHeader and attachHeader are each other’s inverse', async () => {
    const { folder, path } = saved();
    const header = join(folder, 'a.header');
    const whole = join(folder, 'whole.safetensors');
    await detachHeader(path, header);
    expect(statSync(header).size).toBeLessThan(dataOf(path).start);
    await expectOpensWith(path, OLD, { header });
    await attachHeader(path, header, whole);
    expect(readFileSync(whole)).toEqual(readFileSync(path));
    await attachHeader(path, readFileSync(header), path);
    expect(readFileSync(whole)).toEqual(readFileSync(path));
  });

  test('attachHeader makes room, and refuses a header of another body', async () => {
    const { folder, path } = saved();
    const header = join(folder, 'a.header');
    const policy = { local: `package model\nallow = true # ${'x'.repeat(9000)}` };
    await rewrapFile(path, { keys: OLD, to: { keys: NEW, policy }, target: header, detached: true });
    await attachHeader(path, header, path);
    expect(dataOf(path).start).toBe(16_384);
    await expectOpensWith(path, NEW);
    const other = join(folder, 'other.safetensors');
    saveFileSync({ w: { shape: [1], data: new Float32Array(1) } }, other, { keys: OLD });
    const before = readFileSync(other);
    await refusal('MetadataIncompleteBuffer', () => attachHeader(other, header, other));
    await refusal('InvalidHeaderLength', () => attachHeader(path, other, join(folder, 'x')));
    await refusal('HeaderTooSmall', () => attachHeader(path, new Uint8Array(3), join(folder, 'x')));
    expect(readFileSync(other)).toEqual(before);
    expect(existsSync(join(folder, 'x'))).toBe(false);
  });
});

describe('a journal that somebody left', () => {
  test('of nobody, or of bytes that mean nothing, is cleared away', async () => {
    for (const content of ['', 'x', '{"mark":1}', Buffer.alloc(20_000)]) {
      const { folder, path } = saved();
      writeFileSync(journalOf(path), content);
      await expectOpensWith(path, OLD);
      await rewrapFile(path, { keys: OLD, to: { keys: NEW } });
      await expectOpensWith(path, NEW);
      expect(readdirSync(folder)).toEqual(['model.safetensors']);
    }
  });

  test('of a process elsewhere is left to recoverFile', async () => {
    const { folder, path } = saved();
    const owner = { pid: 1, host: 'elsewhere', boot: 'x', namespace: null, started: null };
    writeFileSync(journalOf(path), encodePage({ token: newToken(), owner, whole: null }));
    const error = await refusal('FileBusy', () => rewrapFile(path, { keys: OLD, to: { keys: NEW } }));
    expect(error.message).toMatch(/"elsewhere" by process 1.*recoverFile/);
    await expectOpensWith(path, OLD);
    expect(await recoverFile(path)).toBe('undone');
    expect(readdirSync(folder)).toEqual(['model.safetensors']);
  });
});

test('rewrapping is seen by who opens, not by who has opened', async () => {
  const { path } = saved();
  await using file = await safeOpen(path, { keys: OLD });
  await rewrapFile(path, { keys: OLD, to: { keys: NEW } });
  expect((await file.getTensor('mask')).data).toEqual(Uint8Array.of(1, 0, 1));
});
