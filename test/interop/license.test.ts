import { join } from 'node:path';
import {
  attachHeader,
  exportLicenseKey,
  generateRecipientKeys,
  issueLicense,
  loadFile,
  publicJwks,
  saveFile,
} from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import { startReference } from './reference.js';
import type { Jwk } from './reference.js';
import {
  ALGORITHMS,
  KEYS_FILE,
  MASTER_KIDS,
  NUMPY_DTYPES,
  ODD_METADATA,
  SIGNER_KID,
  input,
  keyOf,
  samples,
  wire,
  withoutEmpty,
} from './samples.js';
import type { Sample } from './samples.js';

/* Body and licence, attached, are an ordinary file: for the reference with the licence's key, here with the customer's own. */

const folder = temporaryFolder();
const reference = await startReference();

const model = samples(NUMPY_DTYPES);
const customer = generateRecipientKeys();
const { alg, kid, x } = keyOf(SIGNER_KID);
const trust = { kty: 'okp', alg, kid: kid!, x: x! };
const byName = (list: readonly { name: string }[]): unknown[] => [...list].sort((a, b) => (a.name < b.name ? -1 : 1));

describe.each(ALGORITHMS.flatMap((algorithm) => ([1, 2] as const).map((version) => ({ algorithm, version }))))(
  '$algorithm, version $version',
  ({ algorithm, version }) => {
    const [body, whole] = [`${algorithm}-${version}.ct`, `${algorithm}-${version}.whole`].map((name) =>
      join(folder, name),
    ) as [string, string];
    // The reference's version 1 authenticates no empty tensor, and writes none that it reads again in every order.
    const tensors = version === 1 ? withoutEmpty(model) : model;

    async function expectBothOpen(expected: readonly Sample[]): Promise<void> {
      const license = await issueLicense(body, {
        keys: KEYS_FILE,
        signKid: SIGNER_KID,
        to: publicJwks(customer),
        claims: { customer: 'acme' },
        expires: new Date(Date.now() + 86_400_000),
      });
      await attachHeader(body, license, whole);
      const { keys } = await exportLicenseKey(license, { keys: customer, trust });
      const reading = await reference.call('reference_read', { path: whole, keys: keys as readonly Jwk[] });
      expect(byName(reading.tensors)).toEqual(byName(expected.map(wire)));
      expect(reading.reserved).toContain('__license__');
      expect(reading.metadata).toEqual(ODD_METADATA);
      const read = await loadFile(whole, { keys: customer, trust });
      for (const { name, data } of expected) expect(Buffer.compare(read.get(name)!.bytes, data), name).toBe(0);
      expect((await loadFile(whole, { keys: { keys } })).size).toBe(expected.length);
    }

    it('of a body that was written here', async () => {
      const keys = { keys: KEYS_FILE, encKid: MASTER_KIDS[algorithm], signKid: SIGNER_KID };
      await saveFile(input(tensors), body, { ...keys, version, metadata: ODD_METADATA });
      await expectBothOpen(tensors);
    });

    it('of a body that the reference wrote', async () => {
      await reference.call('reference_write', {
        path: body,
        interface: 'numpy',
        tensors: tensors.map(wire),
        metadata: ODD_METADATA,
        config: { enc_key: keyOf(MASTER_KIDS[algorithm]), sign_key: keyOf(SIGNER_KID), version: `${version}` },
      });
      await expectBothOpen(tensors);
    });
  },
);
