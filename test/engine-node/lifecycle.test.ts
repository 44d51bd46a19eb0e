import { execFile } from 'node:child_process';
import { getPriority } from 'node:os';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';

const run = promisify(execFile);
const ENGINE = new URL('../../dist/engine/node/engine.js', import.meta.url).href;

/** Far less than a worker thread that keeps its process alive would take. */
const DEADLINE_MS = 20_000;

/** Runs a program that has an `engine`, and a `load(signal)` that seals and reads 64 MiB; returns what it printed. */
async function program(body: string, options: string[] = []): Promise<string> {
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
  const { stdout } = await run(process.execPath, [...options, '--input-type=module', '-e', script], {
    timeout: DEADLINE_MS,
    killSignal: 'SIGKILL',
  });
  return stdout.trim();
}

describe('a process', () => {
  it('does not begin threads for what needs none, and ends when there is nothing to do', async () => {
    expect(await program(`engine.digest('sha256', bytes); console.log('done');`)).toBe('done');
  });

  it('ends after its jobs, though the threads are kept', async () => {
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

  it('that may not start threads is told so', async () => {
    const permission = process.allowedNodeEnvironmentFlags.has('--permission')
      ? '--permission'
      : '--experimental-permission';
    const options = ['--no-warnings', permission, '--allow-fs-read=*'];
    expect(
      await program(
        `
        for (let i = 0; i < 2; i++) {
          await sealing().catch(({ code, message }) => console.log(code, message.split(':')[0]));
        }`,
        options,
      ),
    ).toBe('InvalidOption no worker thread can be had\nInvalidOption no worker thread can be had');
  });

  it('in which a thread dies loses the job that it was at, and nothing else', async () => {
    expect(
      await program(`
        // The pool refs a worker when it gives it work.
        const { ref } = Worker.prototype;
        let left = 1;
        Worker.prototype.ref = function () {
          ref.call(this);
          if (left-- > 0) this.terminate();
        };
        await sealing().catch(({ code, message }) => console.log(code, message));
        console.log((await sealing()).length);`),
    ).toBe(`InvalidOption a worker thread ended unexpectedly\n${32 + 12 + 16 + 12 + 64 * 16}`);
  });

  it.skipIf(process.platform !== 'linux' || getPriority() !== 0)(
    'keeps its event loop at its own priority, ahead of the threads',
    async () => {
      const printed = await program(`
      const { readFileSync, readdirSync } = await import('node:fs');
      await sealing();
      // Field 19 of the line, counted from after the name.
      const nice = (file) => Number(readFileSync(file, 'utf8').split(') ')[1].split(' ')[16]);
      const threads = readdirSync('/proc/self/task').map((id) => nice('/proc/self/task/' + id + '/stat'));
      console.log(nice('/proc/self/stat'), threads.filter((value) => value === 10).length === engine.info().threads);`);
      expect(printed).toBe('0 true');
    },
  );
});
