import { throwIfAborted } from '../abort.js';
import { isUint8Array } from 'node:util/types';
import { CryptoTensorsError, quote } from '../errors.js';
import { AEAD_KEY_BYTES, IV_BYTES, TAG_BYTES, wrappedDekBytes } from '../format/vocabulary.js';
import type { Engine, Secret, TensorTable } from '../engine/types.js';
import type { AeadAlgorithm } from '../format/vocabulary.js';
import { redactError } from '../redacted-error.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { keyUnavailable } from './unavailable.js';
import { DEFAULT_PROVIDER_TIMEOUT_MS } from './providers/ask.js';
import type { LookUpOptions } from './providers/ask.js';
import { withDeadline } from './providers/deadline.js';
import type { MasterKey, RemoteMaster, WrappedDek } from './types.js';
import { withoutPrototype } from '../options.js';

/*
 * DEKs under a master key, wherever that is: at hand, or with a provider that never gives it away. What a provider returns is
 * checked before it is used; DEKs that passed through JavaScript memory are wiped there.
 */

/** What a provider gets for each DEK, on top of the time that it has for an answer. Tokens take some milliseconds for one. */
const MS_PER_DEK = 20;

/**
 * Gives a table its DEKs. Returns the row of the first record that does not unwrap under a key at hand, or -1. What a remote key
 * unwrapped can be wrong without anybody noticing before the first read: then that is `BadTag`.
 *
 * @throws KeyUnavailable if the key is remote, and the remote fails or the form is synchronous; AbortError
 */
export function* unwrapTable(
  table: TensorTable,
  key: MasterKey,
  algorithm: AeadAlgorithm,
  options: LookUpOptions,
): Twin<number> {
  if (key.remote === null) {
    const secret = key.secret!;
    return yield* step(
      () => table.unwrap(secret),
      () => table.unwrapAsync(secret),
    );
  }
  const deks = yield* unwrapRemotely(key, key.remote, algorithm, table.wrappedDeks(), options);
  try {
    table.installDeks(deks);
  } finally {
    deks.dispose();
  }
  return -1;
}

/**
 * Wraps concatenated DEKs under a master key: rows of `wrappedDekBytes`, in their order.
 *
 * @throws KeyUnavailable if the key is remote, and the remote fails, does not wrap, or the form is synchronous; AbortError
 */
export function* wrapDeks(
  key: MasterKey,
  algorithm: AeadAlgorithm,
  deks: Secret,
  options: LookUpOptions,
): Twin<Uint8Array> {
  const { secret, remote } = key;
  if (remote === null) {
    return yield* step(
      () => options.engine.wrapDeks(algorithm, secret!, deks),
      () => options.engine.wrapDeksAsync(algorithm, secret!, deks),
    );
  }
  yield* refuseSync(key);
  if (remote.wrap === undefined) throw remoteFailure(key, `it unwraps data keys but does not wrap any`);
  const wrap = remote.wrap.bind(remote);
  return yield* step(neverSync, () => wrapWithin(wrap, key, algorithm, deks, options));
}

/** A remote key answers in its own time, for which the `…Sync` forms cannot wait. @throws KeyUnavailable */
export function* refuseSync(key: MasterKey): Twin<void> {
  if (key.remote === null) return;
  yield* step<undefined>(
    () => {
      throw remoteFailure(key, 'it stays where it is, and only the functions without Sync can ask for its use');
    },
    () => Promise.resolve(undefined),
  );
}

function* unwrapRemotely(
  key: MasterKey,
  remote: RemoteMaster,
  algorithm: AeadAlgorithm,
  rows: Uint8Array,
  options: LookUpOptions,
): Twin<Secret> {
  if (rows.byteLength === 0) return options.engine.importSecret(rows);
  yield* refuseSync(key);
  return yield* step(neverSync, () => unwrapWithin(remote, key, algorithm, rows, options));
}

async function unwrapWithin(
  remote: RemoteMaster,
  key: MasterKey,
  algorithm: AeadAlgorithm,
  rows: Uint8Array,
  { engine, signal }: LookUpOptions,
): Promise<Secret> {
  const wrapped = splitRows(algorithm, rows);
  const keyBytes = AEAD_KEY_BYTES[algorithm];
  const answer = await ask<unknown>(key, 'unwrap the data keys', {
    work: (stop) => remote.unwrap(wrapped, { signal: stop }),
    count: wrapped.length,
    signal,
    late: (deks) => wipeAll(deks, engine),
  });
  try {
    const deks = checkList(answer, wrapped.length, key, 'data keys');
    const joined = ownMemory(deks.length * keyBytes);
    try {
      for (const [i, dek] of deks.entries()) joined.set(checkBytes(dek, keyBytes, key, `data key ${i}`), i * keyBytes);
      return engine.importSecret(joined);
    } finally {
      engine.wipe(joined);
    }
  } finally {
    wipeAll(answer, engine);
  }
}

async function wrapWithin(
  wrap: NonNullable<RemoteMaster['wrap']>,
  key: MasterKey,
  algorithm: AeadAlgorithm,
  secret: Secret,
  { engine, signal }: LookUpOptions,
): Promise<Uint8Array> {
  const deks = splitSecret(algorithm, secret, engine);
  try {
    if (deks.length === 0) return new Uint8Array(0);
    // Copies: what comes back is compared with what was sent, whatever the provider did to that.
    const sent = deks.map(ownCopy);
    const answer = await ask<unknown>(key, 'wrap the data keys', {
      work: (stop) => wrap(sent, { signal: stop }),
      count: deks.length,
      signal,
    }).finally(() => wipeAll(sent, engine));
    return joinRows(checkList(answer, deks.length, key, 'wrapped data keys'), deks, algorithm, key);
  } finally {
    wipeAll(deks, engine);
  }
}

interface Question<Answer> {
  work: (stop: AbortSignal) => Promise<Answer>;
  count: number;
  signal: AbortSignal | undefined;
  late?: (answer: Answer) => void;
}

async function ask<Answer>(key: MasterKey, what: string, question: Question<Answer>): Promise<Answer> {
  const { work, count, signal, late } = withoutPrototype(question);
  try {
    const timeoutMs = (withoutPrototype(key).timeoutMs ?? DEFAULT_PROVIDER_TIMEOUT_MS) + count * MS_PER_DEK;
    return await withDeadline(work, { timeoutMs, signal, ...(late === undefined ? {} : { late }) });
  } catch (cause) {
    throwIfAborted(signal);
    // Only this library's own words are repeated: another's message might quote a key.
    const redacted = redactError(cause);
    const reason = redacted instanceof CryptoTensorsError ? `: ${redacted.message}` : '';
    throw remoteFailure(key, `the key provider could not ${what} with it${reason}`, cause);
  }
}

function splitRows(algorithm: AeadAlgorithm, rows: Uint8Array): WrappedDek[] {
  const rowBytes = wrappedDekBytes(algorithm);
  const keyBytes = AEAD_KEY_BYTES[algorithm];
  return Array.from({ length: rows.byteLength / rowBytes }, (_, i) => {
    const row = rows.subarray(i * rowBytes, (i + 1) * rowBytes);
    // Arrays of their own: a part of a larger buffer takes all of it along when it goes to another thread.
    return {
      wrapped: row.slice(0, keyBytes),
      iv: row.slice(keyBytes, keyBytes + IV_BYTES),
      tag: row.slice(keyBytes + IV_BYTES),
    };
  });
}

function splitSecret(algorithm: AeadAlgorithm, secret: Secret, engine: Engine): Uint8Array[] {
  const keyBytes = AEAD_KEY_BYTES[algorithm];
  const bytes = engine.exportSecret(secret);
  try {
    return Array.from({ length: bytes.byteLength / keyBytes }, (_, i) =>
      ownCopy(bytes.subarray(i * keyBytes, (i + 1) * keyBytes)),
    );
  } finally {
    engine.wipe(bytes);
  }
}

/**
 * Checks wrapped DEKs and packs them. An IV that serves two DEKs, or a DEK that comes back as it went, would give the DEKs away
 * to whoever reads the header.
 */
function joinRows(
  answer: readonly unknown[],
  deks: readonly Uint8Array[],
  algorithm: AeadAlgorithm,
  key: MasterKey,
): Uint8Array {
  const keyBytes = AEAD_KEY_BYTES[algorithm];
  const rowBytes = wrappedDekBytes(algorithm);
  const rows = new Uint8Array(answer.length * rowBytes);
  const ivs = new Set<string>();
  for (const [i, part] of answer.entries()) {
    const { wrapped, iv, tag } = (part ?? {}) as Partial<Record<keyof WrappedDek, unknown>>;
    const row = rows.subarray(i * rowBytes, (i + 1) * rowBytes);
    row.set(checkBytes(wrapped, keyBytes, key, `"wrapped" of data key ${i}`));
    row.set(checkBytes(iv, IV_BYTES, key, `"iv" of data key ${i}`), keyBytes);
    row.set(checkBytes(tag, TAG_BYTES, key, `"tag" of data key ${i}`), keyBytes + IV_BYTES);
    if (Buffer.compare(row.subarray(0, keyBytes), deks[i]!) === 0) {
      throw wrongAnswer(key, `data key ${i} came back as it was sent, not encrypted`);
    }
    const text = Buffer.from(row.subarray(keyBytes, keyBytes + IV_BYTES)).toString('latin1');
    if (ivs.has(text)) throw wrongAnswer(key, `the IV of data key ${i} is that of another one: each needs its own`);
    ivs.add(text);
  }
  return rows;
}

function checkList(answer: unknown, count: number, key: MasterKey, what: string): readonly unknown[] {
  if (!Array.isArray(answer)) throw wrongAnswer(key, `expected a list of ${count} ${what}`);
  if (answer.length !== count) throw wrongAnswer(key, `expected ${count} ${what}, but got ${answer.length}`);
  return answer;
}

function checkBytes(value: unknown, length: number, key: MasterKey, what: string): Uint8Array {
  if (!isUint8Array(value)) throw wrongAnswer(key, `${what} must be a Uint8Array`);
  if (value.byteLength !== length) {
    throw wrongAnswer(key, `${what} must be ${length} bytes, but is ${value.byteLength}`);
  }
  return value;
}

function wipeAll(answer: unknown, engine: Engine): void {
  if (!Array.isArray(answer)) return;
  for (const part of answer as unknown[]) if (isUint8Array(part)) engine.wipe(part);
}

/** Memory that V8 does not move about: it would leave copies behind. */
function ownMemory(byteLength: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new ArrayBuffer(byteLength));
}

function ownCopy(bytes: Uint8Array): Uint8Array {
  const copy = ownMemory(bytes.byteLength);
  copy.set(bytes);
  return copy;
}

function wrongAnswer(key: MasterKey, problem: string): CryptoTensorsError {
  return remoteFailure(key, `the key provider's answer cannot be used: ${problem}`);
}

function remoteFailure(key: MasterKey, problem: string, cause?: unknown): CryptoTensorsError {
  const name = key.kid === null ? 'the master key' : `the master key ${quote(key.kid)}`;
  return keyUnavailable(`${name}: ${problem}`, { kid: key.kid, cause });
}

/** For a step that `refuseSync` went before. */
function neverSync(): never {
  throw new Error('a remote key was asked by a synchronous form');
}
