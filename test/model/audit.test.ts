import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  CryptoTensorsError,
  SafeFile,
  decryptFile,
  generateKeys,
  inspectFileSync,
  loadFile,
  loadFileSync,
  safeOpen,
  safeOpenSync,
  saveFileSync,
  verifyFile,
  verifyFileSync,
} from 'cryptotensors';
import type { AuditEvent, AuditListener, ErrorCode, KeyProvider, OpenOptions } from 'cryptotensors';
import { descriptorsOf } from '../support/descriptors.js';
import { headerFrom, headerOf } from '../support/detach.js';
import { refusal } from '../support/errors.js';
import { KEYS, saveSmallModel, smallTensors, writeShardIndex } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const path = saveSmallModel(folder, 'model.safetensors');
const plain = join(folder, 'plain.safetensors');
saveFileSync(smallTensors(), plain);

/** A listener, and what it heard. Of each event the time is checked and left out. */
function recorder(): { onEvent: AuditListener; events: Record<string, unknown>[] } {
  const events: Record<string, unknown>[] = [];
  return {
    events,
    onEvent({ time, ...event }) {
      expect(time).toBeInstanceOf(Date);
      expect(Math.abs(Date.now() - time.getTime())).toBeLessThan(60_000);
      events.push(event);
    },
  };
}

const OPENING = [
  { type: 'key-used', path, kid: 'sign-a', role: 'verifying', provider: null },
  { type: 'key-used', path, kid: 'enc-256', role: 'master', provider: null },
  { type: 'opened', path, signer: 'sign-a', kid: 'enc-256', tensors: 6, encrypted: true },
];
const ALL = ['position', 'encoder.bias', 'encoder.weight', 'empty', 'scale', 'mask'];
const readOf = (names: string[], bytes: number, file = path) => ({ type: 'tensors-read', path: file, names, bytes });

describe('onEvent hears', () => {
  test('of opening and of each read, in both forms', async () => {
    const { onEvent, events } = recorder();
    const options = { keys: KEYS, onEvent };
    for (const open of [safeOpen, safeOpenSync]) {
      const model = await open(path, options);
      expect(events.splice(0)).toEqual(OPENING);
      await model.getTensor('mask');
      model.getTensorSync('mask');
      expect(events.splice(0)).toEqual([readOf(['mask'], 3), readOf(['mask'], 3)]);
      await model.getTensors({ names: ['scale', 'mask', 'empty'] });
      model.getTensorsSync();
      expect(events.splice(0)).toEqual([readOf(['empty', 'scale', 'mask'], 5), readOf(ALL, 621)]);
      const slice = model.getSlice('encoder.weight');
      expect(events).toEqual([]);
      await slice.read([0, 2]);
      // One byte range per row, but one tensor.
      slice.readSync(null, -1);
      expect(events.splice(0)).toEqual([readOf(['encoder.weight'], 128), readOf(['encoder.weight'], 32)]);
      model.has('nothing');
      model.info('mask');
      expect(() => model.info('nothing')).toThrow(CryptoTensorsError);
      await model.close();
      expect(events).toEqual([]);
    }
  });

  test('of whole-file work', async () => {
    const { onEvent, events } = recorder();
    const options = { keys: KEYS, onEvent };
    await loadFile(path, options);
    expect(events.splice(0)).toEqual([...OPENING, readOf(ALL, 621)]);
    loadFileSync(path, options);
    expect(events.splice(0)).toEqual([...OPENING, readOf(ALL, 621)]);
    await decryptFile(path, join(folder, 'decrypted.safetensors'), options);
    expect(events.splice(0)).toEqual([...OPENING, readOf(ALL, 621)]);
    await verifyFile(path, options);
    verifyFileSync(path, options);
    expect(events.splice(0)).toEqual([...OPENING, readOf(ALL, 621), ...OPENING, readOf(ALL, 621)]);
    // What nothing covers is not read by a verification.
    const partial = saveSmallModel(folder, 'partial.safetensors', { tensors: 'encoder.*', integrity: false });
    await verifyFile(partial, options);
    expect(events.at(-1)).toEqual(readOf(['encoder.bias', 'encoder.weight'], 576, partial));
  });

  test('of plain files, of bytes and of mapped tensors', async () => {
    const { onEvent, events } = recorder();
    await using model = await safeOpen(plain, { onEvent });
    await model.getTensor('mask', { map: true });
    expect(events.splice(0)).toEqual([
      { type: 'opened', path: plain, signer: null, kid: null, tensors: 6, encrypted: false },
      readOf(['mask'], 3, plain),
    ]);
    await loadFile(path, { keys: KEYS, onEvent });
    await (await safeOpen(readFileSync(path), { keys: KEYS, onEvent })).close();
    expect(events.slice(-3)).toEqual(OPENING.map((event) => ({ ...event, path: null })));
  });

  test('which provider gave a key', async () => {
    const { onEvent, events } = recorder();
    const vault: KeyProvider = { name: 'vault', find: () => Promise.resolve(readFileSync(KEYS)) };
    const empty: KeyProvider = { name: 'empty', findSync: () => null };
    await (await safeOpen(path, { keys: [empty, vault], onEvent })).close();
    expect(events.slice(0, 2)).toEqual([
      { ...OPENING[0], provider: 'vault' },
      { ...OPENING[1], provider: 'vault' },
    ]);
    events.length = 0;
    await (await safeOpen(path, { keys: vault, trust: KEYS, onEvent })).close();
    expect(events.map(({ provider }) => provider)).toEqual([null, 'vault', undefined]);
  });

  test('of each file of a sharded model, once all of them are good', async () => {
    const names = ['a', 'b'];
    const files = names.map((name) => join(folder, `${name}.safetensors`));
    for (const [i, name] of names.entries()) {
      saveFileSync({ [name]: { shape: [2], data: new Int8Array(2) } }, files[i]!, { keys: KEYS });
    }
    const index = join(folder, 'model.safetensors.index.json');
    writeShardIndex(index, { a: 'a.safetensors', b: 'b.safetensors' });
    const { onEvent, events } = recorder();
    const model = await safeOpen(index, { keys: KEYS, onEvent });
    expect(events.splice(0).map((event) => `${String(event.type)} ${basename(String(event.path))}`)).toEqual([
      'key-used a.safetensors',
      'key-used a.safetensors',
      'key-used b.safetensors',
      'key-used b.safetensors',
      'opened a.safetensors',
      'opened b.safetensors',
    ]);
    await model.getTensors();
    expect(events.splice(0)).toEqual(names.map((name, i) => readOf([name], 2, files[i])));
    await refusal('TensorNotFound', () => model.getTensor('c'));
    expect(events.splice(0)).toMatchObject([{ type: 'denied', path: index, code: 'TensorNotFound', tensor: 'c' }]);
    await model.close();

    const broken = readFileSync(files[1]!);
    broken[broken.length - 1]! ^= 1;
    writeFileSync(files[1]!, broken);
    await using opened = await safeOpen(index, { keys: KEYS, onEvent });
    events.length = 0;
    await refusal('BadTag', () => opened.getTensors());
    expect(events).toMatchObject([{ type: 'denied', path: files[1], code: 'BadTag', tensor: 'b' }]);
    events.length = 0;
    writeFileSync(files[1]!, readFileSync(plain));
    await refusal('NotEncrypted', () => safeOpen(index, { keys: KEYS, onEvent }));
    expect(events.at(-1)).toMatchObject({ type: 'denied', path: files[1], code: 'NotEncrypted' });
    expect(events.some(({ type }) => type === 'opened')).toBe(false);
  });

  test('of an attached model, in the thread that attached', async () => {
    const { onEvent, events } = recorder();
    const model = await safeOpen(path, { keys: KEYS });
    const token = model.share();
    const attached = SafeFile.attach(token, { onEvent });
    expect(events.splice(0)).toEqual([OPENING[2]]);
    await attached.getTensor('mask');
    await refusal('TensorNotFound', () => attached.getTensor('nothing'));
    expect(events.splice(0)).toMatchObject([readOf(['mask'], 3), { type: 'denied', path, code: 'TensorNotFound' }]);
    await attached.close();
    await model.close();
    await refusal('Closed', () => SafeFile.attach(token, { onEvent }));
    // Where the model was lay with it.
    expect(events).toMatchObject([{ type: 'denied', path: null, code: 'Closed' }]);
    expect(() => SafeFile.attach(token, { onEvent: 1 as never })).toThrow('options.onEvent must be a function');
  });

  test('no refusal where an AbortSignal ended the work, or the call itself was wrong', async () => {
    const { onEvent, events } = recorder();
    const signal = AbortSignal.abort();
    await using model = await safeOpen(path, { keys: KEYS, onEvent });
    events.length = 0;
    await expect(model.getTensors({ signal })).rejects.toThrow('aborted');
    await expect(model.getTensor('mask', { threads: 'many' as never })).rejects.toThrow(TypeError);
    await expect(safeOpen(path, { keys: 5 as never, onEvent })).rejects.toThrow(TypeError);
    expect(events).toEqual([]);
    await expect(safeOpen(path, { onEvent: 'log' as never })).rejects.toThrow('options.onEvent must be a function');
  });
});

const CANARY = 'cAnArY';
const SECRET_CLAIMS = { customer: `${CANARY}-claim` };

interface Refused {
  code: ErrorCode;
  file: string;
  options?: OpenOptions;
  /** What is done with the model once it is open; by default the opening is what is refused. */
  use?: (model: SafeFile) => Promise<unknown>;
  tensor?: string;
}

function withPolicy(name: string, allow: string): string {
  const local = `package model\nimport rego.v1\ndefault allow := false\n${allow}`;
  return saveSmallModel(folder, `policy-${name}.safetensors`, { policy: { local } });
}

function changed(name: string, change: (file: Buffer) => void): string {
  const file = Buffer.from(readFileSync(path));
  change(file);
  const target = join(folder, `changed-${name}.safetensors`);
  writeFileSync(target, file);
  return target;
}

const digested = saveSmallModel(folder, 'digested.safetensors', { tensors: 'encoder.*' });

const REFUSED: Record<string, Refused> = {
  'a policy that says no': { code: 'PolicyDenied', file: withPolicy('no', 'allow if input.claims.customer == "x"') },
  'a policy that fails over a claim': {
    code: 'PolicyError',
    file: withPolicy('claim', 'allow if to_number(input.claims.customer) == 1'),
  },
  'a policy that fails over the environment': {
    code: 'PolicyError',
    file: withPolicy('env', 'allow if to_number(input.env.CANARY_VARIABLE) == 1'),
  },
  'a policy engine that quotes its input': {
    code: 'PolicyError',
    file: path,
    options: {
      policy: {
        evaluate: (_, input) => {
          throw new Error(JSON.stringify(input.claims));
        },
      },
    },
  },
  'a policy that denies one tensor': {
    code: 'PolicyDenied',
    file: withPolicy('tensor', 'allow := true\nallow_tensor if input.tensor.name == "mask"'),
    use: (model) => model.getTensor('scale'),
    tensor: 'scale',
  },
  'an untrusted signer': { code: 'UntrustedSigner', file: path, options: { trust: generateKeys() } },
  'no trust at all': { code: 'KeyNotFound', file: path, options: { trust: [] } },
  'no master key': { code: 'KeyNotFound', file: path, options: { keys: [], trust: KEYS } },
  'another master key': {
    code: 'BadTag',
    file: path,
    options: { keys: generateKeys({ encKid: 'enc-256' }), trust: KEYS },
    tensor: 'empty',
  },
  'a provider that throws a key': {
    code: 'KeyUnavailable',
    file: path,
    options: {
      trust: KEYS,
      keys: {
        name: 'talkative',
        find: () => Promise.reject(new Error(`could not parse ${CANARY}-key`)),
      },
    },
  },
  'a malformed key': {
    code: 'InvalidKey',
    file: path,
    options: { keys: { kty: 'oct', kid: 'enc-256', k: `${CANARY}-key!` } },
  },
  'a changed header': {
    code: 'BadSignature',
    file: changed('header', (file) => file.write('encoder.bi4s', file.indexOf('encoder.bias'))),
  },
  'another file than the one that is pinned': {
    code: 'PinMismatch',
    file: path,
    options: { pin: inspectFileSync(plain).pin },
  },
  'a plain file': { code: 'NotEncrypted', file: plain },
  'no file': { code: 'FileError', file: join(folder, 'missing.safetensors') },
  'no header': { code: 'HeaderTooSmall', file: changed('empty', () => undefined) },
  'a body that does not fit its header': {
    code: 'MetadataIncompleteBuffer',
    file: path,
    options: { header: headerFrom(new TextEncoder().encode('{}')) },
  },
  'a header for a sharded model': {
    code: 'InvalidOption',
    file: join(folder, 'none.index.json'),
    options: { header: headerOf(readFileSync(path)) },
  },
  'no index': { code: 'FileError', file: join(folder, 'none.index.json') },
  'a changed chunk': {
    code: 'BadTag',
    file: changed('chunk', (file) => (file[file.length - 1]! ^= 1)),
    use: (model) => model.getTensors(),
    tensor: 'mask',
  },
  'a changed digested tensor': {
    code: 'BadDigest',
    file: digested,
    use: (model) => model.getSlice('mask').read([0, 1]),
    tensor: 'mask',
  },
  'a tensor that is not there': {
    code: 'TensorNotFound',
    file: path,
    use: (model) => model.getTensors({ names: ['mask', 'nothing'] }),
    tensor: 'nothing',
  },
  'a slice of a tensor that is not there': {
    code: 'TensorNotFound',
    file: path,
    use: (model) => model.getSlice('nothing').read(),
    tensor: 'nothing',
  },
  'a slice out of range': { code: 'SliceOutOfRange', file: path, use: (model) => model.getSlice('mask').read([0, 9]) },
  'memory that is too small': {
    code: 'InvalidOption',
    file: path,
    use: (model) => model.getTensor('encoder.weight', { into: new Uint8Array(8) }),
  },
  'a closed model': {
    code: 'Closed',
    file: path,
    use: async (model) => {
      const slice = model.getSlice('mask');
      await model.close();
      await slice.read();
    },
  },
};

// The last bytes of these files were still good when they were written.
writeFileSync(join(folder, 'changed-empty.safetensors'), '');
{
  const file = readFileSync(digested);
  file[file.length - 1]! ^= 1;
  writeFileSync(digested, file);
}

function optionsOf({ options }: Refused): OpenOptions {
  process.env.CANARY_VARIABLE = `${CANARY}-env`;
  const { policy, ...rest } = options ?? {};
  return { keys: KEYS, claims: SECRET_CLAIMS, policy: { env: ['CANARY_VARIABLE'], ...policy }, ...rest };
}

async function attempt(refused: Refused, onEvent: AuditListener): Promise<void> {
  await using model = await safeOpen(refused.file, { ...optionsOf(refused), onEvent });
  await refused.use?.(model);
}

describe('a refusal', () => {
  test.each(Object.entries(REFUSED))('%s is told of once, with its code and its reason', async (_, refused) => {
    const { onEvent, events } = recorder();
    const error = await refusal(refused.code, () => attempt(refused, onEvent));
    const denials = events.filter(({ type }) => type === 'denied');
    expect(denials).toEqual([
      {
        type: 'denied',
        path: refused.file,
        code: refused.code,
        reason: error.message,
        ...(refused.tensor === undefined ? {} : { tensor: refused.tensor }),
      },
    ]);
    expect(events.at(-1)).toEqual(denials[0]);
    expect(events.some(({ type }) => type === 'tensors-read')).toBe(false);
    expect(events.some(({ type }) => type === 'opened')).toBe(refused.use !== undefined);
  });

  test.each(Object.entries(REFUSED))('%s stays what it was if the listener throws', async (_, refused) => {
    await refusal(refused.code, () =>
      attempt(refused, ({ type }) => {
        if (type === 'denied') throw new Error('the log is full');
      }),
    );
    expect(descriptorsOf(refused.file)).toBe(0);
  });

  test('no event shows a key, a claim or a value of the environment', async () => {
    const texts: string[] = [];
    const listen: AuditListener = (event) => texts.push(JSON.stringify(event));
    for (const refused of Object.values(REFUSED)) {
      await attempt(refused, listen).catch((error: unknown) => {
        expect(error).toBeInstanceOf(CryptoTensorsError);
      });
    }
    await loadFile(path, { keys: KEYS, claims: SECRET_CLAIMS, onEvent: listen });
    expect(texts.length).toBeGreaterThan(Object.keys(REFUSED).length);
    const jwks = JSON.parse(readFileSync(KEYS, 'utf8')) as { keys: { k?: string; d?: string }[] };
    const secrets = jwks.keys.flatMap(({ k, d }) => [k, d]).filter((secret) => secret !== undefined);
    expect(secrets).toHaveLength(2);
    for (const text of texts) for (const secret of [CANARY, ...secrets]) expect(text).not.toContain(secret);
  });

  test('of whole-file work is told of once', async () => {
    const { onEvent, events } = recorder();
    const options = { keys: KEYS, onEvent };
    const { file } = REFUSED['a changed chunk']!;
    const target = join(folder, 'never.safetensors');
    for (const work of [
      () => verifyFile(file, options),
      () => verifyFileSync(file, options),
      () => decryptFile(file, target, options),
      () => loadFile(file, options),
      () => loadFileSync(file, options),
    ]) {
      await refusal('BadTag', work);
      expect(events.filter(({ type }) => type === 'denied')).toMatchObject([{ path: file, tensor: 'mask' }]);
      expect(events.splice(0).some(({ type }) => type === 'tensors-read')).toBe(false);
    }
    await refusal('UntrustedSigner', () => verifyFile(path, { ...options, trust: generateKeys() }));
    expect(events).toMatchObject([{ type: 'denied', code: 'UntrustedSigner' }]);
    expect(existsSync(target)).toBe(false);
  });
});

describe('audit or nothing', () => {
  const full = new Error('the log is full');
  const refusing =
    (refused: AuditEvent['type'], role?: string): AuditListener =>
    (event) => {
      if (event.type === refused && (role === undefined || (event.type === 'key-used' && event.role === role)))
        throw full;
    };

  test.each<[AuditEvent['type'], string?]>([['opened'], ['key-used', 'verifying'], ['key-used', 'master']])(
    'what a listener throws of %s %s leaves the file closed',
    async (type, role) => {
      const options = { keys: KEYS, onEvent: refusing(type, role) };
      await expect(safeOpen(path, options)).rejects.toBe(full);
      expect(() => safeOpenSync(path, options)).toThrow(full);
      await expect(loadFile(path, options)).rejects.toBe(full);
      await expect(verifyFile(path, options)).rejects.toBe(full);
      expect(descriptorsOf(path)).toBe(0);
    },
  );

  test('what it throws of a read hands out nothing, and wipes', async () => {
    const onEvent = refusing('tensors-read');
    await using model = await safeOpen(path, { keys: KEYS, onEvent });
    const into = new Uint8Array(new SharedArrayBuffer(64)).fill(0xee);
    await expect(model.getTensor('encoder.bias', { into })).rejects.toBe(full);
    expect([...into]).toEqual([...new Uint8Array(64)]);
    into.fill(0xee);
    expect(() => model.getTensorSync('encoder.bias', { into })).toThrow(full);
    expect([...into]).toEqual([...new Uint8Array(64)]);
    into.fill(0xee);
    await expect(model.getSlice('encoder.weight').read([0, 1], { into })).rejects.toBe(full);
    expect([...into]).toEqual([...new Uint8Array(64)]);
    await expect(model.getTensors()).rejects.toBe(full);
    await using mapped = await safeOpen(plain, { onEvent });
    await expect(mapped.getTensor('mask', { map: true })).rejects.toBe(full);
    await expect(verifyFile(path, { keys: KEYS, onEvent })).rejects.toBe(full);
    await expect(loadFile(path, { keys: KEYS, onEvent })).rejects.toBe(full);
  });

  test('what it throws of a decryption leaves no file', async () => {
    const before = readdirSync(folder);
    const options = { keys: KEYS, onEvent: refusing('tensors-read') };
    await expect(decryptFile(path, join(folder, 'unlogged.safetensors'), options)).rejects.toBe(full);
    expect(readdirSync(folder)).toEqual(before);
  });

  test('what it throws of attaching attaches nothing', async () => {
    await using model = await safeOpen(path, { keys: KEYS });
    const token = model.share();
    expect(() => SafeFile.attach(token, { onEvent: refusing('opened') })).toThrow(full);
    expect(descriptorsOf(path)).toBe(1);
  });

  test('a listener that returns a promise could refuse nothing, and is refused', async () => {
    const onEvent = (async () => {
      await Promise.resolve();
      throw full;
    }) as () => unknown as AuditListener;
    const error = await refusal('InvalidOption', () => safeOpen(path, { keys: KEYS, onEvent }));
    expect(error.message).toContain('options.onEvent returned a promise');
    await refusal('UntrustedSigner', () => safeOpen(path, { keys: KEYS, trust: generateKeys(), onEvent }));
    // Its own failure is nobody's unhandled rejection: vitest would fail.
    await new Promise((resolve) => setTimeout(resolve, 10));
  });

  test('so is one that returns anything else to be awaited, such as the query of a query builder', async () => {
    let ran = 0;
    const query = {
      then(done: () => void): void {
        ran++;
        done();
      },
    };
    const callable = Object.assign(() => undefined, query);
    class Lazy {
      then(done: () => void): void {
        query.then(done);
      }
    }
    for (const answer of [query, callable, new Lazy(), Object.create(query) as object]) {
      const onEvent = (() => answer) as () => unknown as AuditListener;
      for (const work of [
        () => safeOpen(path, { keys: KEYS, onEvent }),
        () => safeOpenSync(path, { keys: KEYS, onEvent }),
      ]) {
        const error = await refusal('InvalidOption', work);
        expect(error.option).toBe('onEvent');
      }
    }
    // The query itself was not run either.
    expect(ran).toBe(0);
    const onEvent = (() => ({ then: 'no function' })) as () => unknown as AuditListener;
    await (await safeOpen(path, { keys: KEYS, onEvent })).close();
  });

  test('a slow listener delays the work, which waits for it', async () => {
    const order: string[] = [];
    const onEvent: AuditListener = ({ type }) => {
      if (type !== 'tensors-read') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 30);
      order.push('logged');
    };
    await using model = await safeOpen(path, { keys: KEYS, onEvent });
    await Promise.all(ALL.map((name) => model.getTensor(name).then(() => order.push('read'))));
    expect(order.slice(0, 1)).toEqual(['logged']);
    let logged = 0;
    for (const [i, entry] of order.entries()) {
      if (entry === 'logged') logged++;
      expect(i + 1 - logged).toBeLessThanOrEqual(logged);
    }
    expect(order).toHaveLength(12);
  });

  test('a listener may close the model that it hears of', async () => {
    const onEvent: AuditListener = ({ type }) => {
      if (type === 'tensors-read') model[Symbol.dispose]();
    };
    const model = await safeOpen(path, { keys: KEYS, onEvent });
    expect((await model.getTensor('mask')).data).toEqual(Uint8Array.of(1, 0, 1));
    await refusal('Closed', () => model.getTensor('mask'));
  });
});
