import { quote } from '../errors.js';
import { bufferOf, bytesOf, isSafe, part, takeOver } from '../engine/memory.js';
import { detachedError, ownBytes } from '../engine/own.js';
import type { Engine, Source } from '../engine/types.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';

/** A tensor's bytes as the caller has them. */
export interface GivenBytes {
  name: string;
  bytes: Uint8Array;
  /** Its place in the data section, found out before: the memory may have been taken away since. */
  begin: number;
  end: number;
}

/** Where a tensor's bytes are read from. */
export interface PlacedBytes {
  source: Source;
  offset: number;
}

/** Tensors up to this size are copied into common memory: models have thousands of them. */
const SMALL_BYTES = 1024 * 1024;
const COMMON_BYTES = 32 * SMALL_BYTES;

/**
 * The bytes of tensors as sources of a job: where they are for the form that blocks, else in memory that nobody can take away.
 *
 * @param transfer the caller hands them over
 * @throws {CryptoTensorsError} `Detached` for what is transferred away while it is being copied
 */
export function* tensorSources(tensors: readonly GivenBytes[], engine: Engine, transfer: boolean): Twin<PlacedBytes[]> {
  for (const { name, bytes, begin, end } of tensors) {
    if (bytes.byteLength !== end - begin) throw detachedError(`tensors[${quote(name)}].data`, { tensor: name });
  }
  const given = transfer ? tookOver(tensors) : tensors;
  const sources: PlacedBytes[] = [];
  // The form that blocks reads where it is.
  const isBlocking = yield* step(
    () => true,
    () => Promise.resolve(false),
  );
  for (const group of isBlocking ? given.map((tensor) => [tensor]) : inGroups(given)) {
    const [only] = group;
    if (group.length === 1 && only !== undefined) {
      const name = `tensors[${quote(only.name)}].data`;
      const bytes = yield* ownBytes(only.bytes, engine, { name, transfer: false, lasting: false });
      sources.push({ source: engine.openBytes(bytes), offset: 0 });
    } else {
      for (const placed of copyTogether(group, engine)) sources.push(placed);
    }
  }
  return sources;
}

/** Consecutive small tensors together, each other one by itself. */
function* inGroups(tensors: readonly GivenBytes[]): Generator<GivenBytes[]> {
  let small: GivenBytes[] = [];
  let byteLength = 0;
  for (const tensor of tensors) {
    const isSmall = tensor.bytes.byteLength <= SMALL_BYTES && !isSafe(tensor.bytes);
    if (small.length > 0 && (!isSmall || byteLength + tensor.bytes.byteLength > COMMON_BYTES)) {
      yield small;
      small = [];
      byteLength = 0;
    }
    if (isSmall) {
      small.push(tensor);
      byteLength += tensor.bytes.byteLength;
    } else {
      yield [tensor];
    }
  }
  if (small.length > 0) yield small;
}

function copyTogether(tensors: readonly GivenBytes[], engine: Engine): PlacedBytes[] {
  const common = engine.allocateUnsafe(tensors.reduce((sum, { bytes }) => sum + bytes.byteLength, 0));
  const source = engine.openBytes(common);
  let offset = 0;
  return tensors.map(({ bytes }) => {
    common.set(bytes, offset);
    const placed = { source, offset };
    offset += bytes.byteLength;
    return placed;
  });
}

/** Each buffer is moved once, for all tensors in it. */
function tookOver(tensors: readonly GivenBytes[]): GivenBytes[] {
  const spans = tensors.map(({ bytes }) => ({ start: bytes.byteOffset, length: bytes.byteLength }));
  const buffers = tensors.map(({ bytes }) => bufferOf(bytes));
  const moved = new Map<ArrayBufferLike, Uint8Array | null>();
  for (const buffer of buffers) {
    if (!moved.has(buffer)) moved.set(buffer, takeOver(bytesOf(buffer, 0)!));
  }
  return tensors.map((tensor, i) => {
    const whole = moved.get(buffers[i]!) ?? null;
    const { start, length } = spans[i]!;
    return whole === null ? tensor : { ...tensor, bytes: part(whole, start, length) };
  });
}
