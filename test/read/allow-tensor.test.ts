import { once } from 'node:events';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import {
  SafeFile,
  decryptFile,
  load,
  loadFile,
  loadFileSync,
  safeOpen,
  safeOpenSync,
  saveFileSync,
  verifyFile,
} from 'cryptotensors';
import type { AuditEvent, OpenOptions, PolicyInput } from 'cryptotensors';
import { getEngine } from '#dist/engine/load.js';
import { refusal } from '../support/errors.js';
import { KEYS, bytesOf, saveSmallModel, smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

/* `allow_tensor`: a file opens, and single tensors of it stay closed. */
const folder = temporaryFolder();
const TRIAL = `package model
import rego.v1
allow := input.action == "open"
allow_tensor if { input.action == "read"; startswith(input.tensor.name, "encoder.") }
allow_tensor if { input.claims.plan == "full" }
`;
const path = saveSmallModel(folder, 'trial.safetensors', { policy: { local: TRIAL } });
const all = [...smallTensors().keys()].sort();
const encoder = ['encoder.bias', 'encoder.weight'];

const open = (options: OpenOptions = {}): Promise<SafeFile> => safeOpen(path, { keys: KEYS, ...options });
const openSync = (options: OpenOptions = {}): SafeFile => safeOpenSync(path, { keys: KEYS, ...options });

describe('a denied tensor', () => {
  test('is refused by name in every way of reading it, and the others are read', async () => {
    await using model = await open();
    const whole = { names: [...encoder, 'mask'] };
    for (const read of [
      () => model.getTensor('mask'),
      () => model.getTensorSync('mask'),
      () => model.getTensors({ names: ['mask'] }),
      () => model.getTensors(whole),
      () => model.getTensorsSync(whole),
      () => model.getSlice('mask').read([0, 1]),
      () => model.getSlice('mask').readSync([0, 1]),
    ]) {
      const { tensor, message } = await refusal('PolicyDenied', read);
      expect(tensor).toBe('mask');
      expect(message).toContain('refuses tensor "mask": data.model.allow_tensor is undefined. It saw action read;');
    }
    for (const name of encoder) {
      expect((await model.getTensor(name)).bytes).toEqual(bytesOf(smallTensors().get(name)!.data));
      expect(model.getTensorSync(name).bytes).toEqual(bytesOf(smallTensors().get(name)!.data));
    }
    expect((await model.getSlice('encoder.weight').read(0)).shape).toEqual([16]);
    expect([...(await model.getTensors({ names: encoder })).keys()].sort()).toEqual(encoder);
  });

  test('by the Sync form first', () => {
    using model = openSync();
    expect(() => model.getTensorSync('mask')).toThrow('refuses tensor "mask"');
    expect(model.getTensorSync('encoder.bias').shape).toEqual([16]);
  });

  test('fails a read of several, which says what to do', async () => {
    await using model = await open();
    const { message } = await refusal('PolicyDenied', () => model.getTensors());
    expect(message).toContain('pass `names` without it, of those that allowedKeys() lists');
    expect((await refusal('PolicyDenied', () => model.getTensor('mask'))).message).not.toContain('names');
  });

  test('is told to the audit by name, in the attached model too', async () => {
    const events: AuditEvent[] = [];
    const onEvent = (event: AuditEvent): void => void events.push(event);
    await using model = await open({ onEvent });
    using attached = SafeFile.attach(model.share(), { onEvent });
    events.splice(0);
    await refusal('PolicyDenied', () => model.getTensor('mask'));
    await refusal('PolicyDenied', () => attached.getTensor('mask'));
    const denied = { type: 'denied', code: 'PolicyDenied', tensor: 'mask', path };
    expect(events).toMatchObject([denied, denied]);
  });

  test('leaves the memory of the caller as it was', async () => {
    await using model = await open();
    const into = new Uint8Array(64).fill(7);
    await refusal('PolicyDenied', () => model.getTensor('mask', { into }));
    expect(into).toEqual(new Uint8Array(64).fill(7));
  });

  test('fails the eager loaders', async () => {
    await refusal('PolicyDenied', () => loadFile(path, { keys: KEYS }));
    await refusal('PolicyDenied', () => loadFileSync(path, { keys: KEYS }));
    await refusal('PolicyDenied', () => load(readFileSync(path), { keys: KEYS }));
    expect((await loadFile(path, { keys: KEYS, claims: { plan: 'full' } })).size).toBe(all.length);
  });

  test('fails decryptFile, which writes nothing', async () => {
    const target = join(folder, 'plain.safetensors');
    const before = readdirSync(folder);
    const { tensor, message } = await refusal('PolicyDenied', () => decryptFile(path, target, { keys: KEYS }));
    expect(all).toContain(tensor);
    expect(message).toContain('A file is decrypted wholly or not at all');
    expect(readdirSync(folder)).toEqual(before);
    await decryptFile(path, target, { keys: KEYS, claims: { plan: 'full' } });
    expect(existsSync(target)).toBe(true);
  });

  test('is no matter to verifyFile and to what the header says: nothing is handed out', async () => {
    expect(await verifyFile(path, { keys: KEYS })).toMatchObject({ tensors: all.length, unprotected: [] });
    await using model = await open();
    expect(model.keys()).toEqual(all);
    expect(model.info('mask')).toMatchObject({ dtype: 'BOOL' });
    expect(model.getSlice('mask').shape).toEqual([3]);
  });

  test('cannot be mapped either', async () => {
    const plain = join(folder, 'partly.safetensors');
    const options = { keys: KEYS, policy: { local: TRIAL }, tensors: 'encoder.*', integrity: false } as const;
    saveFileSync(smallTensors(), plain, options);
    await using model = await safeOpen(plain, { keys: KEYS });
    await refusal('PolicyDenied', () => model.getTensor('mask', { map: true }));
    await using other = await safeOpen(plain, { keys: KEYS, claims: { plan: 'full' } });
    expect((await other.getTensor('mask', { map: true })).data).toEqual(Uint8Array.of(1, 0, 1));
  });
});

describe('allowedKeys', () => {
  test('lists what may be read, in the order of keys()', async () => {
    await using model = await open();
    expect(await model.allowedKeys()).toEqual(encoder);
    expect(model.allowedKeysSync()).toEqual(encoder);
    await using full = await open({ claims: { plan: 'full' } });
    expect(await full.allowedKeys()).toEqual(all);
    expect((await full.getTensors({ names: await full.allowedKeys() })).size).toBe(all.length);
  });

  test('lists all of a file whose policy says nothing of tensors, and of a plain file', async () => {
    const other = saveSmallModel(folder, 'other.safetensors', { policy: { local: 'package model\nallow if true' } });
    await using model = await safeOpen(other, { keys: KEYS });
    expect(await model.allowedKeys()).toEqual(all);
    const plain = join(folder, 'no-policy.safetensors');
    saveFileSync(smallTensors(), plain);
    using unprotected = safeOpenSync(plain);
    expect(unprotected.allowedKeysSync()).toEqual(all);
  });

  test('leaves out a tensor about which the policy fails; reading it says why, and the others are read', async () => {
    await using wrong = await safeOpen(
      saveSmallModel(folder, 'zero.safetensors', {
        policy: {
          local: 'package model\nallow := true\nallow_tensor if 1 / count([1 | input.tensor.name != "scale"]) > 0',
        },
      }),
      { keys: KEYS },
    );
    expect(await wrong.allowedKeys()).toEqual(all.filter((name) => name !== 'scale'));
    const { tensor, message } = await refusal('PolicyError', () => wrong.getTensor('scale'));
    expect(tensor).toBe('scale');
    expect(message).toContain('tensor "scale" stays closed: line 3');
    expect(message).toContain('divide by zero');
    expect((await wrong.getTensor('mask')).shape).toEqual([3]);
  });

  test('of a closed model is refused', async () => {
    const model = await open();
    await model.close();
    await refusal('Closed', () => model.allowedKeys());
    await refusal('Closed', () => model.allowedKeysSync());
  });
});

describe('decisions', () => {
  /** An engine of the caller's that counts what it is asked. */
  function counting(answer: (input: PolicyInput) => boolean) {
    const asked: string[] = [];
    const evaluate = (_: string, input: PolicyInput): boolean => {
      asked.push(`${input.action} ${input.tensor?.name ?? ''}`.trim());
      return answer(input);
    };
    return { asked, policy: { evaluate } };
  }

  test('are made at first use and remembered while the file is open', async () => {
    const { asked, policy } = counting(({ tensor }) => tensor?.name !== 'mask');
    await using model = await open({ policy });
    expect(asked).toEqual(['open']);
    for (let i = 0; i < 3; i++) {
      await model.getTensor('scale');
      await model.getSlice('scale').read();
      await refusal('PolicyDenied', () => model.getTensor('mask'));
      await refusal('PolicyDenied', () => model.getTensors({ names: ['mask', 'scale'] }));
    }
    expect(asked).toEqual(['open', 'read scale', 'read mask']);
    expect(await model.allowedKeys()).toEqual(all.filter((name) => name !== 'mask'));
    expect(asked.length).toBe(1 + all.length);
    await using again = await open({ policy });
    await again.getTensor('scale');
    expect(asked.slice(-2)).toEqual(['open', 'read scale']);
  });

  test('use the facts of the opening', async () => {
    let now = new Date('2026-01-31T00:00:00Z');
    const claims = { plan: 'full' };
    await using model = await open({ claims, policy: { now: () => now } });
    claims.plan = 'none';
    now = new Date('2027-01-31T00:00:00Z');
    expect((await model.getTensor('mask')).shape).toEqual([3]);
  });

  test('are not made by an engine that fails: it is asked again', async () => {
    let broken = true;
    const policy = {
      evaluate: (_: string, { tensor }: PolicyInput): boolean => {
        if (tensor !== undefined && broken) throw new Error('no connection');
        return true;
      },
    };
    await using model = await open({ policy });
    const { message, tensor, cause } = await refusal('PolicyError', () => model.getTensor('mask'));
    // Its own words may quote the claims: they are in the cause, not in the message.
    expect(message).toBe("options.policy.evaluate failed: what it threw is this error's cause");
    expect((cause as Error).message).toBe('no connection');
    expect(tensor).toBe('mask');
    await refusal('PolicyError', () => model.allowedKeys());
    broken = false;
    expect((await model.getTensor('mask')).shape).toEqual([3]);
  });

  test('of a plugged-in engine: exactly true, a promise in the asynchronous form only', async () => {
    for (const answer of [false, 1, 'true', undefined, {}]) {
      const evaluate = (_: string, { tensor }: PolicyInput): boolean =>
        tensor === undefined ? true : (answer as boolean);
      await using model = await open({ policy: { evaluate } });
      const { message } = await refusal('PolicyDenied', () => model.getTensor('mask'));
      expect(message).toContain('did not answer true, so tensor "mask" stays closed');
    }
    await using model = await open({ policy: { evaluate: () => Promise.resolve(true) } });
    expect((await refusal('PolicyError', () => model.getTensorSync('mask'))).message).toContain('returned a promise');
    await model.getTensor('mask');
    expect(model.getTensorSync('mask').shape).toEqual([3]);
  });

  test('are not asked for where the text says nothing of tensors', async () => {
    for (const local of [undefined, 'package model\nallow if true']) {
      const { asked, policy } = counting(() => true);
      const quiet = saveSmallModel(folder, 'quiet.safetensors', local === undefined ? {} : { policy: { local } });
      await using model = await safeOpen(quiet, { keys: KEYS, policy });
      await model.getTensors();
      await model.allowedKeys();
      expect(model.models()[0]!.guard).toBeNull();
      expect(asked).toEqual(['open']);
    }
  });

  test('of many reads at once agree', async () => {
    await using model = await open();
    const outcomes = await Promise.all(
      Array.from({ length: 60 }, (_, i) => all[i % all.length]!).map(async (name) => {
        const outcome = await model.getTensor(name).then(
          () => true,
          () => false,
        );
        return outcome === encoder.includes(name);
      }),
    );
    expect(outcomes.every(Boolean)).toBe(true);
  });

  test('a read whose policy never ends is refused when its fuel is used up', async () => {
    const local = `package model
allow := true
allow_tensor if { some i in numbers.range(1, 100000); some j in numbers.range(1, 100000); i * j < 0 }
`;
    const endless = saveSmallModel(folder, 'endless.safetensors', { policy: { local } });
    await using model = await safeOpen(endless, { keys: KEYS, policy: { fuel: 20_000_000 } });
    const { message } = await refusal('PolicyError', () => model.getTensor('mask'));
    expect(message).toContain('so tensor "mask" stays closed: it used up its budget of 20000000 units of fuel');
    await refusal('PolicyError', () => model.getTensors());
  });
});

describe('sharded and shared models', () => {
  test('each shard has its own policy', async () => {
    saveFileSync({ a: { shape: [1], data: Int8Array.of(7) } }, join(folder, 'a.safetensors'), { keys: KEYS });
    const index = join(folder, 'model.safetensors.index.json');
    writeShardIndex(index, {
      a: 'a.safetensors',
      ...Object.fromEntries(all.map((name) => [name, 'trial.safetensors'])),
    });
    await using model = await safeOpen(index, { keys: KEYS });
    expect(await model.allowedKeys()).toEqual(['a', ...encoder]);
    await refusal('PolicyDenied', () => model.getTensors());
    expect((await model.getTensors({ names: ['a', ...encoder] })).size).toBe(3);
  });

  test('a worker that attaches is held to the same decisions', async () => {
    await using model = await open({ claims: { plan: 'trial' } });
    const worker = new Worker(new URL('allow-tensor-worker.mjs', import.meta.url));
    worker.postMessage({ token: model.share() });
    const [{ allowed, read }] = (await once(worker, 'message')) as [
      { allowed: string[]; read: Record<string, string> },
    ];
    await worker.terminate();
    expect(allowed).toEqual(encoder);
    expect(read).toEqual(
      Object.fromEntries(all.map((name) => [name, encoder.includes(name) ? 'read' : 'PolicyDenied'])),
    );
  });

  test('in the same thread too, for slices and several at once', async () => {
    await using model = await open();
    using attached = SafeFile.attach(model.share());
    const { message, tensor } = await refusal('PolicyDenied', () => attached.getTensors());
    expect(tensor).toBeDefined();
    expect(message).toContain('as it was asked in the thread that opened the model. Several tensors');
    await refusal('PolicyDenied', () => attached.getSlice('mask').read());
    expect((await attached.getTensors({ names: encoder })).size).toBe(2);
    using twice = SafeFile.attach(attached.share());
    expect(twice.allowedKeysSync()).toEqual(encoder);
  });

  test('the token holds a name, and what lies under it neither claims nor variables of the environment', async () => {
    process.env.ALLOW_TENSOR_TEST = 's3cret-variable';
    try {
      await using model = await open({
        claims: { plan: 's3cret-plan', 's3cret-name': 1 },
        policy: { env: ['ALLOW_TENSOR_TEST'] },
      });
      const token = model.share();
      expect(inspect(token, { depth: 9, maxArrayLength: null })).not.toContain('s3cret');
      expect(token.name).toMatch(/^[0-9a-f]{32}$/);
      expect(token).toEqual({
        kind: 'cryptotensors-model',
        name: token.name,
        memories: [null],
      });
      const { facts } = getEngine().sharing!.attach(token.name, () => undefined);
      expect(Buffer.from(facts).toString('latin1')).not.toContain('s3cret');
    } finally {
      delete process.env.ALLOW_TENSOR_TEST;
    }
  });

  test('a tensor about which nothing was decided stays closed', async () => {
    const local = 'package model\nallow := true\nallow_tensor if 1 / count([1 | input.tensor.name != "scale"]) > 0';
    const failing = saveSmallModel(folder, 'undecided.safetensors', { policy: { local } });
    await using model = await safeOpen(failing, { keys: KEYS });
    using attached = SafeFile.attach(model.share());
    expect(await attached.allowedKeys()).toEqual(all.filter((name) => name !== 'scale'));
    await refusal('PolicyError', () => attached.getTensor('scale'));
  });

  test('of an engine that needs time, share() takes the decisions that were made before', async () => {
    const evaluate = (_: string, { tensor }: PolicyInput): Promise<boolean> => Promise.resolve(tensor?.name !== 'mask');
    await using model = await open({ policy: { evaluate } });
    await refusal('PolicyError', () => model.share());
    const allowed = await model.allowedKeys();
    using attached = SafeFile.attach(model.share());
    expect(attached.allowedKeysSync()).toEqual(allowed);
    await refusal('PolicyDenied', () => attached.getTensor('mask'));
  });
});
