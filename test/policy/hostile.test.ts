import { describe, expect, test } from 'vitest';
import { judgePolicy, judgeTensors } from '#dist/policy/evaluate.js';
import { runAsync, runSync } from '#dist/twin.js';
import { HOSTILE } from './hostile-policies.mjs';
import { ending, endingSync, inputWith, model } from './support.js';

/*
 * Whatever a policy does, the file stays closed when its fuel is used up, and the next evaluation works. Fuel is not time, but
 * bounds it: `node bench/policy.mjs --hostile` measures each of these, quietly; here machines are busy with other tests.
 */
const PATIENCE_MS = 2_000;

const input = inputWith({ claims: { list: Array.from({ length: 1_000 }, (_, i) => i) }, now: () => 1n });

describe.each(HOSTILE)('%s', (_, policy) => {
  test('is refused, by both forms, with the same fuel', async () => {
    const started = performance.now();
    const asynchronous = await ending(policy, { input });
    const synchronous = endingSync(policy, { input });
    expect(performance.now() - started).toBeLessThan(2 * PATIENCE_MS);
    expect(asynchronous.code, asynchronous.message).toMatch(/^Policy(Error|Denied)$/);
    expect(synchronous).toMatchObject({ code: asynchronous.code, message: asynchronous.message });
    expect(asynchronous.message).not.toContain('the policy engine failed');
    expect(asynchronous.message).not.toContain('the calling thread has less stack');

    const verdicts = [1, 2].map(() => runSync(judgePolicy(policy, { input })));
    expect(verdicts[1]).toEqual(verdicts[0]);
    expect(verdicts[0]!.fuel).toBeLessThanOrEqual(400_000_000);
    expect(await ending(model('allow if true'))).toMatchObject({ code: 'opens' });
  });
});

/* The same as rules about tensors, of which many are asked for at once. */
const tensors = Array.from({ length: 100 }, (_, i) => ({ name: `layer.${i}`, dtype: 'F32', shape: [1, 2, 3] }));

describe.each(HOSTILE)('%s, as allow_tensor about 100 tensors', (_, rules) => {
  const policy = `${rules.replaceAll(/\ballow\b/g, 'allow_tensor')}\n# allow_tensor`;

  test('lets none of them be read, by both forms', async () => {
    const request = { input: { ...input, action: 'read' as const } };
    const forms = [
      () => runAsync(judgeTensors(policy, tensors, request)),
      // eslint-disable-next-line @typescript-eslint/require-await -- so that it rejects as the other does
      async () => runSync(judgeTensors(policy, tensors, request)),
    ];
    for (const form of forms) {
      const verdicts = await form().catch((error: unknown) => {
        expect(error).toMatchObject({ code: 'PolicyError' });
        return [];
      });
      // A policy of another package says nothing of tensors; but with it the file does not open at all.
      const speaks = rules.startsWith('package model\n');
      if (speaks) expect(verdicts.filter(({ outcome }) => outcome === 'allowed')).toEqual([]);
    }
    expect(await ending(model('allow if true'))).toMatchObject({ code: 'opens' });
  });
});

test('all of them together leave little behind', async () => {
  const round = async (): Promise<void> => {
    for (const [, policy] of HOSTILE) await ending(policy, { input });
  };
  await round();
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 3; i++) await round();
  // Each of them may take 64 MiB: if they were kept, three rounds would add gigabytes.
  expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
});

test('metadata beyond what the sandbox holds is refused before it is sent', async () => {
  const metadata = { notes: 'x'.repeat(9 * 1024 * 1024) };
  const { code, message } = await ending(model('allow if true'), {
    input: inputWith({ model: { metadata, tensors: 1, signer: null } }),
  });
  expect(code).toBe('PolicyError');
  expect(message).toContain('its input is longer than 8388608 bytes as JSON');
});
