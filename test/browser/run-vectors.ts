import { codeOf, engine, openBytes } from './open-bytes.js';
import type { Keys, Opened } from './open-bytes.js';

/** What is bundled without any import from Node.js, and run wherever there is Web Crypto. */

/** Gives the bytes of a file of `test/vectors`. */
export type Fetch = (file: string) => Promise<Uint8Array>;

export interface Outcome {
  valid: number;
  bad: number;
  /** Of the valid ones: those that a policy keeps closed. */
  denied: number;
  /** What went otherwise than the vectors say. */
  wrong: string[];
}

interface Vector {
  file: string;
  category: string;
  keys: { file: string; enc?: string | null; sign?: string | null } | null;
}

interface Valid extends Vector {
  reference_refuses?: string;
  expected: { tensors: { name: string; sha256: string }[] };
}

interface Bad extends Vector {
  kind: string;
  expected: { code?: string };
  also_acceptable?: string[];
  stage?: 'open' | 'read';
  readable?: Record<string, string>;
  tensors?: Record<string, string>;
}

/** Of which the signer's identity is what is wrong. */
const WRONG_SIGNER = ['keys-other-kids', 'attacker-jku'];
const POISON = 0xaa;

export async function runVectors(fetchFile: Fetch): Promise<Outcome> {
  const outcome: Outcome = { valid: 0, bad: 0, denied: 0, wrong: [] };
  const { vectors } = (await json(fetchFile, 'vectors.json')) as { vectors: Valid[] };
  for (const vector of vectors) {
    await expectNothingWrong(outcome, vector, () => runValid(fetchFile, vector));
    outcome.valid++;
    if (isDenied(vector)) outcome.denied++;
  }
  const { bad } = (await json(fetchFile, 'bad.json')) as { bad: Bad[] };
  for (const vector of bad) {
    await expectNothingWrong(outcome, vector, () => runBad(fetchFile, vector));
    outcome.bad++;
  }
  return outcome;
}

async function expectNothingWrong({ wrong }: Outcome, { file }: Vector, run: () => Promise<string>): Promise<void> {
  let problem: string;
  try {
    problem = await run();
  } catch (error) {
    problem = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  }
  if (problem !== '') wrong.push(`${file}: ${problem}`);
}

async function runValid(fetchFile: Fetch, vector: Valid): Promise<string> {
  const bytes = await fetchFile(vector.file);
  const keys = await keysOf(fetchFile, vector);
  if (isDenied(vector)) {
    const answer = await openBytes(bytes, keys).then(() => 'accept', codeOf);
    if (!['PolicyDenied', 'PolicyError'].includes(answer)) return `${answer} instead of a refusal by the policy`;
  }
  const opened = await openBytes(bytes, keys, isDenied(vector));
  return compare(await readAll(opened), new Map(vector.expected.tensors.map(({ name, sha256 }) => [name, sha256])));
}

/** A reader that evaluates policies refuses it, unless the policy is overruled. */
function isDenied({ category, reference_refuses }: Valid): boolean {
  return category === 'policies' && reference_refuses !== undefined;
}

async function runBad(fetchFile: Fetch, vector: Bad): Promise<string> {
  const { expected, also_acceptable: also = [], kind, readable = {}, tensors } = vector;
  const right = [expected.code ?? 'accept', ...also, ...(WRONG_SIGNER.includes(kind) ? ['UntrustedSigner'] : [])];
  let opened: Opened;
  let answer = 'accept';
  try {
    opened = await openBytes(await fetchFile(vector.file), await keysOf(fetchFile, vector));
    const destination = new Uint8Array(size(opened)).fill(POISON);
    try {
      await readInto(opened, destination, allOf(opened));
    } catch (error) {
      answer = codeOf(error);
      if (destination.some((byte) => byte !== 0 && byte !== POISON))
        return `${answer}, but the destination was not wiped`;
    }
    if (answer !== 'accept') {
      const names = Object.keys(readable);
      const problem = compare(await readAll(opened, names), new Map(Object.entries(readable)));
      if (problem !== '') return problem;
    } else if (tensors !== undefined) {
      const problem = compare(await readAll(opened), new Map(Object.entries(tensors)));
      if (problem !== '') return problem;
    }
  } catch (error) {
    answer = codeOf(error);
  }
  return right.includes(answer) ? '' : `${answer} instead of ${right.join(' or ')}`;
}

async function keysOf(fetchFile: Fetch, { keys }: Vector): Promise<Keys | null> {
  if (keys === null) return null;
  const document = (await json(fetchFile, keys.file)) as { keys?: Keys['jwks'] } & Keys['jwks'][number];
  return { jwks: document.keys ?? [document], enc: keys.enc, sign: keys.sign };
}

async function json(fetchFile: Fetch, file: string): Promise<unknown> {
  return JSON.parse(new TextDecoder().decode(await fetchFile(file)));
}

function compare(found: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>): string {
  if (found.size !== expected.size) return `${found.size} tensors instead of ${expected.size}`;
  for (const [name, digest] of expected) if (found.get(name) !== digest) return `another content of ${name}`;
  return '';
}

function allOf({ header }: Opened): number[] {
  return Array.from({ length: header.count }, (_, i) => i);
}

function length({ header }: Opened, tensor: number): number {
  return header.end[tensor]! - header.begin[tensor]!;
}

function size(opened: Opened): number {
  return allOf(opened).reduce((sum, tensor) => sum + length(opened, tensor), 0);
}

async function readInto(opened: Opened, destination: Uint8Array, tensors: readonly number[]): Promise<void> {
  const { table, source } = opened;
  let at = 0;
  const copies = Float64Array.from(
    tensors.flatMap((tensor) => {
      const row = [tensor, 0, length(opened, tensor), at];
      at += length(opened, tensor);
      return row;
    }),
  );
  await engine.read({ table, source, destination, copies, threads: 0, signal: undefined, onProgress: undefined });
}

/** SHA-256 of each tensor, by name. */
async function readAll(opened: Opened, names: readonly string[] = opened.header.names): Promise<Map<string, string>> {
  const digests = new Map<string, string>();
  for (const name of names) {
    const tensor = opened.header.names.indexOf(name);
    const bytes = new Uint8Array(length(opened, tensor));
    await readInto(opened, bytes, [tensor]);
    digests.set(name, hex(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))));
  }
  return digests;
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
