import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { decryptFile, encryptFile, loadFile, safeOpen, saveFile } from 'cryptotensors';
import type { ProtectOptions } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import { expectAgreement, headerShape } from './agreement.js';
import { startReference } from './reference.js';
import type { Jwk, ReferenceConfig } from './reference.js';
import {
  ALL_DTYPES,
  KEYS_FILE,
  MASTER_KIDS,
  NUMPY_DTYPES,
  ODD_METADATA,
  ODD_NAMES,
  RAW_DTYPES,
  SIGNER_KID,
  input,
  keyOf,
  sample,
  samples,
  wire,
  withoutEmpty,
} from './samples.js';
import type { Sample } from './samples.js';

const folder = temporaryFolder();
const reference = await startReference();

const master = MASTER_KIDS.aes256gcm;
const protect: ProtectOptions = { keys: KEYS_FILE, encKid: master, signKid: SIGNER_KID };
const config: ReferenceConfig = { enc_key: keyOf(master), sign_key: keyOf(SIGNER_KID) };
const model = samples(NUMPY_DTYPES);

/** A feature: the same file asked for here and there. */
interface Feature {
  feature: string;
  tensors: Sample[];
  metadata?: Record<string, string>;
  options?: Partial<ProtectOptions>;
  config?: Partial<ReferenceConfig>;
}

const policy = {
  local:
    'package model\n\nimport rego.v1\n\ndefault allow := false\n\n# "quotes", \\ and ünicode 🦊\nallow if {\n\tcount([1, 2]) == 2\n}\n',
  remote: 'package model\nallow = input.claims.customer == "acme"',
};
const half = ['layer.F32', 'layer.U8', 'scalar', 'empty.first'];

const features: Feature[] = [
  { feature: 'every dtype', tensors: samples(RAW_DTYPES) },
  { feature: 'no metadata', tensors: model },
  { feature: 'metadata with escapes and Unicode', tensors: model, metadata: ODD_METADATA },
  { feature: 'odd names', tensors: ODD_NAMES.map((name) => sample(name, 'U8', [5])) },
  {
    feature: 'partial encryption',
    tensors: model,
    options: { tensors: half, integrity: false },
    config: { tensors: half },
  },
  { feature: 'a policy', tensors: model, options: { policy }, config: { policy } },
  { feature: 'one empty tensor', tensors: [sample('nothing', 'F32', [0])] },
  { feature: 'one scalar', tensors: [sample('pi', 'F64', [])] },
  { feature: 'many dimensions', tensors: [sample('deep', 'I8', [1, 2, 1, 3, 1, 4, 1])] },
  { feature: 'small chunks', tensors: model, options: { chunkSize: 7 }, config: { chunk_size: 7 } },
  { feature: 'version 1', tensors: withoutEmpty(model), options: { version: 1 }, config: { version: '1' } },
];

describe.each(features)('$feature', ({ tensors, metadata, options, config: more }) => {
  const expected = { tensors, ...(metadata === undefined ? {} : { metadata }) };
  const withMetadata = metadata === undefined ? {} : { metadata };
  const plain = join(folder, 'plain.safetensors');
  const saved = join(folder, 'saved.safetensors');
  const encrypted = join(folder, 'encrypted.safetensors');
  const there = join(folder, 'there.safetensors');
  const decrypted = join(folder, 'decrypted.safetensors');

  it('is read everywhere, whoever wrote it, and the header texts are the same but for what is random', async () => {
    await saveFile(input(tensors), saved, { ...protect, ...options, ...withMetadata });
    await expectAgreement(reference, saved, expected);
    await saveFile(input(tensors), plain, withMetadata);
    await encryptFile(plain, encrypted, { ...protect, ...options });
    await expectAgreement(reference, encrypted, expected);
    await reference.call('reference_write', {
      path: there,
      interface: 'raw',
      tensors: tensors.map(wire),
      metadata: metadata ?? null,
      config: { ...config, ...more },
    });
    await expectAgreement(reference, there, expected);
    expect(headerShape(saved)).toBe(headerShape(there));
    expect(headerShape(encrypted)).toBe(headerShape(there));
  });

  it('is what it was before, byte for byte, once decrypted', async () => {
    for (const path of [saved, encrypted, there]) {
      await decryptFile(path, decrypted, { keys: KEYS_FILE });
      expect(readFileSync(decrypted).equals(readFileSync(plain)), path).toBe(true);
    }
  });
});

describe('keys', () => {
  it('without a kid are found by their kind', async () => {
    const anonymous = [keyOf(master), keyOf(SIGNER_KID)].map(withoutKid) as [Jwk, Jwk];
    const here = join(folder, 'here-no-kid.safetensors');
    const there = join(folder, 'there-no-kid.safetensors');
    await saveFile(input(model), here, { keys: { keys: anonymous } });
    await reference.call('reference_write', {
      path: there,
      interface: 'numpy',
      tensors: model.map(wire),
      metadata: null,
      config: { enc_key: anonymous[0], sign_key: anonymous[1] },
    });
    expect(headerShape(here)).toBe(headerShape(there));
    const bytes = Object.fromEntries(model.map((tensor) => [tensor.name, wire(tensor).data]));
    for (const path of [here, there]) {
      const read = await loadFile(path, { keys: { keys: anonymous } });
      expect(
        Object.fromEntries([...read].map(([name, tensor]) => [name, Buffer.from(tensor.bytes).toString('base64')])),
      ).toEqual(bytes);
      expect(await reference.call('reference_open_direct', { path, enc: anonymous[0], sign: anonymous[1] })).toEqual(
        bytes,
      );
    }
  });

  it('with a jku carry it in the header', async () => {
    const jku = 'file:///keys/öffentlich "1".jwk';
    const named = [keyOf(master), keyOf(SIGNER_KID)].map((jwk): Jwk => ({ ...jwk, jku })) as [Jwk, Jwk];
    const here = join(folder, 'here-jku.safetensors');
    const there = join(folder, 'there-jku.safetensors');
    await saveFile(input(model), here, { keys: { keys: named } });
    await reference.call('reference_write', {
      path: there,
      interface: 'numpy',
      tensors: model.map(wire),
      metadata: null,
      config: { enc_key: named[0], sign_key: named[1] },
    });
    expect(headerShape(here)).toBe(headerShape(there));
    for (const path of [here, there]) {
      expect(await reference.call('reference_open_direct', { path, enc: named[0], sign: named[1] })).toHaveProperty(
        'scalar',
      );
      expect((await loadFile(path, { keys: KEYS_FILE })).size).toBe(model.length);
    }
  });

  it('given directly open a file whatever its header names', async () => {
    const path = join(folder, 'direct.safetensors');
    await saveFile(input(model), path, protect);
    const renamed = [keyOf(master), keyOf(SIGNER_KID)].map((jwk): Jwk => ({ ...jwk, kid: `other-${jwk.kid!}` })) as [
      Jwk,
      Jwk,
    ];
    const read = await loadFile(path, {
      keys: { keys: renamed },
      encKid: `other-${master}`,
      signKid: `other-${SIGNER_KID}`,
    });
    const there = await reference.call('reference_open_direct', { path, enc: renamed[0], sign: renamed[1] });
    for (const [name, { bytes }] of read) expect(there[name]).toBe(Buffer.from(bytes).toString('base64'));
    expect(Object.keys(there).sort()).toEqual([...read.keys()].sort());
  });
});

describe('digests of the tensors that stay plain', () => {
  it.each(['sha256', 'blake3'] as const)(
    '%s: the reference ignores them, the oracle checks them',
    async (integrity) => {
      const path = join(folder, `${integrity}.safetensors`);
      const tensors = samples(ALL_DTYPES);
      await saveFile(input(tensors), path, { ...protect, tensors: half, integrity });
      const plain = tensors.map(({ name }) => name).filter((name) => !half.includes(name));
      await expectAgreement(reference, path, { tensors, facts: { integrity: plain.sort() } });
      await using file = await safeOpen(path, { keys: KEYS_FILE });
      expect(
        file
          .offsetKeys()
          .filter((name) => file.info(name).check === 'digest')
          .sort(),
      ).toEqual(plain);
    },
  );
});

describe('rewrapping', () => {
  it.each([1, 2] as const)('by the reference leaves a version %i file of ours readable', async (version) => {
    const path = join(folder, `ours-${version}.safetensors`);
    const rewrapped = join(folder, `rewrapped-${version}.safetensors`);
    const tensors = withoutEmpty(model);
    await saveFile(input(tensors), path, { ...protect, version, tensors: ['layer.*'], metadata: ODD_METADATA });
    copyFileSync(path, rewrapped);
    await reference.call('reference_rewrap', {
      path: rewrapped,
      keys: [keyOf(master), keyOf(SIGNER_KID)],
      config: { enc_key: keyOf('enc-256-next'), sign_key: keyOf('sign-b') },
    });
    expect(readFileSync(rewrapped).equals(readFileSync(path))).toBe(false);
    await expectAgreement(reference, rewrapped, {
      tensors,
      metadata: ODD_METADATA,
      facts: { enc: { kid: 'enc-256-next', jku: null }, sign: { kid: 'sign-b', jku: null } },
      open: { trust: { keys: [keyOf('sign-b')] } },
    });
  });
});

function withoutKid(jwk: Jwk): Jwk {
  return Object.fromEntries(Object.entries(jwk).filter(([member]) => member !== 'kid')) as Jwk;
}
