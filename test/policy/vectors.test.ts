import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ending, endingSync } from './support.js';

interface Vector {
  file: string;
  category: string;
  reference_refuses?: string;
}

const folder = join(import.meta.dirname, '../vectors');
const { vectors } = JSON.parse(readFileSync(join(folder, 'vectors.json'), 'utf8')) as { vectors: Vector[] };
const policies = vectors.filter(({ category }) => category === 'policies');

/** The local policy that stands in a file's header. */
function localPolicy(file: string): string {
  const bytes = readFileSync(join(folder, file));
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(bytes.readBigUInt64LE()))) as {
    __metadata__: { __policy__: string };
  };
  return (JSON.parse(header.__metadata__.__policy__) as { local: string }).local;
}

/** What this project's codes are for the words of the reference. */
function expectedCode(refusal: string | undefined): string {
  if (refusal === undefined) return 'opens';
  return /denied|undefined|did not return a boolean/.test(refusal) ? 'PolicyDenied' : 'PolicyError';
}

describe('the policies that the reference wrote', () => {
  test('are all there', () => {
    expect(policies).toHaveLength(20);
    expect(policies.filter((vector) => vector.reference_refuses === undefined).length).toBeGreaterThan(5);
  });

  test.each(policies)('$file: the same answer as the reference', async ({ file, reference_refuses }) => {
    const policy = localPolicy(file);
    const expected = expectedCode(reference_refuses);
    const asynchronous = await ending(policy);
    expect(asynchronous.code, asynchronous.message).toBe(expected);
    const synchronous = endingSync(policy);
    expect(synchronous.code, synchronous.message).toBe(expected);
  });
});
