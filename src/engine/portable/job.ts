import type { Twin } from '../../twin.js';
import { EngineFault } from '../fault.js';
import { isDetached } from '../memory.js';
import type { Lease } from './lease.js';
import { pause } from './pause.js';
import type { PortableSink, PortableSource } from './places.js';

/** Bytes that are worked on before the event loop has its turn. */
export const UNIT_BYTES = 256 * 1024;
/** What a chunk costs besides its bytes, in bytes: a cipher of its own. */
const CHUNK_COST = 4096;
/** What is read at once, however small its chunks are. */
const MAX_FRAGMENTS = 4096;
/**
 * What is verified together is held back until it has passed. A chunk longer than this is written to memory as it is
 * decrypted, since memory is wiped if it does not pass. What is written to a file cannot be taken back.
 */
const HELD_BYTES = 2 * 1024 * 1024;
const PROGRESS_INTERVAL_MS = 50;

/** What a chunk's bytes go through. */
export interface Passage {
  /** Whether what comes out is memory of its own; else it is what was put in. */
  readonly fresh: boolean;
  update(bytes: Uint8Array): Uint8Array;
  /** The rest. Throws an EngineFault, without the place, if the chunk does not pass. */
  finish(): Twin<Uint8Array>;
}

/** A range of a source that goes through one passage. */
export interface Chunk {
  /** For faults: index of the tensor, and of the chunk where it may not pass. */
  tensor: number;
  chunk: number;
  source: PortableSource;
  position: number;
  length: number;
  /** Whether nothing of it may be handed out before all of it has passed. */
  verified: boolean;
  /** What is wanted of the next bytes of the chunk, which begin at `begin`, and where in the sink it goes. */
  place(begin: number, bytes: Uint8Array): Iterable<Placed>;
  /** Called once for each chunk, in order. */
  begin(): Twin<Passage>;
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
  /** What must stay open until the job has ended. */
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
  /** Called now and then, and once when all is done. What it throws ends the job. */
  onProgress: ((done: number, total: number) => void) | undefined;
}

/** Does all of a job, or none of it. */
export function* runJob(job: Job): Twin<void> {
  try {
    for (const lease of job.leases) lease.assertOpen();
  } catch (error) {
    job.cleanUp?.();
    throw error;
  }
  for (const lease of job.leases) lease.use();
  const work = new Work(job);
  try {
    yield* work.run();
    if (job.unchecked) checkSources(job);
    job.onProgress?.(job.total, job.total);
  } catch (error) {
    work.wipeWritten();
    throw error;
  } finally {
    work.wipe();
    job.cleanUp?.();
    for (const lease of job.leases) lease.done();
  }
}

/** What a tag or digest covers needs no other proof; a mismatch may be the file's changing under the reader. */
function checkSources({ sources }: Job, { tensor, chunk } = { tensor: -1, chunk: -1 }): void {
  try {
    for (const source of sources) source.checkUnchanged();
  } catch (error) {
    throw located(error, tensor, chunk);
  }
}

function located(error: unknown, tensor: number, chunk: number): unknown {
  if (!(error instanceof EngineFault)) return error;
  const { code, message, systemCode } = error;
  return new EngineFault(code, message, { tensor, chunk, systemCode });
}

function isMismatch(error: unknown): error is EngineFault {
  return error instanceof EngineFault && (error.code === 'BadTag' || error.code === 'BadDigest');
}

/** A part of a chunk. */
interface Fragment {
  chunk: Chunk;
  begin: number;
  length: number;
}

/** Fragments that lie together in a source, read at once: about a unit of work. */
interface Run {
  source: PortableSource;
  position: number;
  length: number;
  fragments: Fragment[];
}

function* runs(chunks: Iterable<Chunk>): Generator<Run> {
  let run: Run | null = null;
  for (const chunk of chunks) {
    const { source } = chunk;
    let begin = 0;
    do {
      const length = Math.min(chunk.length - begin, UNIT_BYTES);
      const position = chunk.position + begin;
      if (run !== null && !(run.source === source && run.position + run.length === position && hasRoom(run, length))) {
        yield run;
        run = null;
      }
      run ??= { source, position, length: 0, fragments: [] };
      run.fragments.push({ chunk, begin, length });
      run.length += length;
      begin += length;
    } while (begin < chunk.length);
  }
  if (run !== null) yield run;
}

function hasRoom({ length, fragments }: Run, more: number): boolean {
  return length + more <= UNIT_BYTES && fragments.length < MAX_FRAGMENTS;
}

class Work {
  readonly #job: Job;
  #scratch = new Uint8Array(0);
  /** Of the chunk that is under way. */
  #passage: Passage | null = null;
  /** What came out of it and is held back. */
  #held: Uint8Array[] = [];
  /** Bytes of it that have come out and were delivered. */
  #delivered = 0;
  /** Bytes of the job that are done. */
  #done = 0;
  /** Of memory: begin and end of each range that was written to, those joined that follow one another. */
  readonly #written: number[] = [];
  /** Work since others had their turn. */
  #spent = 0;
  #nextReport = performance.now() + PROGRESS_INTERVAL_MS;

  constructor(job: Job) {
    this.#job = job;
  }

  *run(): Twin<void> {
    this.#assertWanted();
    for (const run of runs(this.#job.chunks)) {
      const stored = this.#memory(run.length);
      try {
        yield* run.source.read(run.position, stored);
      } catch (error) {
        throw located(error, run.fragments[0]!.chunk.tensor, -1);
      }
      let at = 0;
      for (const fragment of run.fragments) {
        yield* this.#pass(fragment, stored.subarray(at, at + fragment.length));
        at += fragment.length;
        yield* this.#spend(fragment.length + CHUNK_COST);
      }
    }
  }

  /** Counts the work that was done; after a unit of it others have their turn. */
  *#spend(cost: number): Twin<void> {
    this.#spent += cost;
    if (this.#spent < UNIT_BYTES) return;
    this.#spent = 0;
    yield* pause();
    this.#assertWanted();
    if (this.#job.onProgress === undefined || performance.now() < this.#nextReport) return;
    this.#nextReport = performance.now() + PROGRESS_INTERVAL_MS;
    this.#job.onProgress(this.#done, this.#job.total);
  }

  /** What was delivered to memory, and nothing beside it. Memory that was taken away meanwhile is no longer this job's. */
  wipeWritten(): void {
    const { memory } = this.#job.sink;
    if (memory === undefined || isDetached(memory)) return;
    for (let at = 0; at < this.#written.length; at += 2) memory.fill(0, this.#written[at], this.#written[at + 1]);
  }

  #noteWritten(begin: number, end: number): void {
    if (this.#job.sink.memory === undefined) return;
    if (this.#written.at(-1) === begin) this.#written[this.#written.length - 1] = end;
    else this.#written.push(begin, end);
  }

  /** All plaintext that passed through here. */
  wipe(): void {
    this.#scratch.fill(0);
    for (const part of this.#held) part.fill(0);
  }

  #assertWanted(): void {
    if (this.#job.signal?.aborted === true) throw new EngineFault('AbortError', 'The operation was aborted');
  }

  #memory(byteLength: number): Uint8Array {
    if (byteLength > this.#scratch.byteLength) {
      this.#scratch.fill(0);
      this.#scratch = new Uint8Array(this.#scratch.byteLength === 0 ? byteLength : UNIT_BYTES);
    }
    return this.#scratch.subarray(0, byteLength);
  }

  *#pass({ chunk, begin, length }: Fragment, bytes: Uint8Array): Twin<void> {
    try {
      this.#passage ??= yield* chunk.begin();
      yield* this.#take(chunk, this.#passage, this.#passage.update(bytes), length);
      if (begin + length < chunk.length) return;
      yield* this.#take(chunk, this.#passage, yield* this.#passage.finish(), 0);
      for (const part of this.#held) yield* this.#deliver(chunk, part);
    } catch (error) {
      const place = { tensor: chunk.tensor, chunk: isMismatch(error) ? chunk.chunk : -1 };
      if (isMismatch(error)) checkSources(this.#job, place);
      throw located(error, place.tensor, place.chunk);
    }
    for (const part of this.#held) part.fill(0);
    this.#held = [];
    this.#passage = null;
    this.#delivered = 0;
  }

  /** Of what came out of a passage, as `length` bytes went in. */
  *#take(chunk: Chunk, { fresh }: Passage, part: Uint8Array, length: number): Twin<void> {
    if (part.byteLength === 0) return;
    const revocable = this.#job.sink.memory !== undefined && chunk.length > HELD_BYTES;
    if (chunk.verified && !revocable) {
      // The memory that it came from is used again for the next unit.
      this.#held.push(fresh || length === chunk.length ? part : Uint8Array.from(part));
      return;
    }
    yield* this.#deliver(chunk, part);
    if (fresh) part.fill(0);
  }

  *#deliver(chunk: Chunk, part: Uint8Array): Twin<void> {
    for (const { offset, bytes } of chunk.place(this.#delivered, part)) {
      this.#noteWritten(offset, offset + bytes.byteLength);
      yield* this.#job.sink.writing(offset, bytes);
      this.#done += bytes.byteLength;
    }
    this.#delivered += part.byteLength;
  }
}
