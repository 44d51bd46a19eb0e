import { aborted } from './fault.js';
import { openInput, openOutput } from './io.js';
import type { Job } from './job.js';
import { performPiece } from './perform.js';
import { Scratch } from './thread.js';

/** Does all of a job on the calling thread. */
export function runHere(job: Job): void {
  const inputs = job.sources.map(({ place }) => openInput(place));
  const output = openOutput(job.target);
  const scratch = new Scratch();
  const assertWanted = () => {
    if (job.signal?.aborted === true) throw aborted();
  };
  const thread = {
    output,
    scratch: (byteLength: number) => scratch.take(byteLength),
    advance: (bytes: number) => {
      job.advance(bytes);
      assertWanted();
    },
  };
  try {
    assertWanted();
    for (let next = job.next(); next !== null; next = job.next()) {
      const { piece, accept } = next;
      const result = performPiece(piece, { ...thread, inputs: piece.sources.map((index) => inputs[index]!) });
      accept?.(result);
    }
  } catch (error) {
    job.fail(error);
  } finally {
    scratch.wipe();
  }
  job.conclude();
}
