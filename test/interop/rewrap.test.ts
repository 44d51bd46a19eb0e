import { copyFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inspectFile, rewrapFile, saveFile } from 'cryptotensors';
import type { RewrapTo } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { dataOf } from '../support/detach.js';
import { temporaryFolder } from '../support/temporary.js';
import { expectAgreement, headerShape } from './agreement.js';
import { startReference } from './reference.js';
import type { ReferenceConfig } from './reference.js';
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

const folder = temporaryFolder();
const reference = await startReference();

const model = samples(NUMPY_DTYPES);
const partial = ['layer.F32', 'layer.U8', 'scalar', 'empty.first'];
const policy = { local: 'package model\nallow if 1 < 2', remote: 'package model\nallow = false' };
const cases = ALGORITHMS.flatMap((algorithm) =>
  ([1, 2] as const).flatMap((version) =>
    [null, version === 1 ? partial.filter((name) => !name.startsWith('empty')) : partial].map((tensors) => ({
      algorithm,
      version,
      tensors,
      // The reference's version 1 authenticates no empty tensor, and writes none that it reads again in every order.
      model: version === 1 ? withoutEmpty(model) : model,
      name: `${algorithm}, version ${version}, ${tensors === null ? 'all' : 'some'} tensors encrypted`,
    })),
  ),
);
type Case = (typeof cases)[number];

function nextKeys({ algorithm }: Pick<Case, 'algorithm'>): RewrapTo {
  return { keys: KEYS_FILE, encKid: `${MASTER_KIDS[algorithm]}-next`, signKid: 'sign-b' };
}

function nextConfig({ algorithm }: Pick<Case, 'algorithm'>): ReferenceConfig {
  return { enc_key: keyOf(`${MASTER_KIDS[algorithm]}-next`), sign_key: keyOf('sign-b') };
}

/** What everybody is to find in a rewrapped file. */
function expectNext(
  path: string,
  { algorithm, version, model: tensors }: Case,
  metadata = ODD_METADATA,
): Promise<void> {
  return expectAgreement(reference, path, {
    tensors,
    metadata,
    facts: {
      algorithm,
      version: String(version),
      enc: { kid: `${MASTER_KIDS[algorithm]}-next`, jku: null },
      sign: { kid: 'sign-b', jku: null },
      policy,
    },
  });
}

describe.each(cases)('$name', (item) => {
  const { algorithm, version, tensors, model } = item;
  const path = join(folder, 'model.safetensors');

  it('written and rewrapped here', async () => {
    await saveFile(input(model), path, {
      keys: KEYS_FILE,
      encKid: MASTER_KIDS[algorithm],
      signKid: SIGNER_KID,
      version,
      metadata: ODD_METADATA,
      ...(tensors === null ? {} : { tensors }),
    });
    const { how } = (await rewrapFile(path, { keys: KEYS_FILE, to: { ...nextKeys(item), policy }, verify: true }))[0]!;
    expect(how).toBe('in-place');
    await expectNext(path, item);
  });

  it('written by the reference: rewrapped here, its header is what the reference makes of it', async () => {
    const there = join(folder, 'there.safetensors');
    await reference.call('reference_write', {
      path,
      interface: 'numpy',
      tensors: model.map(wire),
      metadata: ODD_METADATA,
      config: {
        enc_key: keyOf(MASTER_KIDS[algorithm]),
        sign_key: keyOf(SIGNER_KID),
        version: `${version}`,
        ...(tensors === null ? {} : { tensors: [...tensors] }),
      },
    });
    copyFileSync(path, there);
    await rewrapFile(path, { keys: KEYS_FILE, to: { ...nextKeys(item), policy } });
    const keys = [keyOf(MASTER_KIDS[algorithm]), keyOf(SIGNER_KID)];
    await reference.call('reference_rewrap', { path: there, keys, config: { ...nextConfig(item), policy } });
    expect(headerShape(path)).toBe(headerShape(there));
    await expectNext(path, item);
    await expectNext(there, item);
  });

  it('written here, rewrapped by the reference and then here', async () => {
    await saveFile(input(model), path, {
      keys: KEYS_FILE,
      encKid: `${MASTER_KIDS[algorithm]}-next`,
      signKid: 'sign-b',
      version,
      metadata: ODD_METADATA,
      policy,
      ...(tensors === null ? {} : { tensors }),
    });
    const before = headerShape(path);
    await reference.call('reference_rewrap', {
      path,
      keys: [keyOf(`${MASTER_KIDS[algorithm]}-next`), keyOf('sign-b')],
      config: { enc_key: keyOf(MASTER_KIDS[algorithm]), sign_key: keyOf(SIGNER_KID), policy },
    });
    await rewrapFile(path, { keys: KEYS_FILE, to: nextKeys(item) });
    expect(headerShape(path)).toBe(before);
    await expectNext(path, item);
  });
});

describe.each(ALGORITHMS.flatMap((algorithm) => [1, 2].map((version) => ({ algorithm, version }))))(
  'the rewrapped vectors of $algorithm, version $version',
  ({ algorithm, version }) => {
    const vector = (when: string): string =>
      fileURLToPath(new URL(`../vectors/rewrap-${when}-v${version}-${algorithm}.cryptotensors`, import.meta.url));

    it('are the same when they are rewrapped here', async () => {
      const path = join(folder, 'vector.safetensors');
      copyFileSync(vector('before'), path);
      const { local, remote } = (await inspectFile(vector('after'))).encryption!.policy;
      await rewrapFile(path, { keys: KEYS_FILE, to: { ...nextKeys({ algorithm }), policy: { local, remote } } });
      expect(headerShape(path)).toBe(headerShape(vector('after')));
      expect(Buffer.compare(dataOf(readFileSync(path)), dataOf(readFileSync(vector('before'))))).toBe(0);
    });
  },
);
