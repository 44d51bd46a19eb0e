import { BoxRuns, isBox } from '../../format/box.js';
import { copiedBytes, copiedTensors } from '../../format/plan.js';
import { COPY_STRIDE } from '../../format/vocabulary.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import type { ReadRequest, UnsealRequest } from '../types.js';
import { UNIT_BYTES } from './job.js';
import type { Chunk, Job } from './job.js';
import { maxMessageBytes } from './keys.js';
import { memorySink, own, PortableSink, PortableSource } from './places.js';
import { NOTHING } from './primitives.js';
import type { Cipher, Hasher, Passage, Primitives } from './primitives.js';
import { equalBytes } from './secret.js';
import { PortableTable } from './table.js';
import type { Check } from './table.js';
import { byTensor, WantedBox } from './wanted.js';
import type { Wanted } from './wanted.js';

/** A read as a job. */
export function readJob(primitives: Primitives, request: ReadRequest): Job {
  return openJob(primitives, request, memorySink(request.destination), request.copies);
}

export function unsealJob(primitives: Primitives, request: UnsealRequest): Job {
  const table = own(request.table, PortableTable);
  const { tensors } = request;
  const copies = new Float64Array((tensors.length / 2) * COPY_STRIDE);
  for (let row = 0; row < tensors.length / 2; row++) {
    const [tensor, offset] = [tensors[row * 2]!, tensors[row * 2 + 1]!];
    copies.set([tensor, 0, table.length(tensor), offset], row * COPY_STRIDE);
  }
  return openJob(primitives, request, own(request.sink, PortableSink), copies);
}

function openJob(
  primitives: Primitives,
  request: Omit<ReadRequest, 'destination' | 'copies'>,
  sink: PortableSink,
  copies: ReadRequest['copies'],
): Job {
  const table = own(request.table, PortableTable);
  const source = own(request.source, PortableSource);
  // Copies: what the caller has may change while the job runs.
  const wanted = isBox(copies) ? structuredClone(copies) : copies.slice();
  const total = copiedBytes(wanted);
  const all = isBox(wanted) ? [new WantedBox(new BoxRuns(wanted))] : byTensor(wanted);
  const ciphers = new Ciphers(primitives);
  const { signal, onProgress } = request;
  function* chunks(): Generator<Chunk> {
    for (const ofTensor of all) {
      const { tensor } = ofTensor;
      for (const { chunk, begin, end } of touched(table, ofTensor)) {
        const check = chunk < 0 ? null : table.check(tensor, chunk);
        yield {
          tensor,
          chunk,
          source,
          position: table.position(tensor) + begin,
          length: end - begin,
          mismatch: check && (check.kind === 'tag' ? 'BadTag' : 'BadDigest'),
          begin: () => ciphers.begin(check, end - begin),
          place: (at, bytes) => ofTensor.place(begin + at, bytes),
        };
      }
    }
  }
  const unchecked = total > 0 && copiedTensors(wanted).some((tensor) => table.chunkSize(tensor) === null);
  return { sources: [source], sink, leases: [table], chunks: chunks(), total, unchecked, signal, onProgress };
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
