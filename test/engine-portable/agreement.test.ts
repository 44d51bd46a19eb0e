import { getEngine } from '#dist/engine/load.js';
import { createNodeEngine } from '#dist/engine/portable/node.js';
import { keepPrivate } from '#dist/engine/memory.js';
import type { Engine, JobFault } from '#dist/engine/types.js';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { ALGORITHMS, PLAINLY, pattern, seal, specOf } from './sealed-file.js';
import type { SealedFile } from './sealed-file.js';

// The two engines were written apart from each other: what one gets wrong the other should not.
const native = getEngine();
const node = createNodeEngine();
const UNTOUCHED = 0xaa;
const MODES = ['encrypt', 'digest', 'plain'] as const;

beforeAll(() => {
  expect([native.name, node.name], 'needs the addon, and CRYPTOTENSORS_ENGINE not to be node').toEqual([
    'native',
    'portable',
  ]);
});

const layouts = fc.record({
  algorithm: fc.constantFrom(...ALGORITHMS),
  chunkSize: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 200 })),
  integrity: fc.record({
    algorithm: fc.constantFrom('sha256' as const, 'blake3' as const),
    chunkSize: fc.integer({ min: 1, max: 200 }),
  }),
  lengths: fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 250 })), { minLength: 1, maxLength: 6 }),
});

type Layout = typeof layouts extends fc.Arbitrary<infer T> ? T : never;

function sealed(engine: Engine, { lengths, ...protection }: Layout): SealedFile {
  return seal(
    engine,
    lengths.map((length, i) => ({ bytes: pattern(length, i + 1), mode: MODES[i % MODES.length]! })),
    protection,
  );
}

/** Whatever comes of opening a file with an engine and reading parts of it, as plain data. */
async function outcome(
  engine: Engine,
  file: SealedFile,
  copies: Float64Array,
  asynchronously: boolean,
): Promise<unknown> {
  const made = engine.createTable(specOf(file));
  if ('fault' in made) return made.fault;
  const master = engine.importSecret(file.master);
  // Awaiting work takes memory that nobody else has only.
  const source = engine.openBytes(keepPrivate(Uint8Array.from(file.stored)));
  const destination = keepPrivate(new Uint8Array(300)).fill(UNTOUCHED);
  try {
    const row = made.table.unwrap(master);
    if (row !== -1) return { row };
    const request = { table: made.table, source, destination, copies, ...PLAINLY };
    if (asynchronously) await engine.read(request);
    else engine.readSync(request);
    return { destination: Buffer.from(destination).toString('hex') };
  } catch (error) {
    const { code, tensor, chunk } = error as Partial<JobFault>;
    if (code === undefined) return { refused: (error as Error).constructor.name };
    // Where a file ends too early, an engine that reads several tensors at once blames the first.
    const place = code === 'FileChanged' ? {} : { tensor, chunk };
    return { code, ...place, destination: afterFailure(destination) };
  } finally {
    source.close();
    made.table.dispose();
    master.dispose();
  }
}

/** What a job wrote is wiped when it fails; how far it came is an engine's own affair. */
function afterFailure(destination: Uint8Array): string {
  const isClean = destination.every((byte) => byte === 0 || byte === UNTOUCHED);
  return isClean ? 'wiped' : Buffer.from(destination).toString('hex');
}

/** Reads of any parts of any tensors, before a file is known. */
const reads = fc.array(fc.tuple(fc.nat({ max: 5 }), fc.nat({ max: 250 }), fc.nat({ max: 250 }), fc.nat({ max: 40 })), {
  minLength: 1,
  maxLength: 4,
});

/** The same of what is in the file. The portable engine leaves requests for anything else to the layers above. */
function copiesOf({ tensors }: SealedFile, rows: readonly [number, number, number, number][]): Float64Array {
  const inside = rows.map(([tensor, start, length, offset]) => {
    const size = tensors[tensor % tensors.length]!.bytes.length;
    const begin = start % (size + 1);
    return [tensor % tensors.length, begin, length % (size - begin + 1), offset] as const;
  });
  return Float64Array.from(inside.sort((a, b) => a[0] - b[0] || a[1] - b[1]).flat());
}

function wholeReads(file: SealedFile): Float64Array {
  return Float64Array.from(file.tensors.flatMap(({ bytes }, i) => [i, 0, bytes.length, 0]));
}

async function expectAgreement(file: SealedFile, copies: Float64Array, asynchronously: boolean): Promise<unknown> {
  const [ours, theirs] = [
    await outcome(node, file, copies, asynchronously),
    await outcome(native, file, copies, asynchronously),
  ];
  expect(ours).toEqual(theirs);
  return ours;
}

describe('both engines', () => {
  it('open what the other sealed', async () => {
    await fc.assert(
      fc.asyncProperty(layouts, fc.boolean(), fc.boolean(), async (layout, byNode, asynchronously) => {
        const file = sealed(byNode ? node : native, layout);
        for (const [i, { bytes }] of file.tensors.entries()) {
          const result = await outcome(
            byNode ? native : node,
            file,
            Float64Array.of(i, 0, bytes.length, 0),
            asynchronously,
          );
          expect(result).toEqual({
            destination: Buffer.from(bytes).toString('hex').padEnd(600, UNTOUCHED.toString(16)),
          });
        }
      }),
      { numRuns: 200 },
    );
  });

  it('answer any read in the same way', async () => {
    await fc.assert(
      fc.asyncProperty(layouts, reads, fc.boolean(), async (layout, rows, asynchronously) => {
        const file = sealed(native, layout);
        const result = await expectAgreement(file, copiesOf(file, rows), asynchronously);
        expect(result).toHaveProperty('destination');
      }),
      { numRuns: 400 },
    );
  });

  it('find the same fault in the same bad records', async () => {
    const seen = new Set<unknown>();
    const damage = fc.record({
      tensor: fc.nat({ max: 5 }),
      field: fc.nat({ max: 4 }),
      at: fc.nat({ max: 400 }),
      kind: fc.constantFrom('set', 'delete', 'insert', 'empty', 'double', 'bytes'),
      character: fc.constantFrom('A', 'B', '/', '+', '-', '_', '=', ' ', '\n', '\0', '\u00e9', '9', 'z'),
      bytes: fc.nat({ max: 64 }),
    });
    await fc.assert(
      fc.asyncProperty(layouts, fc.array(damage, { minLength: 1, maxLength: 3 }), async (layout, damages) => {
        const file = sealed(native, layout);
        for (const { tensor, field, at, kind, character, bytes } of damages) {
          const fields = file.fields[tensor % file.fields.length]!;
          const text = fields[field % Math.max(1, fields.length)];
          if (text === undefined) continue;
          const i = at % (text.length + 1);
          fields[field % fields.length] = {
            set: text.slice(0, i) + character + text.slice(i + 1),
            delete: text.slice(0, i) + text.slice(i + 1),
            insert: text.slice(0, i) + character + text.slice(i),
            empty: '',
            double: text + text,
            bytes: Buffer.alloc(bytes, at).toString('base64'),
          }[kind]!;
        }
        const result = await expectAgreement(file, wholeReads(file), false);
        seen.add(
          (result as { problem?: unknown }).problem ??
            (result as { code?: unknown }).code ??
            Object.keys(result as object)[0],
        );
      }),
      { numRuns: 1500 },
    );
    // The damage was of every kind that there is.
    expect([...seen].map(String).sort()).toEqual(
      expect.arrayContaining(['BadDigest', 'BadTag', 'base64', 'length', 'row']),
    );
  });

  it('find the same fault in the same bad bytes, and leave nothing of what they wrote', async () => {
    await fc.assert(
      fc.asyncProperty(
        layouts,
        reads,
        fc.nat(),
        fc.nat({ max: 7 }),
        fc.nat({ max: 3 }),
        async (layout, rows, at, bit, cut) => {
          const file = sealed(node, layout);
          const copies = copiesOf(file, rows);
          // Sometimes the file is shorter than its header says. Of two faults an engine may find either.
          if (cut === 0) file.stored = file.stored.subarray(0, at % (file.stored.length + 1));
          else if (file.stored.length > 0) file.stored[at % file.stored.length]! ^= 1 << bit;
          await expectAgreement(file, copies, false);
          await expectAgreement(file, wholeReads(file), false);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('decode the same base64 of keys', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...Array.from('AZaz09+/-_= \n\u00e9BQgw')), maxLength: 14 }),
        (text) => {
          const bytes = new TextEncoder().encode(text);
          const [ours, theirs] = [node, native].map((engine) => {
            const secret = engine.importSecretBase64(bytes);
            return secret && Buffer.from(engine.exportSecret(secret)).toString('hex');
          });
          expect(ours).toBe(theirs);
        },
      ),
      { numRuns: 5000 },
    );
  });

  it('make and accept the same signatures and digests', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ maxLength: 3000 }),
        fc.nat({ max: 511 }),
        (seed, message, bit) => {
          const [a, b] = [node.importSecret(seed), native.importSecret(seed)];
          const publicKey = node.ed25519PublicKey(a);
          const signature = node.ed25519Sign(a, message);
          expect(publicKey).toEqual(native.ed25519PublicKey(b));
          expect(signature).toEqual(native.ed25519Sign(b, message));
          signature[bit >> 3]! ^= 1 << (bit & 7);
          expect(node.ed25519Verify(publicKey, message, signature)).toBe(
            native.ed25519Verify(publicKey, message, signature),
          );
          for (const algorithm of ['sha256', 'blake3'] as const) {
            expect(node.digest(algorithm, message)).toEqual(native.digest(algorithm, message));
          }
        },
      ),
      { numRuns: 200 },
    );
  });
});
