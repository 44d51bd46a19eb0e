import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  decryptFile,
  encryptFile,
  generateKeys,
  inspectFile,
  loadFile,
  publicJwks,
  safeOpen,
  safeOpenSync,
  save,
  saveFile,
  saveFileSync,
  verifyFile,
} from 'cryptotensors';
import type { AeadAlgorithm, KeysInput, WrappedDek } from 'cryptotensors';
import { describe, expect, test } from 'vitest';
import { refusal } from '../support/errors.js';
import { bytesOf, saveSmallModel, smallTensors } from '../support/model.js';
import { KeyService } from '../support/remote-master.js';
import { temporaryFolder } from '../support/temporary.js';

/** Files whose master key stays in a key service, with whatever engine this process was told to use. */
export function describeRemoteMaster(): void {
  const folder = temporaryFolder();
  const all = generateKeys();
  const signer = { keys: all.keys.filter(({ kty }) => kty !== 'oct') };
  const trust = publicJwks(signer);
  const keysOf = (service: KeyService): KeysInput => [service.provider, signer];

  async function expectSmallModel(input: string | Uint8Array, keys: KeysInput): Promise<void> {
    using file = await safeOpen(input, { keys, trust });
    const tensors = await file.getTensors();
    for (const [name, { data }] of smallTensors()) {
      expect(Buffer.compare(tensors.get(name)!.bytes, bytesOf(data)), name).toBe(0);
    }
  }

  describe.each<[AeadAlgorithm, 1 | 2]>([
    ['aes128gcm', 2],
    ['aes256gcm', 1],
    ['aes256gcm', 2],
    ['chacha20poly1305', 2],
  ])('%s, version %i', (algorithm, version) => {
    const service = new KeyService({ algorithm });
    const path = join(folder, `${algorithm}-${version}.safetensors`);

    test('a file is written, and opened', async () => {
      await saveFile(smallTensors(), path, { keys: keysOf(service), version });
      expect(service.asked).toEqual({ unwrap: 0, wrap: 1 });
      await expectSmallModel(path, service.provider);
      expect(service.asked).toEqual({ unwrap: 1, wrap: 1 });
      expect((await inspectFile(path)).encryption?.keys.enc).toMatchObject({ kid: 'hsm', algorithm });
      expect((await verifyFile(path, { keys: service.provider, trust })).unprotected).toEqual([]);
    });

    test('it is the file that a key at hand would have made', async () => {
      await expectSmallModel(path, service.jwk);
      const local = await save(smallTensors(), { keys: [service.jwk, signer], version });
      await expectSmallModel(local, service.provider);
    });
  });

  describe('a file', () => {
    const service = new KeyService();
    const plain = saveSmallModel(folder, 'plain.safetensors', { keys: undefined, chunkSize: undefined } as never);

    test('is encrypted and decrypted from disk to disk, in part as well', async () => {
      const target = join(folder, 'there.safetensors');
      const back = join(folder, 'back.safetensors');
      for (const tensors of ['**', '*.weight']) {
        await encryptFile(plain, target, { keys: keysOf(service), tensors });
        await decryptFile(target, back, { keys: service.provider, trust });
        expect(readFileSync(back)).toEqual(readFileSync(plain));
      }
    });

    test('is not opened by a service that has another key of that name', async () => {
      const bytes = await save(smallTensors(), { keys: keysOf(service) });
      const other = new KeyService();
      const error = await refusal('KeyUnavailable', () => safeOpen(bytes, { keys: other.provider, trust }));
      expect(error.message).toContain('the key provider could not unwrap the data keys');
      expect(error.cause).toBeInstanceOf(Error);
    });

    test('is not read with data keys that are wrong', async () => {
      const bytes = await save(smallTensors(), { keys: keysOf(service) });
      const liar = { name: 'liar', find: () => ({ algorithm: 'aes256gcm' as const, unwrap: lie }) };
      const lie = (deks: readonly WrappedDek[]): Promise<Uint8Array[]> =>
        Promise.resolve(deks.map(() => new Uint8Array(32).fill(1)));
      using file = await safeOpen(bytes, { keys: liar, trust });
      expect((await refusal('BadTag', () => file.getTensor('encoder.weight'))).tensor).toBe('encoder.weight');
      await refusal('BadTag', () => loadFile(savedAs('liar.safetensors', bytes), { keys: liar, trust }));
    });

    test('is left alone when the service fails while it is written', async () => {
      const target = join(folder, 'kept.safetensors');
      await saveFile(smallTensors(), target, { keys: keysOf(service) });
      const before = readFileSync(target);
      const files = readdirSync(folder).length;
      const failing = Object.assign(new KeyService(), { wrap: () => Promise.reject(new Error('down')) });
      await refusal('KeyUnavailable', () => encryptFile(plain, target, { keys: keysOf(failing) }));
      expect(readFileSync(target)).toEqual(before);
      expect(readdirSync(folder)).toHaveLength(files);
    });

    test('cannot be written or opened by the Sync forms, which ask nothing', async () => {
      const target = join(folder, 'sync.safetensors');
      const sync = /only the functions without Sync/;
      const written = await refusal('KeyUnavailable', () =>
        saveFileSync(smallTensors(), target, { keys: keysOf(service) }),
      );
      expect(written.message).toMatch(sync);
      await saveFile(smallTensors(), target, { keys: keysOf(service) });
      const before = { ...service.asked };
      const opened = await refusal('KeyUnavailable', () => safeOpenSync(target, { keys: service.provider, trust }));
      expect(opened.message).toMatch(sync);
      expect(service.asked).toEqual(before);
    });

    test('is not written under a key that only unwraps', async () => {
      const provider = {
        name: 'reader',
        find: () => ({ algorithm: 'aes256gcm' as const, unwrap: service.unwrap.bind(service) }),
      };
      await refusal('KeyNotFound', () => save(smallTensors(), { keys: [provider, signer] }));
    });
  });

  function savedAs(name: string, bytes: Uint8Array): string {
    const path = join(folder, name);
    writeFileSync(path, bytes);
    return path;
  }
}
