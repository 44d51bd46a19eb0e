/** Headers for tests: random ones, and the bytes of any text. */
import fc from 'fast-check';
import type { HeaderContent, HeaderTensor } from '#dist/format/canonical.js';
import { DTYPES, dtypeBits } from '#dist/format/dtype.js';
import { parseHeader, type Header } from '#dist/format/header.js';

/** Well-formed strings that JSON has trouble with: quotes, control characters, astral characters, names of properties. */
export const trickyString = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.string({
    unit: fc.constantFrom('"', '\\', '/', '\n', '\u0000', '\u007f', '\u2028', 'é', '\uffff', '\u{1f600}'),
    maxLength: 6,
  }),
  fc.constantFrom('__proto__', 'constructor', '0', '10', '', '\ufeff', '\\u0041'),
);

/** Tensors in data order, without hole or overlap. */
export const tensors: fc.Arbitrary<HeaderTensor[]> = fc
  .uniqueArray(
    fc.record({
      name: trickyString.filter((name) => name !== '__metadata__'),
      dtype: fc.constantFrom(...DTYPES),
      shape: fc.array(fc.nat(5), { maxLength: 4 }),
    }),
    { selector: ({ name }) => name, maxLength: 6 },
  )
  .map((list) => {
    let end = 0;
    return list
      .filter(({ dtype, shape }) => (elements(shape) * dtypeBits(dtype)) % 8 === 0)
      .map((tensor) => {
        const begin = end;
        end += (elements(tensor.shape) * dtypeBits(tensor.dtype)) / 8;
        return { ...tensor, begin, end };
      });
  });

export const metadata = fc.option(
  fc
    .uniqueArray(fc.tuple(fc.oneof(trickyString, fc.constant('__signature__')), trickyString), {
      selector: ([key]) => key,
      maxLength: 5,
    })
    .map((entries) => new Map(entries)),
);

export const headerContent: fc.Arbitrary<HeaderContent> = fc.record({ metadata, tensors });

export function elements(shape: readonly (number | bigint)[]): number {
  return shape.reduce<number>((product, dimension) => product * Number(dimension), 1);
}

/** Parses a header's text as if a data section of the right length followed it. */
export function parseText(text: string | Uint8Array, dataBytes: number): Header {
  const bytes = typeof text === 'string' ? new TextEncoder().encode(text) : text;
  return parseHeader(bytes, 8 + bytes.length + dataBytes);
}

/** What a header says, as an object that can be compared. */
export function contentOf(header: Header): HeaderContent {
  return {
    metadata: header.metadata,
    tensors: header.names.map((name, i) => ({
      name,
      dtype: header.dtype(i),
      shape: header.shape(i),
      begin: header.begin[i]!,
      end: header.end[i]!,
    })),
  };
}
