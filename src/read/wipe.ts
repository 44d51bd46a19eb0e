import { argumentError } from '../errors.js';
import { Tensor, tensorMemory } from './tensor.js';
import type { TensorMemory } from './tensor-memory.js';

/** Tensors in any form in which reads give them. */
export type Tensors = ReadonlyMap<string, Tensor> | Iterable<Tensor>;

/**
 * Overwrites the bytes of tensors with zeros and disposes of them, as `Tensor.wipe()` does, on pool threads: the event loop stays
 * free. The buffer of a read of which all tensors are given is taken away first: all views of it are empty from then on. Of a
 * read of which only some are given, and of a caller's `into`, the bytes are overwritten where they are, blocking.
 *
 * ```ts
 * const tensors = await loadFile('model.ct.safetensors', { keys });
 * …
 * await wipeTensors(tensors);
 * ```
 *
 * @throws {CryptoTensorsError} `Detached` if a buffer was transferred away; all others have been wiped
 * @throws {TypeError} if something else than tensors is given; nothing has been wiped
 */
export async function wipeTensors(tensors: Tensors): Promise<void> {
  const errors: unknown[] = [];
  for (const [memory, some] of byMemory(tensors)) {
    const whole = some.length === memory.live && (await memory.wipeWhole());
    for (const tensor of some) {
      if (whole) tensor.dispose();
      else attempt(tensor, errors);
    }
  }
  if (errors.length > 0) throw errors[0];
}

/** `wipeTensors`, blocking the calling thread. Buffers stay, full of zeros, until all of their tensors are disposed of. */
export function wipeTensorsSync(tensors: Tensors): void {
  const errors: unknown[] = [];
  for (const some of byMemory(tensors).values()) for (const tensor of some) attempt(tensor, errors);
  if (errors.length > 0) throw errors[0];
}

function attempt(tensor: Tensor, errors: unknown[]): void {
  try {
    tensor.wipe();
  } catch (error) {
    errors.push(error);
  }
}

/** The tensors that were not disposed of. */
function byMemory(tensors: unknown): Map<TensorMemory, Tensor[]> {
  if (typeof (tensors as Iterable<unknown> | null | undefined)?.[Symbol.iterator] !== 'function') {
    throw argumentError('tensors', 'a Map or a list of tensors', tensors);
  }
  const groups = new Map<TensorMemory, Set<Tensor>>();
  for (const entry of tensors as Iterable<unknown>) {
    const tensor: unknown = Array.isArray(entry) ? entry[1] : entry;
    if (!(tensor instanceof Tensor)) throw argumentError('one of the tensors', 'a Tensor', tensor);
    const memory = tensorMemory(tensor);
    if (memory === null) continue;
    const group = groups.get(memory);
    if (group === undefined) groups.set(memory, new Set([tensor]));
    else group.add(tensor);
  }
  return new Map([...groups].map(([memory, group]) => [memory, [...group]]));
}
