import {
  appendFileSync,
  ftruncateSync,
  openSync,
  closeSync,
  mkdirSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { platform } from 'node:process';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import { SealMode } from '#dist/engine/types.js';
import type { JobFault, ReadRequest } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { descriptorsOf } from '../support/descriptors.js';
import { temporaryFolder } from '../support/temporary.js';
import {
  PLAINLY,
  faultOf,
  itemsOf,
  openTable,
  pattern,
  seal,
  sealOptions,
  specOf,
  unpack,
  wholeCopies,
} from './sealed-file.js';
import type { PlainTensor, SealedFile } from './sealed-file.js';

const engine = createNodeEngine();
const folder = temporaryFolder();
const POISON = 0xaa;
const MiB = 1024 * 1024;
let files = 0;

function newPath(): string {
  return join(folder, `${files++}.bin`);
}

/** A file of its own, and its path. */
function stored(bytes: Uint8Array): string {
  const path = newPath();
  writeFileSync(path, bytes);
  return path;
}

const tensors: PlainTensor[] = [
  { bytes: pattern(40, 1), mode: 'encrypt' },
  { bytes: pattern(50, 2), mode: 'digest' },
  { bytes: pattern(0, 3), mode: 'encrypt' },
  { bytes: pattern(60, 4), mode: 'plain' },
];
const protection = {
  algorithm: 'aes256gcm',
  chunkSize: 16,
  integrity: { algorithm: 'sha256', chunkSize: 20 },
} as const;

/** The same request in its two forms. */
const FORMS = [
  ['read', (request: ReadRequest) => engine.read(request)],
  ['readSync', (request: ReadRequest) => engine.readSync(request)],
] as const;

/** Runs a read that must fail; what it wrote must be wiped, and nothing beside it touched. */
async function expectFault(
  read: (request: ReadRequest) => unknown,
  request: Omit<ReadRequest, 'destination'>,
  fault: Partial<JobFault>,
) {
  const byteLength = wholeCopies(tensors).reduce((sum, value, i) => (i % 4 === 2 ? sum + value : sum), 0);
  for (const shared of [false, true]) {
    const memory = engine.allocate(byteLength + 10, shared).fill(POISON);
    expect(await faultOf(() => read({ ...request, destination: memory.subarray(5, 5 + byteLength) }))).toMatchObject(
      fault,
    );
    expect(memory.subarray(5, 5 + byteLength).every((byte) => byte === 0 || byte === POISON)).toBe(true);
    expect([...memory.subarray(0, 5), ...memory.subarray(-5)].every((byte) => byte === POISON)).toBe(true);
  }
}

describe.each(FORMS)('%s', (_, read) => {
  const request = (file: SealedFile, bytes = file.stored) => ({
    table: openTable(engine, file),
    source: engine.openBytes(bytes),
    copies: wholeCopies(tensors),
    ...PLAINLY,
  });

  it.each([
    [0, { code: 'BadTag', tensor: 0, chunk: 0 }],
    [17, { code: 'BadTag', tensor: 0, chunk: 1 }],
    [39, { code: 'BadTag', tensor: 0, chunk: 2 }],
    [40, { code: 'BadDigest', tensor: 1, chunk: 0 }],
    [89, { code: 'BadDigest', tensor: 1, chunk: 2 }],
  ] as const)('refuses a changed byte at %i, and wipes the destination', async (at, fault) => {
    const file = seal(engine, tensors, protection);
    file.stored[at]! ^= 0x80;
    await expectFault(read, request(file), fault);
  });

  it.each(['tag', 'iv', 'key'])('refuses a wrong %s', async (what) => {
    const file = seal(engine, tensors, protection);
    const field = { key: 0, iv: 3, tag: 4 }[what]!;
    if (what === 'key') {
      const other = seal(engine, tensors, protection);
      file.fields[0]!.splice(0, 3, ...other.fields[0]!.slice(0, 3));
      file.master = other.master;
      for (const i of [2]) file.fields[i] = other.fields[i]!;
    } else {
      const bytes = Buffer.from(file.fields[0]![field]!, 'base64');
      bytes[7]! ^= 1;
      file.fields[0]![field] = bytes.toString('base64');
    }
    await expectFault(read, request(file), { code: 'BadTag', tensor: 0, chunk: 0 });
  });

  it('checks the tag of an empty tensor', async () => {
    const file = seal(engine, tensors, protection);
    file.fields[2]![4] = Buffer.alloc(16).toString('base64');
    await expectFault(read, request(file), { code: 'BadTag', tensor: 2, chunk: 0 });
    const copies = Float64Array.of(2, 0, 0, 0);
    expect(await faultOf(() => read({ ...request(file), copies, destination: new Uint8Array(0) }))).toMatchObject({
      tensor: 2,
    });
  });

  it('checks the digest of an empty tensor, if there is one', async () => {
    const empty: PlainTensor[] = [{ bytes: new Uint8Array(0), mode: 'digest' }];
    const file = seal(engine, empty, protection);
    const copies = Float64Array.of(0, 0, 0, 0);
    const destination = new Uint8Array(0);
    await read({ ...request(file), copies, destination });
    file.fields[0] = [Buffer.alloc(32).toString('base64')];
    expect(await faultOf(() => read({ ...request(file), copies, destination }))).toMatchObject({
      code: 'BadDigest',
      tensor: 0,
      chunk: 0,
    });
    file.fields[0] = [''];
    await read({ ...request(file), copies, destination });
  });

  it('has nothing to check for an empty tensor of version 1 without IV and tag', async () => {
    const empty: PlainTensor[] = [{ bytes: new Uint8Array(0), mode: 'encrypt' }];
    const file = seal(engine, empty, { algorithm: 'aes128gcm', chunkSize: 0 });
    const copies = Float64Array.of(0, 0, 0, 0);
    const destination = new Uint8Array(0);
    await read({ ...request(file), copies, destination });
    file.fields[0]!.splice(3, 2, '', '');
    await read({ ...request(file), copies, destination });
  });

  it('reads no sealed tensor before the DEKs were unwrapped', async () => {
    const file = seal(engine, tensors, protection);
    const made = engine.createTable(specOf(file));
    if (!('table' in made)) expect.fail('no table');
    const wanted = { ...request(file), table: made.table };
    await read({ ...wanted, destination: new Uint8Array(60), copies: Float64Array.of(3, 0, 60, 0) });
    await expectFault(read, wanted, { code: 'InvalidOption' });
    expect(made.table.unwrap(engine.randomSecret(32))).toBe(0);
    await expectFault(read, wanted, { code: 'InvalidOption' });
    const master = engine.importSecret(file.master);
    expect(made.table.unwrap(master)).toBe(-1);
    const destination = new Uint8Array(150);
    await read({ ...wanted, destination });
    expect(Buffer.compare(destination, Buffer.concat(tensors.map(({ bytes }) => bytes)))).toBe(0);
  });

  describe('of a file that changes', () => {
    const open = (file: SealedFile) => {
      const path = stored(file.stored);
      return { path, request: { ...request(file), source: engine.openFileSync(path) } };
    };
    /** To the second, so that every file system tells the difference. */
    const touch = (path: string) => utimesSync(path, new Date(), new Date(statSync(path).mtimeMs - 10_000));

    it('refuses bytes without a check when the modification time is another', async () => {
      const { path, request } = open(seal(engine, tensors, protection));
      touch(path);
      await expectFault(read, request, { code: 'FileChanged', tensor: -1 });
    });

    it('refuses bytes without a check when it has grown', async () => {
      const { path, request } = open(seal(engine, tensors, protection));
      appendFileSync(path, 'x');
      await expectFault(read, request, { code: 'FileChanged' });
    });

    it('does not mind where every byte was checked', async () => {
      const checked = tensors.slice(0, 3);
      const { path, request } = open(seal(engine, checked, protection));
      touch(path);
      const destination = new Uint8Array(90);
      await read({ ...request, copies: wholeCopies(checked), destination });
      expect(Buffer.compare(destination, Buffer.concat(checked.map(({ bytes }) => bytes)))).toBe(0);
    });

    it('says so where a check fails because of it', async () => {
      const { path, request } = open(seal(engine, tensors, protection));
      const fd = openSync(path, 'r+');
      writeSync(fd, 'changed', 18);
      closeSync(fd);
      touch(path);
      await expectFault(read, request, { code: 'FileChanged', tensor: 0, chunk: 1 });
    });

    it('refuses it when it has become shorter', async () => {
      const { path, request } = open(seal(engine, tensors, protection));
      const fd = openSync(path, 'r+');
      ftruncateSync(fd, 60);
      closeSync(fd);
      await expectFault(read, request, { code: 'FileChanged', chunk: -1 });
    });

    it('refuses bytes in memory that are too few', async () => {
      const file = seal(engine, tensors, protection);
      await expectFault(read, request(file, file.stored.subarray(0, 80)), { code: 'FileChanged' });
    });
  });

  it('says Closed of what was closed', async () => {
    const file = seal(engine, tensors, protection);
    const destination = new Uint8Array(150);
    const [source, table] = [request(file), request(file)];
    source.source.close();
    source.source.close();
    expect(await faultOf(() => read({ ...source, destination }))).toMatchObject({ code: 'Closed', tensor: -1 });
    table.table.dispose();
    table.table.dispose();
    expect(await faultOf(() => read({ ...table, destination }))).toMatchObject({ code: 'Closed', tensor: -1 });
  });

  it('refuses what another engine made', async () => {
    const wanted = { ...request(seal(engine, tensors, protection)), destination: new Uint8Array(150) };
    const foreign = { size: 1, path: undefined, status: () => null, close: () => undefined };
    await expect((async () => read({ ...wanted, source: foreign }))()).rejects.toThrow(
      'PortableSource made by this engine',
    );
    await expect(
      (async () => read({ ...wanted, table: Object.create(null) as ReadRequest['table'] }))(),
    ).rejects.toThrow(TypeError);
  });

  it('ends before it begins when its signal was aborted before', async () => {
    const file = seal(engine, tensors, protection);
    await expectFault(read, { ...request(file), signal: AbortSignal.abort() }, { code: 'AbortError' });
  });

  it('ends, and wipes, when onProgress throws', async () => {
    const large: PlainTensor[] = [{ bytes: pattern(3 * MiB), mode: 'encrypt' }];
    const file = seal(engine, large, { algorithm: 'aes256gcm', chunkSize: MiB });
    const destination = new Uint8Array(3 * MiB).fill(POISON);
    const onProgress = () => {
      throw new Error('enough');
    };
    await expect(
      (async () => read({ ...request(file), copies: wholeCopies(large), destination, onProgress }))(),
    ).rejects.toThrow('enough');
    expect(destination.every((byte) => byte === 0 || byte === POISON)).toBe(true);
  });
});

describe('unseal', () => {
  it('writes no byte of a chunk to a file that does not pass, however large it is', async () => {
    const large: PlainTensor[] = [{ bytes: pattern(5 * MiB), mode: 'encrypt' }];
    const file = seal(engine, large, { algorithm: 'aes256gcm', chunkSize: 0 });
    file.stored[file.stored.length - 1]! ^= 1;
    const source = engine.openBytes(file.stored);
    for (const run of [engine.unseal.bind(engine), engine.unsealSync.bind(engine)]) {
      const path = newPath();
      const sink = engine.createFile(path, 0o600);
      const fault = await faultOf(() =>
        run({ table: openTable(engine, file), source, sink, tensors: Float64Array.of(0, 0), ...PLAINLY }),
      );
      expect(fault).toMatchObject({ code: 'BadTag', tensor: 0, chunk: 0 });
      sink.close();
      expect(statSync(path).size).toBe(0);
    }
  });

  it('wipes memory that it wrote to', async () => {
    const file = seal(engine, tensors, protection);
    file.stored[80]! ^= 1;
    const memory = new Uint8Array(160).fill(POISON);
    const rows = Float64Array.of(0, 5, 1, 45, 2, 95, 3, 95);
    const request = {
      table: openTable(engine, file),
      source: engine.openBytes(file.stored),
      sink: engine.memorySink(memory),
      tensors: rows,
      ...PLAINLY,
    };
    expect(await faultOf(() => engine.unseal(request))).toMatchObject({ code: 'BadDigest', tensor: 1, chunk: 2 });
    expect(memory.subarray(5, 155).every((byte) => byte === 0 || byte === POISON)).toBe(true);
    expect([...memory.subarray(0, 5), ...memory.subarray(155)].every((byte) => byte === POISON)).toBe(true);
  });
});

describe('seal', () => {
  const master = engine.randomSecret(32);
  const seals = (path: string, run: 'seal' | 'sealSync', length: number) => {
    const memory = new Uint8Array(200).fill(POISON);
    const source = engine.openFileSync(path);
    const sink = engine.memorySink(memory);
    const request = {
      sources: [source],
      sink,
      items: Float64Array.of(0, 0, length, 10, SealMode.encrypt),
      encryption: { algorithm: 'aes256gcm', version: 2, chunkSize: 16, master },
      integrity: null,
      ...PLAINLY,
    } as const;
    return { memory, run: () => engine[run]({ ...request, sources: [source] }) };
  };

  it.each(['seal', 'sealSync'] as const)('%s refuses a source that changes, and wipes', async (form) => {
    const path = stored(pattern(100));
    const { memory, run } = seals(path, form, 100);
    appendFileSync(path, 'x');
    expect(await faultOf(run)).toMatchObject({ code: 'FileChanged' });
    expect(memory.subarray(10, 110).every((byte) => byte === 0)).toBe(true);
    expect([...memory.subarray(0, 10), ...memory.subarray(110)].every((byte) => byte === POISON)).toBe(true);
  });

  it('goes on with a master key that is disposed meanwhile', async () => {
    // More than the threads take at once: keys are drawn when a tensor's turn comes.
    const large: PlainTensor[] = Array.from({ length: 24 }, (_, i) => ({ bytes: pattern(MiB, i), mode: 'encrypt' }));
    const own = engine.randomSecret(32);
    const key = engine.exportSecret(own);
    const target = new Uint8Array(24 * MiB);
    const version1 = { algorithm: 'aes256gcm', chunkSize: 0 } as const;
    const sealing = engine.seal({
      sources: [engine.openBytes(Buffer.concat(large.map(({ bytes }) => bytes)))],
      sink: engine.memorySink(target),
      items: itemsOf(large),
      ...sealOptions(version1, own),
      ...PLAINLY,
    });
    own.dispose();
    const fields = unpack(await sealing, large, version1);
    openTable(engine, { stored: target, master: key, fields, protection: version1, tensors: large });
  });
});

describe('files', () => {
  it.each(['openFile', 'openFileSync'] as const)('%s says what is wrong, with the system code', async (form) => {
    const missing = await faultOf(() => engine[form](join(folder, 'missing')));
    expect(missing).toMatchObject({
      code: 'FileError',
      systemCode: 'ENOENT',
      message: 'cannot open: no such file or directory',
    });
    const directory = join(folder, `directory-${form}`);
    mkdirSync(directory);
    expect(await faultOf(() => engine[form](directory))).toMatchObject({ code: 'FileError', systemCode: 'EISDIR' });
    expect(descriptorsOf(directory)).toBe(0);
    await expect((async () => engine[form]('a\0b'))()).rejects.toThrow(TypeError);
  });

  it.skipIf(platform === 'win32')('does not wait for the writer of a FIFO', async () => {
    const path = join(folder, 'fifo');
    execFileSync('mkfifo', [path]);
    expect(await faultOf(() => engine.openFile(path))).toMatchObject({
      code: 'FileError',
      message: 'it is not a regular file',
    });
    expect(descriptorsOf(path)).toBe(0);
  });

  it('creates only what was not there', async () => {
    const path = stored(pattern(3));
    expect(await faultOf(() => engine.createFile(path, 0o600))).toMatchObject({
      code: 'FileError',
      systemCode: 'EEXIST',
    });
    expect(statSync(path).size).toBe(3);
  });

  it('refuses a file that is larger than the disk before it is written', async () => {
    const path = newPath();
    const sink = engine.createFile(path, 0o600);
    const full = { code: 'FileError', systemCode: expect.stringMatching(/ENOSPC|EFBIG/) as string };
    expect(await faultOf(() => sink.allocate(2 ** 52))).toMatchObject(full);
    expect(await faultOf(() => sink.allocateAsync(2 ** 52))).toMatchObject(full);
    sink.allocate(10);
    expect(statSync(path).size).toBe(10);
    await sink.allocateAsync(20);
    expect(statSync(path).size).toBe(20);
    await sink.syncAsync();
    sink.close();
  });

  it('refuses more than there is memory', async () => {
    const sink = engine.memorySink(new Uint8Array(10));
    sink.allocate(10);
    await sink.allocateAsync(10);
    expect(await faultOf(() => sink.allocate(11))).toMatchObject({ code: 'InvalidOption' });
    expect(await faultOf(() => sink.allocateAsync(11))).toMatchObject({ code: 'InvalidOption' });
    expect(await faultOf(() => sink.write(9, new Uint8Array(2)))).toMatchObject({ code: 'InvalidOption' });
    await sink.syncAsync();
  });

  it.each(['file', 'memory'])('says Closed of a sink that was closed: %s', async (kind) => {
    const sink = kind === 'file' ? engine.createFile(newPath(), 0o600) : engine.memorySink(new Uint8Array(10));
    sink.close();
    sink.close();
    const uses = [
      () => sink.allocate(1),
      () => sink.allocateAsync(1),
      () => sink.write(0, new Uint8Array(1)),
      () => sink.sync(),
      () => sink.syncAsync(),
    ];
    for (const use of uses) expect(await faultOf(use)).toMatchObject({ code: 'Closed', tensor: -1 });
  });

  it('cannot be mapped, and says so', async () => {
    const source = engine.openFileSync(stored(pattern(10)));
    expect(await faultOf(() => engine.map(source, 0, 10))).toMatchObject({ code: 'InvalidOption' });
    source.close();
  });

  it.each(['readRaw', 'readRawSync'] as const)(
    '%s fills all of the destination, or says that it cannot',
    async (form) => {
      const bytes = pattern(1000);
      for (const source of [engine.openFileSync(stored(bytes)), engine.openBytes(bytes)]) {
        const destination = new Uint8Array(new SharedArrayBuffer(100));
        await engine[form](source, 900, destination);
        expect(Buffer.compare(destination, bytes.subarray(900))).toBe(0);
        expect(await faultOf(() => engine[form](source, 901, destination))).toMatchObject({ code: 'FileChanged' });
        source.close();
        expect(await faultOf(() => engine[form](source, 0, destination))).toMatchObject({ code: 'Closed' });
      }
    },
  );

  it('refuses memory that could shrink under a job', async () => {
    const bytes = new Uint8Array(new ArrayBuffer(8, { maxByteLength: 16 }));
    expect(await faultOf(() => engine.openBytes(bytes))).toMatchObject({ code: 'InvalidOption' });
    expect(await faultOf(() => engine.memorySink(bytes))).toMatchObject({ code: 'InvalidOption' });
  });
});
