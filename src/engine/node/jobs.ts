import { BoxRuns, isBox } from '../../format/box.js';
import type { TensorBox } from '../../format/box.js';
import { copiedTensors } from '../../format/plan.js';
import { COPY_STRIDE, SEAL_STRIDE } from '../types.js';
import type { ReadRequest, SealRequest, UnsealRequest } from '../types.js';
import { checkFloat64, checkJobBytes } from './arguments.js';
import { EngineFault } from './fault.js';
import type { Place } from './io.js';
import type { JobPiece, JobSpec } from './job.js';
import { checkCopies, planOpen } from './open-plan.js';
import { checkItems, packedLength, planSeal } from './seal-plan.js';
import { keyMemory, secretBytes } from './secret.js';
import { nodeSink } from './sink.js';
import type { NodeSink } from './sink.js';
import { nodeSource } from './source.js';
import type { NodeSource } from './source.js';
import { nodeTable } from './table.js';
import type { NodeTable } from './table.js';

/** Requests, checked, as jobs. */

export function readJob(request: ReadRequest): JobSpec {
  const { destination, copies } = request;
  checkJobBytes(destination, 'destination');
  const table = nodeTable(request.table);
  const source = nodeSource(request.source);
  return openJob(request, table, source, { kind: 'memory', bytes: destination }, copies);
}

export function unsealJob(request: UnsealRequest): JobSpec {
  const table = nodeTable(request.table);
  const source = nodeSource(request.source);
  const sink = nodeSink(request.sink);
  sink.lease.assertOpen();
  const { tensors } = request;
  checkFloat64(tensors, 'tensors');
  if (tensors.length % 2 !== 0) throw new RangeError('tensors must have 2 numbers per row');
  const copies = new Float64Array((tensors.length / 2) * COPY_STRIDE);
  for (let row = 0; row < tensors.length / 2; row++) {
    const tensor = tensors[row * 2]!;
    if (!(tensor < table.count)) throw new RangeError(`there is no tensor ${tensor}`);
    copies.set([tensor, 0, table.length(tensor), tensors[row * 2 + 1]!], row * COPY_STRIDE);
  }
  return openJob(request, table, source, sink.place, copies, sink);
}

function openJob(
  { threads, signal, onProgress }: Pick<ReadRequest, 'threads' | 'signal' | 'onProgress'>,
  table: NodeTable,
  source: NodeSource,
  target: Place,
  copies: Float64Array | TensorBox,
  sink?: NodeSink,
): JobSpec {
  table.lease.assertOpen();
  source.lease.assertOpen();
  // What the caller has may change while the job runs.
  const rows = isBox(copies) ? structuredClone(copies) : copiedRows(copies);
  const { total, unchecked } = checkCopies(table, rows, capacityOf(target));
  return {
    sources: [source],
    target,
    leases: [table.lease, source.lease, ...(sink === undefined ? [] : [sink.lease])],
    pieces: openPieces(table, rows),
    total,
    unchecked,
    ranges: () => (isBox(rows) ? [[0, new BoxRuns(rows).byteLength]] : ranges(rows, COPY_STRIDE, 3, 2)),
    threads,
    signal,
    onProgress,
  };
}

function copiedRows(copies: Float64Array): Float64Array {
  checkFloat64(copies, 'copies');
  return copies.slice();
}

function* openPieces(table: NodeTable, copies: Float64Array | TensorBox): Generator<JobPiece, void> {
  const sealed = copiedTensors(copies).some((tensor) => table.protection(tensor) === 'tag');
  if (sealed && !table.unwrapped) throw new EngineFault('InvalidOption', 'the data keys have not been unwrapped');
  for (const piece of planOpen(table, copies)) yield { piece };
}

/** `packed` holds what the header needs, once the job has succeeded. */
export function sealJob(request: SealRequest): { spec: JobSpec; packed: Uint8Array } {
  const sources = request.sources.map((source) => nodeSource(source));
  const sink = nodeSink(request.sink);
  for (const { lease } of [...sources, sink]) lease.assertOpen();
  checkFloat64(request.items, 'items');
  const rows = request.items.slice();
  const { encryption, integrity } = request;
  const seal = { items: rows, encryption: encryption && { ...encryption }, integrity: integrity && { ...integrity } };
  const items = checkItems(seal, sources, capacityOf(sink.place));
  const packed = new Uint8Array(items.reduce((sum, item) => sum + packedLength(item, seal), 0));
  // The caller may dispose of the secret while the job runs.
  const master = copyOfKey(encryption === null ? new Uint8Array(0) : secretBytes(encryption.master, 'master'));
  const spec: JobSpec = {
    sources,
    target: sink.place,
    leases: [...sources.map(({ lease }) => lease), sink.lease],
    pieces: sealPieces(planSeal(seal, items, master, packed), packed),
    total: items.reduce((sum, { length }) => sum + length, 0),
    unchecked: true,
    ranges: () => ranges(rows, SEAL_STRIDE, 3, 2),
    cleanUp: () => master.fill(0),
    threads: request.threads,
    signal: request.signal,
    onProgress: request.onProgress,
  };
  return { spec, packed };
}

function* sealPieces(planned: ReturnType<typeof planSeal>, packed: Uint8Array): Generator<JobPiece, void> {
  for (const { piece, results } of planned) {
    yield {
      piece,
      accept: (values) => {
        let at = 0;
        for (let row = 0; row < results.length; row += 2) {
          const length = results[row + 1]!;
          packed.set(values.subarray(at, at + length), results[row]);
          at += length;
        }
      },
    };
  }
}

function copyOfKey(key: Uint8Array): Uint8Array {
  const copy = keyMemory(key.byteLength);
  copy.set(key);
  return copy;
}

function capacityOf(target: Place): number {
  return target.kind === 'memory' ? target.bytes.byteLength : Number.MAX_SAFE_INTEGER;
}

/** Offset and length of each row, from the given columns. */
function* ranges(rows: Float64Array, stride: number, offset: number, length: number): Generator<[number, number]> {
  for (let at = 0; at < rows.length; at += stride) yield [rows[at + offset]!, rows[at + length]!];
}
