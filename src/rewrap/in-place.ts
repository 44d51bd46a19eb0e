import { throwIfAborted } from '../abort.js';
import { LENGTH_BYTES } from '../format/canonical.js';
import { markOf } from '../recovery/journal.js';
import type { Member, ModelLocation } from '../recovery/model-location.js';
import { runAsync } from '../twin.js';
import { publicWriteError } from '../files/atomic-write.js';
import { createWithBody } from './body.js';
import { FILE_PADDING } from './header.js';
import type { EncryptedModel, NewKeys } from './new-keys.js';
import type { RewrapOptions } from './options.js';
import type { RewrappedFile } from './options.js';
import type { PlannedChange, Transaction } from './transaction.js';

interface InPlace {
  location: ModelLocation;
  transaction: Transaction;
  options: RewrapOptions;
}

/** Changes the files of a model where they are, all or none. */
export async function rewrapInPlace(
  models: readonly EncryptedModel[],
  keys: NewKeys,
  { location, transaction, options }: InPlace,
): Promise<RewrappedFile[]> {
  const planned: PlannedChange[] = [];
  for (const [i, model] of models.entries()) {
    // The shards were opened in the order of the index, as the members are.
    planned.push(await plan(model, keys, location.members[i]!, transaction, options));
  }
  // The last moment: what is begun behind this is finished.
  throwIfAborted(options.signal);
  await transaction.commit(planned);
  return planned.map(({ change, member }) => ({
    path: location.sharded ? member.path : location.path,
    how: change.kind === 'swap' ? 'in-place' : 'copy',
  }));
}

async function plan(
  model: EncryptedModel,
  keys: NewKeys,
  member: Member,
  transaction: Transaction,
  options: RewrapOptions,
): Promise<PlannedChange> {
  const { dataStart, source } = model;
  const opened = headerBytes(model);
  const after = await runAsync(keys.rewrap(model, { ...FILE_PADDING, fit: dataStart }));
  const { name } = member;
  if (after.length === opened.length) {
    return { change: { kind: 'swap', name, before: opened, after }, member, opened, size: source.size };
  }
  const temporary = await transaction.temporaryFor(member);
  try {
    await runAsync(createWithBody(temporary, after, model, options));
  } catch (error) {
    throw publicWriteError(error, member.path);
  }
  const [before, marked] = [await runAsync(markOf(opened)), await runAsync(markOf(after))];
  const change = { kind: 'replace', name, before, after: marked } as const;
  return { change, member, opened, size: source.size };
}

/** The file's first bytes, up to its data. */
function headerBytes({ header }: EncryptedModel): Uint8Array {
  const bytes = new Uint8Array(header.dataStart);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header.bytes, LENGTH_BYTES);
  return bytes;
}
