import { engineInfo } from 'cryptotensors';
import type { AeadProvider } from 'cryptotensors';
import { beforeAll, describe, expect, it } from 'vitest';
import { describeBadFiles } from './bad.js';
import { describeValidFiles } from './valid.js';

/** All of `test/vectors` through the public API, with one implementation of the AEADs. */
export function describeConformance(provider: AeadProvider | 'node:crypto'): void {
  describe(`conformance with ${provider}`, () => {
    // Keys of the environment would serve where a vector has none.
    beforeAll(() => {
      delete process.env.CRYPTOTENSOR_KEYS;
    });

    it('is what serves every algorithm', () => {
      expect(engineInfo().aead).toEqual({ aes128gcm: provider, aes256gcm: provider, chacha20poly1305: provider });
    });

    describeValidFiles();
    describeBadFiles();
  });
}
