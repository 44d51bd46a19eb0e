import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const ENGINE = new URL('../../dist/engine/portable/node.js', import.meta.url).href;

const DEADLINE_MS = 20_000;

/** Runs a program that has an `engine`, and a `load(signal)` that seals and reads 64 MiB; returns what it printed. */
async function program(body: string): Promise<string> {
  const script = `
    import { Worker } from 'node:worker_threads';
    import { createNodeEngine } from ${JSON.stringify(ENGINE)};
    const engine = createNodeEngine();
    const bytes = new Uint8Array(64 << 20).fill(7);
    const master = engine.randomSecret(32);
    const sealing = (signal) => engine.seal({
      sources: [engine.openBytes(bytes)],
      sink: engine.memorySink(new Uint8Array(bytes.length)),
      items: Float64Array.of(0, 0, bytes.length, 0, 1),
      encryption: { algorithm: 'aes256gcm', version: 2, chunkSize: 1 << 20, master },
      integrity: null, threads: 0, signal, onProgress: undefined,
    });
    ${body}`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  return stdout.trim();
}

describe('a process', () => {
  it('ends when there is nothing to do', async () => {
    expect(await program(`engine.digest('sha256', bytes); console.log('done');`)).toBe('done');
  });

  it('ends after its jobs', async () => {
    expect(await program(`await sealing(); await sealing(); console.log('done');`)).toBe('done');
  });

  it('is kept alive by a job that is under way', async () => {
    expect(await program(`sealing().then((packed) => console.log(packed.length));`)).toBe(
      String(32 + 12 + 16 + 12 + 64 * 16),
    );
  });

  it('can exit in the middle of a job', async () => {
    expect(await program(`sealing(); setTimeout(() => { console.log('leaving'); process.exit(0); }, 60);`)).toBe(
      'leaving',
    );
  });

  it('ends after an abort', async () => {
    expect(
      await program(`
        const controller = new AbortController();
        setTimeout(() => controller.abort(), 60);
        await sealing(controller.signal).catch((error) => console.log(error.code));`),
    ).toBe('AbortError');
  });

  it('can end a worker of its own in the middle of a job', async () => {
    expect(
      await program(`
        const worker = new Worker(\`
          import { parentPort } from 'node:worker_threads';
          import('${ENGINE}').then(async ({ createNodeEngine }) => {
            const engine = createNodeEngine();
            const bytes = new Uint8Array(64 << 20);
            const sealing = engine.seal({
              sources: [engine.openBytes(bytes)], sink: engine.memorySink(bytes.slice()), items: Float64Array.of(0, 0, bytes.length, 0, 1),
              encryption: { algorithm: 'aes256gcm', version: 1, chunkSize: 0, master: engine.randomSecret(32) },
              integrity: null, threads: 0, signal: undefined, onProgress: () => parentPort.postMessage('running'),
            });
            await sealing;
          })\`, { eval: true });
        worker.once('message', async () => console.log('ended', await worker.terminate()));`),
    ).toBe('ended 1');
  });
});
