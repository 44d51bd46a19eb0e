import { join } from 'node:path';
import { encryptFile, saveFile } from 'cryptotensors';
import type { AeadAlgorithm, ProtectOptions } from 'cryptotensors';
import { describe, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import { expectAgreement } from './agreement.js';
import type { Expected } from './agreement.js';
import { startReference } from './reference.js';
import type { OracleFacts, ReferenceConfig } from './reference.js';
import {
  ALGORITHMS,
  ALL_DTYPES,
  KEYS_FILE,
  MASTER_KIDS,
  NUMPY_DTYPES,
  RAW_DTYPES,
  SAMPLE_BYTES,
  SIGNER_KID,
  input,
  keyOf,
  samples,
  wire,
} from './samples.js';

/** Every algorithm in both versions, with chunks around the tensors' length; null: the default of 2 MiB. */
const layouts: { algorithm: AeadAlgorithm; version: 1 | 2; chunkSize: number | null }[] = ALGORITHMS.flatMap(
  (algorithm) => [
    { algorithm, version: 1 as const, chunkSize: null },
    ...[1, 15, 16, 17, SAMPLE_BYTES - 1, SAMPLE_BYTES, SAMPLE_BYTES + 1, null].map((chunkSize) => ({
      algorithm,
      version: 2 as const,
      chunkSize,
    })),
  ],
);
type Layout = (typeof layouts)[number];

function factsOf({ algorithm, version, chunkSize }: Layout): Partial<OracleFacts> {
  return {
    algorithm,
    version: String(version),
    chunk_size: version === 1 ? null : (chunkSize ?? 2 * 1024 * 1024),
    enc: { kid: MASTER_KIDS[algorithm], jku: null },
    sign: { kid: SIGNER_KID, jku: null },
  };
}

const reference = await startReference();

describe.each(layouts)('$algorithm, version $version, chunks of $chunkSize', (layout) => {
  const { algorithm, version, chunkSize } = layout;
  const folder = temporaryFolder();
  const expected = (tensors: Expected['tensors']): Expected => ({ tensors, facts: factsOf(layout) });

  const protect: ProtectOptions = {
    keys: KEYS_FILE,
    encKid: MASTER_KIDS[algorithm],
    signKid: SIGNER_KID,
    algorithm,
    version,
    ...(chunkSize === null ? {} : { chunkSize }),
  };
  const config: ReferenceConfig = {
    enc_key: keyOf(MASTER_KIDS[algorithm]),
    sign_key: keyOf(SIGNER_KID),
    version: `${version}`,
    ...(chunkSize === null ? {} : { chunk_size: chunkSize }),
  };

  it('saveFile', async () => {
    const tensors = samples(ALL_DTYPES);
    const path = join(folder, 'saved.safetensors');
    await saveFile(input(tensors), path, protect);
    await expectAgreement(reference, path, expected(tensors));
  });

  it('encryptFile', async () => {
    const tensors = samples(RAW_DTYPES);
    const plain = join(folder, 'plain.safetensors');
    const path = join(folder, 'encrypted.safetensors');
    await reference.call('safetensors_write', {
      path: plain,
      interface: 'raw',
      tensors: tensors.map(wire),
      metadata: null,
    });
    await encryptFile(plain, path, protect);
    await expectAgreement(reference, path, expected(tensors));
  });

  it.each([
    { writer: 'save_file of the reference', python: 'numpy' as const, dtypes: NUMPY_DTYPES },
    { writer: 'serialize_file of the reference', python: 'raw' as const, dtypes: RAW_DTYPES },
  ])('$writer', async ({ python, dtypes }) => {
    const tensors = samples(dtypes);
    const path = join(folder, `${python}.safetensors`);
    await reference.call('reference_write', {
      path,
      interface: python,
      tensors: tensors.map(wire),
      metadata: null,
      config,
    });
    await expectAgreement(reference, path, expected(tensors));
  });
});
