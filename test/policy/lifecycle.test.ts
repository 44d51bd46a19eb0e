import { spawn } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';

const dist = new URL('../../dist/policy/', import.meta.url).href;
const prelude = `
  import { evaluatePolicy, evaluatePolicySync } from '${dist}evaluate.js';
  import { buildPolicyInput } from '${dist}input.js';
  const input = buildPolicyInput({ action: 'open', claims: {}, env: [], model: { metadata: {}, tensors: 1, signer: null } });
  const yes = 'package model\\nallow if true';
  const endless = 'package model\\nallow = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]';
  const patient = { input, deadlineMs: 30000 };
`;

interface Exit {
  code: number | null;
  stdout: string;
  stderr: string;
  /** From the last line of the script to the end of the process. */
  lingeredMs: number;
}

/** Runs a script in a process of its own, which has to end by itself. */
function runScript(script: string, options: { flags?: string[]; env?: NodeJS.ProcessEnv } = {}): Promise<Exit> {
  return new Promise((resolve, reject) => {
    const source = `${prelude}${script}\nconsole.log('end');`;
    const child = spawn(process.execPath, [...(options.flags ?? []), '--input-type=module', '-e', source], {
      env: { ...process.env, ...options.env },
      timeout: 45_000,
    });
    let stdout = '';
    let stderr = '';
    let ended = 0;
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      if (stdout.endsWith('end\n')) ended = performance.now();
    });
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr, lingeredMs: performance.now() - ended }));
  });
}

describe('a process', () => {
  test.each([
    ['the async form', 'await evaluatePolicy(yes, patient);'],
    ['the Sync form', 'evaluatePolicySync(yes, patient);'],
    ['both', 'await evaluatePolicy(yes, patient); evaluatePolicySync(yes, patient);'],
    ['an evaluation that was killed', 'await evaluatePolicy(endless, { input, deadlineMs: 100 }).catch(() => {});'],
  ])('ends at once after %s, although a worker is idle', async (_, script) => {
    const { code, stdout, stderr, lingeredMs } = await runScript(script);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: 'end\n', stderr: '' });
    expect(lingeredMs).toBeLessThan(2_000);
  });

  test('stays until an evaluation that it waits for has ended, though nothing else keeps it', async () => {
    const script = `for (let i = 0; i < 3; i++) await evaluatePolicy(yes, patient); console.log('answered');`;
    expect(await runScript(script)).toMatchObject({ code: 0, stdout: 'answered\nend\n', stderr: '' });
  });

  test('can exit in the middle of an evaluation', async () => {
    const { code } = await runScript(
      `void evaluatePolicy(endless, patient); setTimeout(() => process.exit(7), 500); await new Promise(() => {});`,
    );
    expect(code).toBe(7);
  });

  test('that starts with preloaded modules and NODE_OPTIONS does not hand them to the worker', async () => {
    const preload = `data:text/javascript,${encodeURIComponent("console.log('preloaded')")}`;
    const flags = ['--import', preload];
    const env = { NODE_OPTIONS: '--throw-deprecation' };
    const { code, stdout } = await runScript('await evaluatePolicy(yes, patient); evaluatePolicySync(yes, patient);', {
      flags,
      env,
    });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'preloaded\nend\n' });
  });

  test('sees nothing of what a policy prints', async () => {
    const script = `await evaluatePolicy('package model\\nallow if print("noise")', patient);`;
    expect(await runScript(script)).toMatchObject({ code: 0, stdout: 'end\n', stderr: '' });
  });

  test('whose event loop was never given a turn can use the Sync form again and again, kills included', async () => {
    const script = `
      for (let i = 0; i < 4; i++) {
        evaluatePolicySync(yes, patient);
        try { evaluatePolicySync(endless, { input, deadlineMs: 50 }); } catch (error) { console.log(error.code); }
      }`;
    const { code, stdout } = await runScript(script);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'PolicyError\n'.repeat(4) + 'end\n' });
  });
});

describe('a worker thread', () => {
  function inWorker(script: string): Worker {
    const source = `${prelude}import { parentPort } from 'node:worker_threads';\n${script}`;
    return new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  }

  const finished = (worker: Worker): Promise<{ messages: unknown[]; code: number }> =>
    new Promise((resolve, reject) => {
      const messages: unknown[] = [];
      worker.on('message', (message) => messages.push(message));
      worker.on('error', reject);
      worker.on('exit', (code) => resolve({ messages, code }));
    });

  test('can use both forms, and ends by itself', async () => {
    const worker = inWorker(`
      const denied = 'package model\\nallow if false';
      await evaluatePolicy(yes, patient);
      parentPort.postMessage('async');
      evaluatePolicySync(yes, patient);
      parentPort.postMessage('sync');
      await evaluatePolicy(denied, patient).catch((error) => parentPort.postMessage(error.code));
      try { evaluatePolicySync(denied, patient); } catch (error) { parentPort.postMessage(error.code); }
    `);
    expect(await finished(worker)).toEqual({ messages: ['async', 'sync', 'PolicyDenied', 'PolicyDenied'], code: 0 });
  });

  test('can be terminated in the middle of an evaluation, of either form', async () => {
    for (const call of [
      'void evaluatePolicy(endless, patient);',
      'setTimeout(() => evaluatePolicySync(endless, patient));',
    ]) {
      const worker = inWorker(`parentPort.postMessage('started'); ${call}`);
      await new Promise((resolve) => worker.once('message', resolve));
      await new Promise((resolve) => setTimeout(resolve, 300));
      const started = performance.now();
      await worker.terminate();
      expect(performance.now() - started).toBeLessThan(5_000);
    }
  });
});
