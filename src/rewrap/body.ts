import { SealMode } from '../engine/types.js';
import type { Engine, Sink } from '../engine/types.js';
import type { Model } from '../model/model.js';
import { takeOver } from '../files/permissions.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import type { WorkOptions } from '../writer/options.js';
import { withoutPrototype } from '../options.js';

/** Where stored bytes are copied from: the data section of an open file. */
export type Body = Pick<Model, 'engine' | 'source' | 'dataStart'>;

export function bodyBytes({ source, dataStart }: Body): number {
  return source.size - dataStart;
}

/**
 * Writes a file of this header and the data section of another one, as it is stored: nothing is decrypted. In bounded memory, by
 * native threads.
 *
 * @throws {JobFault} `FileChanged` if the other file was written to meanwhile
 */
export function* writeWithBody(
  header: Uint8Array,
  body: Body,
  sink: Sink,
  options: Pick<WorkOptions, 'threads' | 'signal' | 'onProgress'>,
): Twin<void> {
  const { threads = 0, signal, onProgress } = withoutPrototype(options);
  const { engine, source, dataStart } = body;
  const length = bodyBytes(body);
  const request = {
    sources: [source],
    sink,
    items: Float64Array.of(0, dataStart, length, header.byteLength, SealMode.plain),
    encryption: null,
    integrity: null,
    threads,
    signal,
    onProgress,
  };
  yield* step(
    () => engine.sealSync(request),
    () => engine.seal(request),
  );
  sink.write(0, header);
}

/**
 * A new file at `path`, flushed: for what is to replace the body's own file later. Who may use it does not change because of that:
 * owner and permissions are those of the open file, given to the open file, whatever their paths lead to meanwhile.
 */
export function* createWithBody(path: string, header: Uint8Array, body: Body, options: WorkOptions): Twin<void> {
  const engine: Engine = body.engine;
  const sink = engine.createFile(path, 0o600);
  try {
    const size = header.byteLength + bodyBytes(body);
    yield* step(
      () => sink.allocate(size),
      () => sink.allocateAsync(size),
    );
    yield* writeWithBody(header, body, sink, options);
    const replaced = body.source.status();
    if (replaced !== null) takeOver(sink, replaced);
    if (options.durable !== false) {
      yield* step(
        () => sink.sync(),
        () => sink.syncAsync(),
      );
    }
  } finally {
    sink.close();
  }
}
