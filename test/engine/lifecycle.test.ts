import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { getEngine } from '#dist/engine/load.js';
import { SealMode } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { descriptorsOf } from '../support/descriptors.js';
import { temporaryFolder } from '../support/temporary.js';
import { copiesOf, kept, NO_CONTROL, openTable, pattern, readAll, sealTensors } from './sealed-file.js';

const engine = getEngine();
const folder = temporaryFolder();

describe('many requests at once', () => {
  const tensors = Array.from({ length: 50 }, (_, i) => pattern(10_000 + i, i + 1));
  const sealed = sealTensors(engine, tensors, { mode: SealMode.encrypt, chunkSize: 4096 });
  const source = engine.openBytes(sealed.stored);

  it('a thousand small reads', async () => {
    await Promise.all(
      Array.from({ length: 1000 }, async (_, i) => {
        const tensor = i % tensors.length;
        const destination = kept(new Uint8Array(5000));
        await engine.read({
          ...NO_CONTROL,
          table: sealed.table,
          source,
          destination,
          copies: copiesOf([tensor, i, 5000, 0]),
        });
        expect(Buffer.compare(destination, tensors[tensor]!.subarray(i, i + 5000))).toBe(0);
      }),
    );
  });

  it('blocking reads in between', async () => {
    const reads = Array.from({ length: 50 }, async (_, i) => {
      const destination = kept(new Uint8Array(10_000));
      const request = { ...NO_CONTROL, table: sealed.table, source, destination, copies: copiesOf([i, 0, 10_000, 0]) };
      if (i % 3 === 0) engine.readSync(request);
      else await engine.read(request);
      expect(Buffer.compare(destination, tensors[i]!.subarray(0, 10_000))).toBe(0);
    });
    await Promise.all(reads);
  });

  it('a small read does not wait for a large one', async () => {
    const large = sealTensors(engine, [new Uint8Array(200_000_000)], { mode: SealMode.encrypt });
    const order: string[] = [];
    await Promise.all([
      engine
        .read(readAll(large, engine.openBytes(large.stored), new Uint8Array(200_000_000)))
        .then(() => order.push('large')),
      engine
        .read({
          ...NO_CONTROL,
          table: sealed.table,
          source,
          destination: kept(new Uint8Array(10)),
          copies: copiesOf([0, 0, 10, 0]),
        })
        .then(() => order.push('small')),
    ]);
    expect(order).toEqual(['small', 'large']);
  });

  it('thousands of opens leave nothing open', async () => {
    const path = join(folder, 'opened');
    writeFileSync(path, 'x');
    for (let i = 0; i < 3000; i++) {
      const file = i % 2 === 0 ? await engine.openFile(path) : engine.openFileSync(path);
      openTable(engine, sealed.spec, sealed.master).dispose();
      file.close();
    }
    expect(descriptorsOf(path)).toBe(0);
  });
});

/** Seals 128 MiB in memory and starts to read it, with everything that a child process needs to go on from there. */
const LOADING = `
  const { getEngine } = await import(${JSON.stringify(new URL('../../dist/engine/load.js', import.meta.url).href)});
  const engine = getEngine();
  const none = { threads: 0, signal: undefined, onProgress: undefined };
  const size = 2 ** 27;
  const chunkSize = 2 ** 21;
  const algorithm = 'aes256gcm';
  const master = engine.randomSecret(32);
  const stored = engine.allocate(size, false);
  const packed = engine.sealSync({
    ...none, sources: [engine.openBytes(stored)], sink: engine.memorySink(stored), items: Float64Array.of(0, 0, size, 0, 1),
    encryption: { algorithm, version: 2, chunkSize, master }, integrity: null,
  });
  let document = '';
  const row = [0];
  let at = 0;
  for (const length of [32, 12, 16, 12, 16 * (size / chunkSize)]) {
    row.push(document.length);
    document += Buffer.from(packed.subarray(at, (at += length))).toString('base64');
    row.push(document.length);
  }
  const { table } = engine.createTable({
    dataStart: 0, begin: Float64Array.of(0), end: Float64Array.of(size), integrity: null,
    encryption: { algorithm, version: 2, chunkSize, document: Buffer.from(document), records: Int32Array.from(row) },
  });
  table.unwrap(master);
  const source = engine.openBytes(stored);
  // Each read has memory of its own: two that fill the same memory at once would rightly be refused each other's bytes.
  const load = async () => {
    const destination = engine.allocate(size, true);
    await engine.read({ ...none, table, source, destination, copies: Float64Array.of(0, 0, size, 0) });
    return destination;
  };
`;

/** Runs a script in a process of its own; it must end by itself. */
function run(
  script: string,
  env: Record<string, string> = {},
): Promise<{ code: number | null; signal: string | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--input-type=module', '--eval', script], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      // Under a sanitizer, on a machine that is busy, each start takes seconds.
      timeout: 120_000,
      killSignal: 'SIGKILL',
    });
    let output = '';
    child.stdout.on('data', (data: Buffer) => (output += data.toString()));
    child.stderr.on('data', (data: Buffer) => (output += data.toString()));
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, output }));
  });
}

describe.each(['ring', 'openssl'])('a process that ends, with %s', (provider) => {
  const env = { CRYPTOTENSORS_ENGINE: provider };

  it('by process.exit during a load', async () => {
    // Guards against threads that decrypt while OpenSSL's own exit handler frees what they use.
    for (let i = 0; i < 5; i++) {
      expect(await run(`${LOADING} load(); load(); setTimeout(() => process.exit(7), ${i * 5});`, env)).toEqual({
        code: 7,
        signal: null,
        output: '',
      });
    }
  });

  it('by an exception during a load', async () => {
    expect(await run(`${LOADING} load(); setTimeout(() => { throw new Error('on purpose'); }, 2);`, env)).toMatchObject(
      {
        code: 1,
        output: expect.stringContaining('on purpose') as unknown,
      },
    );
  });

  it('by itself, but not before its loads have ended', async () => {
    expect(await run(`${LOADING} load().then((loaded) => console.log('loaded', loaded[5]));`, env)).toEqual({
      code: 0,
      signal: null,
      output: 'loaded 0\n',
    });
  });

  it('after a worker was terminated during a load', async () => {
    // Guards against threads that write to the memory of an environment that is gone, and against the addon's being
    // unloaded with the last worker that loaded it.
    const script = `
      import { Worker } from 'node:worker_threads';
      import { setTimeout } from 'node:timers/promises';
      for (let i = 0; i < 6; i++) {
        const worker = new Worker(${JSON.stringify(`
          import { parentPort } from 'node:worker_threads';
          ${LOADING}
          for (let n = 0; n < 2; n++) load();
          parentPort.postMessage('loading');
          setInterval(() => {}, 1000);
        `)}, { eval: true, execArgv: ['--input-type=module'] });
        await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
        await setTimeout(i * 3);
        await worker.terminate();
      }
      console.log('terminated');
    `;
    expect(await run(script, env)).toEqual({ code: 0, signal: null, output: 'terminated\n' });
  });

  it('after workers loaded side by side and exited', async () => {
    const script = `
      import { Worker } from 'node:worker_threads';
      await Promise.all(Array.from({ length: 3 }, () => new Promise((resolve, reject) => {
        new Worker(${JSON.stringify(`${LOADING} const destination = await load(); engine.readSync({ ...none, table, source, destination, copies: Float64Array.of(0, 0, size, 0) });`)}, { eval: true, execArgv: ['--input-type=module'] })
          .once('exit', resolve).once('error', reject);
      })));
      console.log('loaded');
    `;
    expect(await run(script, env)).toEqual({ code: 0, signal: null, output: 'loaded\n' });
  });
});
