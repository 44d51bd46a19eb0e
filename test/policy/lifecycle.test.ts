import { spawn } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';

/* Policies are evaluated in the calling thread: nothing else runs, stays, or is started for them. */
const dist = new URL('../../dist/', import.meta.url).href;
const prelude = `
  import { askPolicy, judgePolicy } from '${dist}policy/evaluate.js';
  import { buildPolicyInput } from '${dist}policy/input.js';
  import { runAsync, runSync } from '${dist}twin.js';
  const input = buildPolicyInput({ action: 'open', claims: {}, env: [], model: { metadata: {}, tensors: 1, signer: null } });
  const yes = 'package model\\nallow if true';
  const endless = 'package model\\nallow = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]';
  const recursive = 'package model\\nf(x) := f(x + 1)\\nallow if f(1)';
  const ask = (policy) => runAsync(askPolicy(policy, { input }));
  const askSync = (policy) => runSync(askPolicy(policy, { input }));
`;

interface Exit {
  code: number | null;
  stdout: string;
  stderr: string;
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
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

describe('a process', () => {
  test.each([
    ['the async form', 'await ask(yes);'],
    ['the Sync form', 'askSync(yes);'],
    ['an evaluation that was stopped', 'await ask(endless).catch(() => {});'],
  ])('starts no thread and keeps no handle after %s', async (_, script) => {
    const more = `console.log(process.getActiveResourcesInfo().filter((name) => /Worker|Port|Timeout|Immediate/.test(name)).join());`;
    expect(await runScript(script + more)).toEqual({ code: 0, stdout: '\nend\n', stderr: '' });
  });

  test('sees nothing of what a policy prints', async () => {
    const script = `await ask('package model\\nallow if print("noise")');`;
    expect(await runScript(script)).toMatchObject({ code: 0, stdout: 'end\n', stderr: '' });
  });

  test('whose stack is a third of the usual gets an error for a recursion, and goes on', async () => {
    const script = `
      for (const policy of [recursive, endless]) {
        try { askSync(policy); } catch (error) { console.log(error.code); }
      }
      askSync(yes);`;
    const { code, stdout } = await runScript(script, { flags: ['--stack-size=300'] });
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'PolicyError\nPolicyError\nend\n' });
  });

  test('that has no WebAssembly is told so when it opens, and when it writes', async () => {
    const script = `
      delete globalThis.WebAssembly;
      const { checkPolicy } = await import('${dist}policy/evaluate.js');
      for (const work of [() => askPolicy(yes, { input }), () => checkPolicy(yes, 'options.policy.local')]) {
        try { runSync(work()); } catch (error) { console.log(error.code, error.message); }
      }
      runSync(checkPolicy('package model\\nallow = true', 'options.policy.local'));`;
    const { code, stdout } = await runScript(script);
    expect(code).toBe(0);
    const [opening, writing, end] = stdout.split('\n');
    expect(opening).toContain('PolicyError');
    expect(opening).toContain('the policy engine is not available: this JavaScript runtime has no WebAssembly');
    expect(writing).toBe(
      'PolicyError options.policy.local could not be checked: the policy engine is not available: this JavaScript runtime has no WebAssembly',
    );
    expect(end).toBe('end');
  });

  test('that may compile no WebAssembly is told so', async () => {
    const { code, stdout } = await runScript(
      'try { askSync(yes); } catch (error) { console.log(error.code, error.message); }',
      { flags: ['--jitless'] },
    );
    expect(code).toBe(0);
    expect(stdout).toContain('PolicyError');
    expect(stdout).toContain('the policy engine is not available');
  });
});

describe('a worker thread', () => {
  function inWorker(script: string, stackSizeMb = 4): Worker {
    const source = `${prelude}import { parentPort } from 'node:worker_threads';\n${script}`;
    return new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), {
      resourceLimits: { stackSizeMb },
    });
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
      await ask(yes);
      parentPort.postMessage('async');
      askSync(yes);
      parentPort.postMessage('sync');
      await ask(denied).catch((error) => parentPort.postMessage(error.code));
      try { askSync(denied); } catch (error) { parentPort.postMessage(error.code); }
    `);
    expect(await finished(worker)).toEqual({ messages: ['async', 'sync', 'PolicyDenied', 'PolicyDenied'], code: 0 });
  });

  test.each([0.5, 1, 4])('with a stack of %d MB survives recursion', async (stackSizeMb) => {
    const worker = inWorker(
      `
      for (let i = 0; i < 3; i++) {
        try { askSync(recursive); } catch (error) { parentPort.postMessage(error.code); }
      }
      askSync(yes);
      parentPort.postMessage('opens');
    `,
      stackSizeMb,
    );
    expect(await finished(worker)).toEqual({
      messages: ['PolicyError', 'PolicyError', 'PolicyError', 'opens'],
      code: 0,
    });
  });

  test('uses the same fuel as the main thread', async () => {
    const script = `const { fuel } = runSync(judgePolicy(recursive, { input: { time: { now_ns: 1n } } }));`;
    const { messages } = await finished(inWorker(`${script} parentPort.postMessage(fuel);`));
    const { stdout } = await runScript(`${script} console.log(fuel);`);
    expect(stdout).toBe(`${String(messages[0])}\nend\n`);
  });
});
