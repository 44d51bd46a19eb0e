import { AbortError } from '#dist/errors.js';
import { getEngine } from '#dist/engine/load.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import { SealMode } from '#dist/engine/types.js';
import { AEAD_KEY_BYTES, wrappedDekBytes } from '#dist/format/vocabulary.js';
import type { Engine, Secret, TensorTable } from '#dist/engine/types.js';
import type { AeadAlgorithm } from '#dist/format/vocabulary.js';
import { lookUpWritingMasterKey } from '#dist/keys/lookup.js';
import { lookUpMasterKey } from './look-up.js';
import type { KeyAnswer } from '#dist/keys/providers/types.js';
import type { KeyState } from '#dist/keys/types.js';
import type { MasterKey, RemoteMaster, WrappedDek } from '#dist/keys/types.js';
import { unwrapTable, wrapDeks } from '#dist/keys/wrap.js';
import { runAsync, runSync } from '#dist/twin.js';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { isZero, pattern, sealTensors } from '../engine/sealed-file.js';
import { KeyService } from '../support/remote-master.js';
import { refusal, ringOf } from './support.js';

const ALGORITHMS: readonly AeadAlgorithm[] = ['aes128gcm', 'aes256gcm', 'chacha20poly1305'];

function remoteKey(remote: RemoteMaster, algorithm: AeadAlgorithm = 'aes256gcm'): MasterKey {
  return { kid: 'hsm', jku: null, state: 'active', algorithm, secret: null, remote };
}

describe.each([
  ['native', getEngine()],
  ['portable', createNodeEngine()],
])('%s', (_, engine: Engine) => {
  let service: KeyService;
  beforeEach(() => {
    service = new KeyService();
  });
  const wrap = (key: MasterKey, deks: Secret, signal?: AbortSignal): Promise<Uint8Array> =>
    runAsync(wrapDeks(key, key.algorithm!, deks, { engine, signal }));

  /** A table of three tensors whose DEKs are wrapped under a service's key. */
  async function tableOf(key: MasterKey): Promise<{ table: TensorTable; deks: Secret }> {
    const algorithm = key.algorithm!;
    const tensors = [pattern(100), pattern(10), pattern(1)];
    const { spec, table: sealed } = sealTensors(engine, tensors, { mode: SealMode.encrypt, algorithm });
    const deks = sealed.exportDeks();
    const rows = await wrap(key, deks);
    const encryption = { ...spec.encryption!, ...withRows(spec.encryption!, rows, wrappedDekBytes(algorithm)) };
    const made = engine.createTable({ ...spec, encryption });
    if ('fault' in made) throw new Error(made.fault.problem);
    return { table: made.table, deks };
  }

  test.each(ALGORITHMS)('a remote key wraps and unwraps: %s', async (algorithm) => {
    service = new KeyService({ algorithm });
    const key = remoteKey(service, algorithm);
    const { table, deks } = await tableOf(key);
    expect(await runAsync(unwrapTable(table, key, algorithm, { engine }))).toBe(-1);
    expect(engine.secretsEqual(table.exportDeks(), deks)).toBe(true);
    expect(service.asked).toEqual({ unwrap: 1, wrap: 1 });
  });

  test('what passed through JavaScript memory is wiped', async () => {
    const key = remoteKey(service);
    const { table } = await tableOf(key);
    await runAsync(unwrapTable(table, key, 'aes256gcm', { engine }));
    expect(service.seen).toHaveLength(6);
    for (const dek of service.seen) expect(isZero(dek)).toBe(true);
  });

  test('a key at hand does the same, both ways', async () => {
    const secret = engine.randomSecret(32);
    const key: MasterKey = { ...remoteKey(service), secret, remote: null };
    const { table, deks } = await tableOf(key);
    expect(runSync(unwrapTable(table, key, 'aes256gcm', { engine }))).toBe(-1);
    expect(engine.secretsEqual(table.exportDeks(), deks)).toBe(true);
    const rows = runSync(wrapDeks(key, 'aes256gcm', deks, { engine }));
    expect('deks' in engine.unwrapDeks('aes256gcm', secret, rows)).toBe(true);
    const other = { ...key, secret: engine.randomSecret(32) };
    expect(await runAsync(unwrapTable((await tableOf(key)).table, other, 'aes256gcm', { engine }))).toBe(0);
  });

  test('nothing is asked where nothing is wrapped', async () => {
    const key = remoteKey(service);
    const { table } = sealTensors(engine, [pattern(5)], { mode: SealMode.digest });
    expect(runSync(unwrapTable(table, key, 'aes256gcm', { engine }))).toBe(-1);
    expect((await wrap(key, engine.importSecret(new Uint8Array(0)))).byteLength).toBe(0);
    expect(service.asked).toEqual({ unwrap: 0, wrap: 0 });
  });

  const wrongDeks: [string, unknown][] = [
    ['nothing', undefined],
    ['no list', { length: 3 }],
    ['too few', [new Uint8Array(32), new Uint8Array(32)]],
    ['too many', Array.from({ length: 4 }, () => new Uint8Array(32))],
    ['a short one', [new Uint8Array(32), new Uint8Array(32), new Uint8Array(31)]],
    ['one of another algorithm', [new Uint8Array(32), new Uint8Array(16), new Uint8Array(32)]],
    ['text', ['', '', '']],
    ['a hole', [new Uint8Array(32), undefined, new Uint8Array(32)]],
  ];
  test.each(wrongDeks)('an answer with %s is not used, and wiped', async (_name, answer) => {
    const { table } = await tableOf(remoteKey(service));
    for (const dek of Array.isArray(answer) ? (answer as unknown[]) : []) {
      if (dek instanceof Uint8Array) dek.fill(7);
    }
    const key = remoteKey({ unwrap: () => Promise.resolve(answer as Uint8Array[]) });
    const error = await refusal('KeyUnavailable', () => runAsync(unwrapTable(table, key, 'aes256gcm', { engine })));
    expect(error.message).toMatch(/^the master key "hsm": the key provider's answer cannot be used/);
    for (const dek of Array.isArray(answer) ? (answer as unknown[]) : []) {
      if (dek instanceof Uint8Array) expect(isZero(dek)).toBe(true);
    }
    expect(() => table.exportDeks()).toThrow('have not been unwrapped');
  });

  type Change = (rows: WrappedDek[], deks: readonly Uint8Array[]) => unknown;
  const wrongRows: [string, Change, string][] = [
    ['nothing', () => undefined, 'a list of 3'],
    ['too few', (rows) => rows.slice(1), 'expected 3 wrapped data keys, but got 2'],
    ['a short key', ([a, b, c]) => [a, b, { ...c, wrapped: new Uint8Array(31) }], '"wrapped" of data key 2'],
    ['a long IV', ([a, b, c]) => [a, { ...b, iv: new Uint8Array(16) }, c], '"iv" of data key 1'],
    ['a short tag', ([a, b, c]) => [{ ...a, tag: new Uint8Array(12) }, b, c], '"tag" of data key 0'],
    ['a hole', ([a, , c]) => [a, null, c], '"wrapped" of data key 1'],
    ['one IV twice', ([a, b, c]) => [a, b, { ...c, iv: a!.iv }], 'the IV of data key 2'],
    ['a plain key', ([a, b, c], deks) => [a, { ...b, wrapped: deks[1] }, c], 'not encrypted'],
  ];
  test.each(wrongRows)('%s is no answer to wrapping', async (_name, change, problem) => {
    const key = remoteKey({
      unwrap: () => Promise.reject(new Error('not asked')),
      wrap: async (deks) => {
        const sent = deks.map((dek) => dek.slice());
        return change(await service.wrap(deks), sent) as WrappedDek[];
      },
    });
    const error = await refusal('KeyUnavailable', () => wrap(key, engine.randomSecret(3 * 32)));
    expect(error.message).toContain(problem);
    for (const dek of service.seen) expect(isZero(dek)).toBe(true);
  });

  test('a remote that changes what it was given cannot hide a plain key', async () => {
    const key = remoteKey({
      unwrap: () => Promise.reject(new Error('not asked')),
      wrap: async (deks) => {
        const plain = deks.map((dek) => dek.slice());
        for (const dek of deks) dek.fill(1);
        const rows = await service.wrap(deks);
        return rows.map((row, i) => ({ ...row, wrapped: plain[i]! }));
      },
    });
    await refusal('KeyUnavailable', () => wrap(key, engine.randomSecret(64)));
  });

  test('a remote that fails is the cause of a refusal', async () => {
    const failure = new Error('down');
    const key = remoteKey({ unwrap: () => Promise.reject(failure), wrap: () => Promise.reject(failure) });
    const { table } = await tableOf(remoteKey(service));
    for (const work of [
      () => runAsync(unwrapTable(table, key, 'aes256gcm', { engine })),
      () => wrap(key, engine.randomSecret(32)),
    ]) {
      const error = await refusal('KeyUnavailable', work);
      expect(error).toMatchObject({ kid: 'hsm', cause: failure });
      expect(error.message).not.toContain('down');
    }
  });

  test('a remote is not waited for without end, and what comes too late is wiped', async () => {
    const { table } = await tableOf(remoteKey(service));
    const late = [1, 2, 3].map(() => new Uint8Array(32).fill(7));
    let answer: (deks: Uint8Array[]) => void = () => undefined;
    vi.useFakeTimers();
    try {
      const key = remoteKey({ unwrap: () => new Promise((resolve) => (answer = resolve)) });
      const waiting = refusal('KeyUnavailable', () => runAsync(unwrapTable(table, key, 'aes256gcm', { engine })));
      await vi.advanceTimersByTimeAsync(10_060);
      expect((await waiting).message).toContain('no answer within 10060 ms');
      answer(late);
      await vi.advanceTimersByTimeAsync(1);
      for (const dek of late) expect(isZero(dek)).toBe(true);
    } finally {
      vi.useRealTimers();
    }
  });

  test('a remote is told when the caller gives up', async () => {
    const { table } = await tableOf(remoteKey(service));
    const controller = new AbortController();
    let told = false;
    const key = remoteKey({
      unwrap: (_deks, { signal }) => {
        signal.addEventListener('abort', () => (told = true));
        controller.abort();
        return new Promise(() => undefined);
      },
    });
    const options = { engine, signal: controller.signal };
    await expect(runAsync(unwrapTable(table, key, 'aes256gcm', options))).rejects.toBeInstanceOf(AbortError);
    expect(told).toBe(true);
  });

  test('cannot serve the Sync forms, which say so and do not ask it', async () => {
    const key = remoteKey(service);
    const { table } = await tableOf(key);
    const before = { ...service.asked };
    for (const work of [
      () => runSync(unwrapTable(table, key, 'aes256gcm', { engine })),
      () => runSync(wrapDeks(key, 'aes256gcm', engine.randomSecret(32), { engine })),
    ]) {
      expect((await refusal('KeyUnavailable', work)).message).toContain('only the functions without Sync');
    }
    expect(service.asked).toEqual(before);
  });

  describe("a provider's answer", () => {
    const ask = (answer: unknown): Promise<MasterKey> => {
      const ring = ringOf(engine, { name: 'hsm', find: () => answer as KeyAnswer });
      return runAsync(lookUpMasterKey(ring, { kid: 'hsm', jku: null, algorithm: 'aes256gcm' }, { engine }));
    };
    const rejecting = (): Promise<never> => Promise.reject(new Error('not asked'));

    test('is used as the object that it is', async () => {
      const key = await ask(service);
      expect(key).toMatchObject({ kid: 'hsm', secret: null, algorithm: 'aes256gcm', state: 'active' });
      expect((await wrap(key, engine.randomSecret(64))).byteLength).toBe(2 * 60);
    });

    test('without a name answers for the one that was asked for', async () => {
      expect((await ask({ algorithm: 'aes256gcm', unwrap: rejecting })).kid).toBe('hsm');
    });

    test('for another algorithm or name is dropped', async () => {
      await refusal('KeyNotFound', () => ask({ algorithm: 'aes128gcm', unwrap: rejecting }));
      await refusal('KeyNotFound', () => ask({ algorithm: 'aes256gcm', kid: 'other', unwrap: rejecting }));
    });

    const wrong: [string, object][] = [
      ['without an algorithm', { unwrap: rejecting }],
      ['with an unknown algorithm', { algorithm: 'toString', unwrap: rejecting }],
      ['with a key beside', { algorithm: 'aes256gcm', unwrap: rejecting, key: new Uint8Array(32) }],
      ['with an unwrap that is none', { algorithm: 'aes256gcm', unwrap: 'yes' }],
      ['with a wrap that is none', { algorithm: 'aes256gcm', unwrap: rejecting, wrap: 1 }],
      ['with an unknown state', { algorithm: 'aes256gcm', unwrap: rejecting, state: 'retired' }],
    ];
    test.each(wrong)('is refused %s', async (_name, answer) => {
      const error = await refusal('KeyUnavailable', () => ask(answer));
      expect(error.message).toContain('The key provider "hsm" gave no usable answer');
    });

    test('has a state, as any key', async () => {
      const writing = (state: KeyState): Promise<MasterKey> => {
        const key = Object.assign(new KeyService(), { state });
        return runAsync(lookUpWritingMasterKey(ringOf(engine, key.provider), { kid: 'hsm' }, { engine }));
      };
      expect((await writing('active')).state).toBe('active');
      await refusal('KeyNotFound', () => writing('decrypt-only'));
      await refusal('KeyRevoked', () => writing('revoked'));
      expect((await ask(Object.assign(new KeyService(), { state: 'decrypt-only' }))).state).toBe('decrypt-only');
      await refusal('KeyRevoked', () => ask(Object.assign(new KeyService(), { state: 'revoked' })));
    });

    test('that only unwraps does not serve for writing', async () => {
      const ring = ringOf(engine, {
        name: 'hsm',
        find: () => ({ algorithm: 'aes256gcm' as const, unwrap: rejecting }),
      });
      await refusal('KeyNotFound', () => runAsync(lookUpWritingMasterKey(ring, {}, { engine })));
      const key = await ask({ algorithm: 'aes256gcm', unwrap: rejecting });
      const error = await refusal('KeyUnavailable', () => wrap(key, engine.randomSecret(32)));
      expect(error.message).toContain('does not wrap any');
    });
  });

  test('ten thousand keys go through at a time', async () => {
    const rows = await wrap(remoteKey(service), engine.randomSecret(10_000 * AEAD_KEY_BYTES.aes256gcm));
    expect(rows.byteLength).toBe(10_000 * wrappedDekBytes('aes256gcm'));
    expect(service.asked.wrap).toBe(1);
  });
});

/** The records of a table with other wrapped DEKs. */
function withRows(
  { document, records }: { document: Uint8Array; records: Int32Array },
  rows: Uint8Array,
  size: number,
) {
  const changed = records.slice();
  const keyBytes = size - 28;
  let text = Buffer.from(document).toString('latin1');
  for (let row = 0; row < rows.length / size; row++) {
    const fields = [0, keyBytes, keyBytes + 12, size].map((at) => row * size + at);
    for (const [i, start] of fields.slice(0, 3).entries()) {
      const field = Buffer.from(rows.subarray(start, fields[i + 1])).toString('base64');
      changed.set([text.length, text.length + field.length], row * 11 + 1 + 2 * i);
      text += field;
    }
  }
  return { document: Buffer.from(text, 'latin1'), records: changed };
}
