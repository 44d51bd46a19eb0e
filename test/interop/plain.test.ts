import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadFile, safeOpen, save, saveFile } from 'cryptotensors';
import { describe, expect, it } from 'vitest';
import { temporaryFolder } from '../support/temporary.js';
import { startReference } from './reference.js';
import {
  ALL_DTYPES,
  NUMPY_DTYPES,
  ODD_METADATA,
  ODD_NAMES,
  RAW_DTYPES,
  input,
  sample,
  samples,
  wire,
} from './samples.js';
import type { Sample } from './samples.js';

const folder = temporaryFolder();
const reference = await startReference();

interface Case {
  title: string;
  tensors: Sample[];
  /** One entry at the most: the Python packages write several in random order. */
  metadata: Record<string, string> | null;
  python: 'numpy' | 'raw';
}

/** Tensors of size zero that share an offset: the order among them is the writer's. */
const emptyOnes = (['F32', 'U8', 'I64'] as const).flatMap((dtype) => [
  sample(`b.${dtype}`, dtype, [0, 2]),
  sample(`a.${dtype}`, dtype, [0]),
]);

const cases: Case[] = [
  { title: 'every dtype of NumPy', tensors: samples(NUMPY_DTYPES), metadata: null, python: 'numpy' },
  {
    title: 'every dtype of the Python packages',
    tensors: samples(RAW_DTYPES),
    metadata: { format: 'pt' },
    python: 'raw',
  },
  { title: 'odd names', tensors: ODD_NAMES.map((name) => sample(name, 'I16', [3])), metadata: null, python: 'numpy' },
  { title: 'empty tensors', tensors: [...emptyOnes, sample('full', 'F16', [4])], metadata: null, python: 'numpy' },
  { title: 'a scalar', tensors: [sample('pi', 'F64', [])], metadata: null, python: 'numpy' },
  { title: 'no tensors', tensors: [], metadata: null, python: 'numpy' },
  ...Object.entries(ODD_METADATA).map(([key, value], i) => ({
    title: `metadata ${i}`,
    tensors: [sample('w', 'BF16', [i, 2])],
    metadata: { [key]: value },
    python: 'raw' as const,
  })),
];

describe.each(cases)('plain safetensors: $title', ({ tensors, metadata, python }) => {
  const here = join(folder, 'here.safetensors');
  const there = join(folder, 'there.safetensors');
  const options = metadata === null ? {} : { metadata };

  it('is byte for byte what safetensors for Python writes', async () => {
    await reference.call('safetensors_write', { path: there, interface: python, tensors: tensors.map(wire), metadata });
    // The order in which tensors are given does not matter.
    await saveFile(input([...tensors].reverse()), here, options);
    expect(readFileSync(here).equals(readFileSync(there)), 'bytes of the file').toBe(true);
    expect(readFileSync(there).equals(await save(input(tensors), options)), 'bytes of save()').toBe(true);
    await reference.call('reference_write', {
      path: there,
      interface: python,
      tensors: tensors.map(wire),
      metadata,
      config: null,
    });
    expect(readFileSync(here).equals(readFileSync(there)), "the reference's plain file").toBe(true);
  });

  it('is read the same here and by safetensors for Python', async () => {
    await saveFile(input(tensors), here, options);
    const reading = await reference.call('safetensors_read', { path: here });
    await using file = await safeOpen(here);
    // Where empty tensors share an offset, Python lists them in any order.
    const full = (name: string): boolean => file.info(name).byteLength > 0;
    expect(reading.keys.filter(full)).toEqual(file.offsetKeys().filter(full));
    expect([...reading.keys].sort()).toEqual(file.keys().sort());
    expect(reading.metadata ?? {}).toEqual({ ...file.metadata() });
    const read = [...(await file.getTensors()).values()].map(({ name, dtype, shape, bytes }) =>
      wire({ name, dtype, shape: [...shape], data: bytes }),
    );
    expect(read.sort(byName)).toEqual(tensors.map(wire).sort(byName));
    expect([...reading.tensors].sort(byName)).toEqual(read);
  });
});

describe('plain safetensors', () => {
  it('with several metadata entries differs from the Python packages in their order alone', async () => {
    const tensors = samples(NUMPY_DTYPES);
    const path = join(folder, 'metadata.safetensors');
    await saveFile(input(tensors), path, { metadata: ODD_METADATA });
    const reading = await reference.call('safetensors_read', { path });
    expect(reading.metadata).toEqual(ODD_METADATA);
    const { header, written } = await reference.call('oracle_facts', { path, keys: [] });
    expect(header.trimEnd()).toBe(written);
    await reference.call('safetensors_write', {
      path,
      interface: 'numpy',
      tensors: tensors.map(wire),
      metadata: ODD_METADATA,
    });
    expect((await reference.call('oracle_facts', { path, keys: [] })).written).toBe(written);
    expect(readFileSync(path).length).toBe((await save(input(tensors), { metadata: ODD_METADATA })).length);
  });

  it('is read with every dtype of the format', async () => {
    const path = join(folder, 'all.safetensors');
    const tensors = samples(ALL_DTYPES);
    await saveFile(input(tensors), path);
    const reading = await reference.call('safetensors_read', { path });
    expect([...reading.tensors].sort(byName)).toEqual(tensors.map(wire).sort(byName));
    const bytes = readFileSync(path);
    expect(bytes.equals(await save(await loadFile(path)))).toBe(true);
  });
});

function byName(a: { name: string }, b: { name: string }): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}
