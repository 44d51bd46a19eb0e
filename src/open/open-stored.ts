import type { Engine } from '../engine/types.js';
import type { Twin } from '../twin.js';
import type { Access } from './access.js';
import type { DetachedInput, SeenHeader } from './detached.js';
import { headersInTransit, isAnotherHeader, isOfHeader } from '../recovery/interrupted.js';
import { openModel } from './open-model.js';
import type { Model } from '../model/model.js';

/** As often a file is opened anew that changes under the reader's eyes. */
const MAX_ATTEMPTS = 10;

/**
 * Opens a file or bytes. A file whose header is being overwritten, or was in part when a rewrap was interrupted, opens with the old
 * header or the new one. Files that open at once cost nothing more.
 *
 * @param given a header in place of the file's own
 */
export function* openStored(
  input: string | Uint8Array,
  engine: Engine,
  access: Access,
  given?: DetachedInput,
): Twin<Model> {
  for (let attempt = 1; ; attempt++) {
    const seen: SeenHeader = { text: null };
    let failure: unknown;
    try {
      return yield* openModel(input, engine, access, given, seen);
    } catch (error) {
      failure = error;
    }
    if (typeof input !== 'string' || given?.kind === 'header' || !isOfHeader(failure)) throw failure;
    // A licence is held against the file's own header, which can be torn as well; but it brings the one to open with.
    for (const header of given === undefined ? yield* headersInTransit(input, engine) : []) {
      try {
        return yield* openModel(input, engine, access, { input: header, kind: 'header' });
      } catch (error) {
        if (!isOfHeader(error)) throw error;
        failure = error;
      }
    }
    // The same header is not tried again: each time keys are looked for, which can mean that a service is asked.
    const isSettled = seen.text === null || !(yield* isAnotherHeader(input, engine, seen.text));
    if (attempt === MAX_ATTEMPTS || isSettled) throw failure;
  }
}
