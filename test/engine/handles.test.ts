import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { createRequire } from 'node:module';
import { inspect } from 'node:util';
import type { Secret, Sink, Source, TensorTable } from '#dist/engine/types.js';
import { describe, expect, it } from 'vitest';
import { NO_CONTROL } from './sealed-file.js';
import { ENGINES } from './both-engines.js';

describe.each(ENGINES)('%s', (engineName, engine) => {
  const isNative = engineName === 'native';

  function objects(): { secret: Secret; source: Source; sink: Sink; table: TensorTable } {
    const made = engine.createTable({
      dataStart: 0,
      begin: Float64Array.of(),
      end: Float64Array.of(),
      encryption: null,
      integrity: null,
    });
    if ('fault' in made) throw new Error(made.fault.problem);
    return {
      secret: engine.randomSecret(32),
      source: engine.openBytes(new Uint8Array(4)),
      sink: engine.memorySink(new Uint8Array(4)),
      table: made.table,
    };
  }

  describe('an object of the wrong kind is a TypeError', () => {
    const { secret, source, sink, table } = objects();
    const strangers = [null, undefined, 1, 'x', {}, [], () => 1, Object.create(secret) as unknown];

    it.each([
      ['secret', [...strangers, source, sink, table], (x: unknown) => engine.exportSecret(x as Secret)],
      ['seed', [...strangers, source], (x: unknown) => engine.ed25519PublicKey(x as Secret)],
      ['master', [...strangers, source, table], (x: unknown) => table.unwrap(x as Secret)],
      [
        'source',
        [...strangers, secret, sink, table],
        (x: unknown) => engine.readRawSync(x as Source, 0, new Uint8Array(1)),
      ],
      [
        'table',
        [...strangers, secret, source, sink],
        (x: unknown) =>
          engine.readSync({
            ...NO_CONTROL,
            table: x as TensorTable,
            source,
            destination: new Uint8Array(1),
            copies: new Float64Array(0),
          }),
      ],
      [
        'sink',
        [...strangers, secret, source, table],
        (x: unknown) =>
          engine.unsealSync({ ...NO_CONTROL, table, source, sink: x as Sink, tensors: new Float64Array(0) }),
      ],
    ])('%s', (_name, wrong, use) => {
      for (const value of wrong) expect(() => use(value)).toThrow(TypeError);
    });

    it('whatever the arguments of the addon are', () => {
      const addon = createRequire(import.meta.url)('../../build/Release/cryptotensors.node') as Record<
        string,
        (...values: unknown[]) => unknown
      >;
      const values = [
        undefined,
        null,
        true,
        -1,
        1.5,
        NaN,
        'x',
        'x\0',
        {},
        [],
        Symbol('s'),
        1n,
        () => 1,
        new Uint8Array(3),
        new Float32Array(3),
        new DataView(new ArrayBuffer(3)),
        new ArrayBuffer(3),
        new Proxy({}, {}),
        secret,
      ];
      for (const [name, call] of Object.entries(addon)) {
        for (const a of values) {
          for (const b of values) {
            try {
              call(a, b, a, b, a, b);
            } catch (error) {
              expect(error, name).toBeInstanceOf(Error);
            }
          }
        }
      }
      // The engine works as before.
      expect(engine.digest('sha256', new Uint8Array(0)).byteLength).toBe(32);
    });
  });

  describe('bytes', () => {
    it.runIf(isNative)('must be a Uint8Array', () => {
      const values: unknown[] = [
        null,
        'abc',
        [1],
        new Float32Array(2),
        new ArrayBuffer(2),
        new DataView(new ArrayBuffer(2)),
      ];
      for (const wrong of values) {
        expect(() => engine.importSecret(wrong as Uint8Array)).toThrow(TypeError);
        expect(() => engine.digest('sha256', wrong as Uint8Array)).toThrow(TypeError);
      }
    });

    it('may not be resizable where a job works on them', async () => {
      const { source } = objects();
      const resizable = new Uint8Array(new ArrayBuffer(4, { maxByteLength: 8 }));
      const refusal = expect.objectContaining({ code: 'InvalidOption' }) as unknown;
      await expect(engine.readRaw(source, 0, resizable)).rejects.toEqual(refusal);
      expect(() => engine.memorySink(resizable)).toThrow(refusal);
    });

    it('may be a view of shared memory', async () => {
      const { source } = objects();
      const shared = new Uint8Array(new SharedArrayBuffer(16), 3, 4);
      shared.fill(1);
      await engine.readRaw(source, 0, shared);
      expect([...shared]).toEqual([0, 0, 0, 0]);
      expect(engine.digest('sha256', shared)).toEqual(
        new Uint8Array(createHash('sha256').update(new Uint8Array(4)).digest()),
      );
    });
  });

  describe('secrets', () => {
    it('give back what was put in', () => {
      const bytes = new Uint8Array(randomBytes(48));
      const secret = engine.importSecret(bytes);
      expect(secret.byteLength).toBe(48);
      expect(engine.exportSecret(secret)).toEqual(bytes);
      expect(engine.importSecret(new Uint8Array(0)).byteLength).toBe(0);
    });

    it('are read from base64 of either alphabet, or not at all', () => {
      const read = (text: string) => {
        const secret = engine.importSecretBase64(new TextEncoder().encode(text));
        return secret && Buffer.from(engine.exportSecret(secret)).toString('hex');
      };
      expect(read('-_-_')).toBe('fbffbf');
      expect(read('+/+/')).toBe('fbffbf');
      expect(read('AQ==')).toBe('01');
      expect(read('AQ')).toBe('01');
      for (const wrong of ['A', 'AR', 'A=', '+_AA', 'AQ=', 'A Q=', 'ä']) expect(read(wrong)).toBeNull();
    });

    it('are random', () => {
      const a = engine.randomSecret(32);
      const b = engine.randomSecret(32);
      expect(engine.secretsEqual(a, b)).toBe(false);
      expect(engine.secretsEqual(a, engine.importSecret(engine.exportSecret(a)))).toBe(true);
      expect(engine.secretsEqual(a, engine.randomSecret(16))).toBe(false);
      for (const size of [2 ** 26 + 1, 2 ** 40, -1]) expect(() => engine.randomSecret(size)).toThrow(RangeError);
    });

    it('show their length only', () => {
      const secret = engine.importSecret(new TextEncoder().encode('do not tell'));
      for (const shown of [
        inspect(secret),
        (secret as { toString(): string }).toString(),
        JSON.stringify(secret),
        inspect({ secret }, { showHidden: true }),
      ]) {
        expect(shown).toContain('Secret(11 bytes)');
        expect(shown).not.toContain('tell');
      }
    });

    it('are gone once disposed of', () => {
      const secret = engine.randomSecret(32);
      secret.dispose();
      secret.dispose();
      expect(() => engine.exportSecret(secret)).toThrow(expect.objectContaining({ code: 'Closed' }));
      expect(() => engine.ed25519PublicKey(secret)).toThrow(expect.objectContaining({ code: 'Closed' }));
    });
  });

  describe('signatures', () => {
    it('are what node:crypto verifies, and the other way round', async () => {
      const seed = engine.randomSecret(32);
      const publicKey = engine.ed25519PublicKey(seed);
      const message = randomBytes(1000);
      const signature = engine.ed25519Sign(seed, message);
      const key = createPublicKey({
        key: { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(publicKey).toString('base64url') },
        format: 'jwk',
      });
      expect(verify(null, message, key, signature)).toBe(true);
      expect(engine.ed25519Verify(publicKey, message, signature)).toBe(true);
      expect(await engine.ed25519VerifyAsync(publicKey, message, signature)).toBe(true);
      message[5]! ^= 1;
      expect(engine.ed25519Verify(publicKey, message, signature)).toBe(false);
      expect(await engine.ed25519VerifyAsync(publicKey, message, signature)).toBe(false);
      expect(() => engine.ed25519Verify(publicKey.subarray(1), message, signature)).toThrow(RangeError);
      expect(() => engine.ed25519Verify(publicKey, message, signature.subarray(1))).toThrow(RangeError);
      expect(() => engine.ed25519Sign(engine.randomSecret(31), message)).toThrow(RangeError);
    });
  });
});
