import { nextTurn, step } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { isDetached } from '../memory.js';
import { Lease } from './lease.js';
import type { PortableSink, PortableSource } from './places.js';
import { NOTHING } from './primitives.js';
import type { Passage } from './primitives.js';

/** Bytes that are worked on before the event loop has its turn. */
export const UNIT_BYTES = 256 * 1024;
/** What a chunk costs besides its bytes, in bytes: a cipher of its own. */
const CHUNK_COST = 4096;
/** Reads that follow one another at most this far apart go on: what lies behind them is fetched with them. */
const MAX_GAP_BYTES = 16 * 1024;
const PROGRESS_INTERVAL_MS = 50;

/** A range of a source that goes through one passage. */
export interface Chunk {
  /** For faults: index of the tensor, and of the chunk where it may not pass. */
  tensor: number;
  chunk: number;
  source: PortableSource;
  position: number;
  length: number;
  /** What it is to say that the chunk does not pass; null where nothing is checked. What is checked is held back until it has passed. */
  mismatch: 'BadTag' | 'BadDigest' | null;
  begin(): Twin<Passage>;
  /** What is wanted of the next bytes of the chunk, which begin at `begin`, and where in the sink it goes. */
  place(begin: number, bytes: Uint8Array): readonly Placed[];
  /** Takes what comes last out of the passage and is not for the sink. */
  trailer?: Uint8Array;
}

export interface Placed {
  /** In the sink. */
  offset: number;
  bytes: Uint8Array;
}

/** A whole request. */
export interface Job {
  sources: readonly PortableSource[];
  sink: PortableSink;
  /** What else must stay open until the job has ended. */
  leases: readonly Lease[];
  /** Planned as the work goes on, so that the chunks of a large job are never all in memory. */
  chunks: Iterable<Chunk>;
  /** Bytes to be delivered. */
  total: number;
  /** Whether bytes are read that neither a tag nor a digest covers. */
  unchecked: boolean;
  /** Called once, at the end, whatever the outcome. */
  cleanUp?: () => void;
  signal: AbortSignal | undefined;
  /** Called now and then while others have their turn, and once when all is done. What it throws ends the job. */
  onProgress: ((done: number, total: number) => void) | undefined;
}

/** Does all of a job, or none of it. */
export function* runJob(job: Job): Twin<void> {
  try {
    const leases = [...job.leases, ...job.sources, job.sink];
    yield* Lease.using(leases, () => new Work(job).run());
  } finally {
    job.cleanUp?.();
  }
}

class Work {
  readonly #job: Job;
  readonly #reader = new Reader();
  /** What came out of the chunk under way and is held back, and what is wanted of it. */
  #held: { part: Uint8Array; placed: readonly Placed[] }[] = [];
  /** Of memory: begin and end of each range that was written to, those joined that follow one another. */
  readonly #written: number[] = [];
  #done = 0;
  /** Work since others had their turn. */
  #spent = 0;
  #nextReport = performance.now() + PROGRESS_INTERVAL_MS;

  constructor(job: Job) {
    this.#job = job;
  }

  *run(): Twin<void> {
    const { chunks, unchecked, total, onProgress } = this.#job;
    try {
      this.#assertWanted();
      for (const chunk of chunks) yield* this.#pass(chunk);
      // A request for what is not there, or that is out of order.
      if (this.#done !== total) throw new RangeError(`${total} bytes were asked for, but ${this.#done} are to be had`);
      if (unchecked) this.#checkSources();
      onProgress?.(total, total);
    } catch (error) {
      this.#wipeWritten();
      throw error;
    } finally {
      for (const held of this.#held) wipe(held);
      this.#reader.wipe();
    }
  }

  *#pass(chunk: Chunk): Twin<void> {
    const { tensor, mismatch } = chunk;
    try {
      const passage = yield* chunk.begin();
      let at = 0;
      let delivered = 0;
      do {
        const length = Math.min(chunk.length - at, UNIT_BYTES);
        const stored = yield* this.#reader.read(chunk.source, chunk.position + at, length);
        delivered += yield* this.#take(chunk, delivered, passage.update(stored));
        at += length;
        yield* this.#spend(length + CHUNK_COST);
      } while (at < chunk.length);
      const last = yield* passage.finish();
      if (last === null) throw new EngineFault(mismatch!, 'what is stored does not match its tag or digest');
      const trailer = chunk.trailer ?? NOTHING;
      const end = last.byteLength - trailer.byteLength;
      yield* this.#take(chunk, delivered, last.subarray(0, end));
      trailer.set(last.subarray(end));
      for (const held of this.#held) {
        yield* this.#deliver(held.placed);
        wipe(held);
      }
      this.#held = [];
    } catch (error) {
      const isMismatch = error instanceof EngineFault && error.code === mismatch;
      const index = isMismatch ? chunk.chunk : -1;
      // It may be the file's changing under the reader.
      if (isMismatch) this.#checkSources(tensor, index);
      throw located(error, tensor, index);
    }
  }

  /** What came out of a passage. @returns its length */
  *#take(chunk: Chunk, begin: number, part: Uint8Array): Twin<number> {
    const { byteLength } = part;
    const placed = byteLength === 0 ? [] : chunk.place(begin, part);
    if (chunk.mismatch !== null && placed.length > 0) {
      this.#held.push({ part, placed });
    } else {
      yield* this.#deliver(placed);
      wipe({ part, placed });
    }
    return byteLength;
  }

  *#deliver(placed: readonly Placed[]): Twin<void> {
    const { port } = this.#job.sink;
    for (const { offset, bytes } of placed) {
      if (port.memory !== undefined) this.#noteWritten(offset, offset + bytes.byteLength);
      yield* port.write(offset, bytes);
      this.#done += bytes.byteLength;
    }
  }

  #noteWritten(begin: number, end: number): void {
    if (this.#written.at(-1) === begin) this.#written[this.#written.length - 1] = end;
    else this.#written.push(begin, end);
  }

  /** What was delivered to memory, and nothing beside it. Memory that was taken away meanwhile is no longer this job's. */
  #wipeWritten(): void {
    const { memory } = this.#job.sink.port;
    if (memory === undefined || isDetached(memory)) return;
    for (let at = 0; at < this.#written.length; at += 2) memory.fill(0, this.#written[at], this.#written[at + 1]);
  }

  /** Counts the work that was done; after a unit of it others have their turn, where the job is awaited. */
  *#spend(cost: number): Twin<void> {
    this.#spent += cost;
    if (this.#spent < UNIT_BYTES) return;
    this.#spent = 0;
    yield* step(
      () => undefined,
      async () => {
        await nextTurn();
        this.#assertWanted();
        this.#report();
      },
    );
  }

  #report(): void {
    const { onProgress, total } = this.#job;
    if (onProgress === undefined || performance.now() < this.#nextReport) return;
    this.#nextReport = performance.now() + PROGRESS_INTERVAL_MS;
    onProgress(this.#done, total);
  }

  #assertWanted(): void {
    if (this.#job.signal?.aborted === true) throw new EngineFault('AbortError', 'The operation was aborted');
  }

  /** What a tag or digest covers needs no other proof. */
  #checkSources(tensor = -1, chunk = -1): void {
    try {
      for (const source of this.#job.sources) source.port.checkUnchanged();
    } catch (error) {
      throw located(error, tensor, chunk);
    }
  }
}

/** What is delivered of a part lies in it, or is a copy. */
function wipe({ part, placed }: { part: Uint8Array; placed: readonly Placed[] }): void {
  part.fill(0);
  for (const { bytes } of placed) if (bytes.buffer !== part.buffer) bytes.fill(0);
}

/** Of an abort no place is to blame. */
function located(error: unknown, tensor: number, chunk: number): unknown {
  if (!(error instanceof EngineFault) || error.code === 'AbortError') return error;
  const { code, message, side, systemCode } = error;
  return new EngineFault(code, message, { tensor, chunk, side, systemCode });
}

/**
 * Copies what is stored to private memory, a unit at the most. Reads that follow one another are served from one that goes
 * further: many tensors are smaller than a unit.
 */
class Reader {
  #memory = NOTHING;
  /** Where in which source what is in the memory was read. */
  #source: PortableSource | null = null;
  #begin = 0;
  #end = 0;
  /** What stands before it has been served, and may have been wiped. */
  #served = 0;

  *read(source: PortableSource, position: number, length: number): Twin<Uint8Array> {
    if (length === 0) {
      yield* source.port.read(position, NOTHING, 0);
      return NOTHING;
    }
    const isNext = source === this.#source && position >= this.#served && position - this.#end <= MAX_GAP_BYTES;
    if (!isNext || position + length > this.#end) {
      this.#source = null;
      const wanted = isNext ? Math.max(length, Math.min(UNIT_BYTES, source.size - position)) : length;
      if (wanted > this.#memory.byteLength) {
        this.wipe();
        this.#memory = new Uint8Array(this.#memory.byteLength === 0 ? wanted : UNIT_BYTES);
      }
      this.#end = position + (yield* source.port.read(position, this.#memory.subarray(0, wanted), length));
      this.#begin = position;
      this.#source = source;
    }
    this.#served = position + length;
    return this.#memory.subarray(position - this.#begin, position - this.#begin + length);
  }

  wipe(): void {
    this.#memory.fill(0);
  }
}
