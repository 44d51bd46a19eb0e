import { isBox } from '../../format/box.js';
import { COPY_STRIDE } from '../../format/vocabulary.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import type { ReadRequest, UnsealRequest } from '../types.js';
import { UNIT_BYTES } from './job.js';
import type { Chunk, Job } from './job.js';
import { maxMessageBytes } from './keys.js';
import { checkKind, ensure } from './kind.js';
import { MemorySink, portableSink, portableSource } from './places.js';
import type { PortableSink } from './places.js';
import { NOTHING } from './primitives.js';
import type { Cipher, Hasher, Passage, Primitives } from './primitives.js';
import { equalBytes } from './secret.js';
import { portableTable } from './table.js';
import type { Check, PortableTable } from './table.js';
import { byTensor, checkedBox, checkRows, WantedBox } from './wanted.js';
import type { Wanted } from './wanted.js';

/** A read, checked, as a job. */
export function readJob(primitives: Primitives, request: ReadRequest): Job {
  return openJob(primitives, request, new MemorySink(request.destination, 'destination'), request.copies);
}

export function unsealJob(primitives: Primitives, request: UnsealRequest): Job {
  const table = portableTable(request.table);
  const { tensors } = request;
  checkKind(tensors, 'Float64Array', 'tensors');
  ensure(tensors.length % 2 === 0, 'tensors must have 2 numbers per row');
  const copies = new Float64Array((tensors.length / 2) * COPY_STRIDE);
  for (let row = 0; row < tensors.length / 2; row++) {
    const tensor = tensors[row * 2]!;
    ensure(tensor < table.count, `there is no tensor ${tensor}`);
    copies.set([tensor, 0, table.length(tensor), tensors[row * 2 + 1]!], row * COPY_STRIDE);
  }
  return openJob(primitives, request, portableSink(request.sink), copies);
}

function openJob(
  primitives: Primitives,
  request: Omit<ReadRequest, 'destination' | 'copies'>,
  sink: PortableSink,
  copies: ReadRequest['copies'],
): Job {
  const table = portableTable(request.table);
  const source = portableSource(request.source);
  for (const lease of [table, source, sink]) lease.assertOpen();
  const { all, tensors, total } = wantedOf(table, copies, sink.memory?.byteLength ?? Number.MAX_SAFE_INTEGER);
  const ciphers = new Ciphers(primitives);
  const { signal, onProgress } = request;
  function* chunks(): Generator<Chunk> {
    for (const wanted of all) {
      const { tensor } = wanted;
      for (const { chunk, begin, end } of touched(table, wanted)) {
        const check = chunk < 0 ? null : table.check(tensor, chunk);
        yield {
          tensor,
          chunk,
          source,
          position: table.position(tensor) + begin,
          length: end - begin,
          mismatch: check && (check.kind === 'tag' ? 'BadTag' : 'BadDigest'),
          begin: () => ciphers.begin(check, end - begin),
          place: (at, bytes) => wanted.place(begin + at, bytes),
        };
      }
    }
  }
  const unchecked = tensors.some((tensor) => table.chunkSize(tensor) === null);
  return { sources: [source], sink, leases: [table], chunks: chunks(), total, unchecked, signal, onProgress };
}

/** What is wanted, by tensor; the tensors of which there are bytes among it; how many bytes. Checked. */
function wantedOf(table: PortableTable, copies: ReadRequest['copies'], capacity: number) {
  if (isBox(copies)) {
    const runs = checkedBox(table, copies, capacity);
    return { all: [new WantedBox(runs)], tensors: [runs.box.tensor], total: runs.byteLength };
  }
  checkKind(copies, 'Float64Array', 'copies');
  // The caller's array may change while the job runs.
  const rows = copies.slice();
  checkRows(table, rows, capacity);
  const tensors: number[] = [];
  let total = 0;
  for (let at = 0; at < rows.length; at += COPY_STRIDE) {
    const [tensor, , length] = rows.subarray(at) as unknown as [number, number, number];
    if (length > 0 && tensors.at(-1) !== tensor) tensors.push(tensor);
    total += length;
  }
  return { all: byTensor(rows), tensors, total };
}

/** Each chunk of which something is wanted, once; -1 where nothing is checked together. Bounds count from the start of the tensor. */
function* touched(table: PortableTable, wanted: Wanted): Generator<{ chunk: number; begin: number; end: number }> {
  const { tensor } = wanted;
  if (table.isSealed(tensor) && !table.unwrapped) {
    throw new EngineFault('InvalidOption', 'the data keys have not been unwrapped');
  }
  const size = table.length(tensor);
  if (size === 0) yield { chunk: 0, begin: 0, end: 0 };
  const chunkSize = table.chunkSize(tensor);
  for (let begin = wanted.next(0), end; begin < size; begin = wanted.next(end)) {
    let chunk = -1;
    if (chunkSize === null) {
      end = wanted.reach(Math.min(begin + UNIT_BYTES, size));
    } else {
      chunk = Math.floor(begin / (chunkSize || size));
      begin = chunk * chunkSize;
      end = chunkSize === 0 ? size : Math.min(begin + chunkSize, size);
    }
    yield { chunk, begin, end };
  }
}

/** Makes what verifies, and decrypts, each chunk in turn. The cipher of a tensor serves all its chunks. */
class Ciphers {
  readonly #primitives: Primitives;
  #last: { dek: Uint8Array; cipher: Cipher } | null = null;

  constructor(primitives: Primitives) {
    this.#primitives = primitives;
  }

  *begin(check: Check | null, length: number): Twin<Passage> {
    if (check === null) return UNCHECKED;
    if (check.kind === 'digest') return digesting(this.#primitives.hasher(check.algorithm), check.digest);
    const { algorithm, dek, iv, tag } = check;
    // No such message can have been encrypted.
    if (length > maxMessageBytes(algorithm)) {
      throw new EngineFault('BadTag', 'the chunk is longer than the algorithm can encrypt');
    }
    if (this.#last?.dek.byteOffset !== dek.byteOffset) {
      this.#last = { dek, cipher: yield* this.#primitives.cipher(algorithm, dek) };
    }
    return this.#last.cipher.opener(iv, tag);
  }
}

/* eslint-disable require-yield -- Only ciphers make anybody wait. */

export const UNCHECKED: Passage = {
  update: (stored) => stored,
  *finish() {
    return NOTHING;
  },
};

function digesting(hasher: Hasher, expected: Uint8Array): Passage {
  return {
    update(stored) {
      hasher.update(stored);
      return stored.slice();
    },
    *finish() {
      return equalBytes(hasher.digest(), expected) ? NOTHING : null;
    },
  };
}
