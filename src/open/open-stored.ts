import type { Engine } from '../engine/types.js';
import type { Twin } from '../twin.js';
import type { Access } from './access.js';
import type { DetachedInput } from './detached.js';
import { headersInTransit, isOfHeader, wasWrittenSince } from '../recovery/interrupted.js';
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
    const started = Date.now();
    let failure: unknown;
    try {
      return yield* openModel(input, engine, access, given);
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
    if (attempt === MAX_ATTEMPTS || !(yield* wasWrittenSince(input, started))) throw failure;
  }
}
