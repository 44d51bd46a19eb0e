import { spawn } from 'node:child_process';
import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ensurePythonEnv } from '../../scripts/python-env.mjs';
import type { Dtype } from 'cryptotensors';
import { afterAll } from 'vitest';

/** A tensor as it goes to and fro: `data` is base64. */
export interface WireTensor {
  name: string;
  dtype: Dtype;
  shape: number[];
  data: string;
}

/** What the Python packages say of a file that they read. */
export interface PythonReading {
  metadata: Record<string, string> | null;
  /** Names of the reserved metadata keys; not from safetensors. */
  reserved?: string[];
  /** Tensor names in data order. */
  keys: string[];
  tensors: WireTensor[];
}

/** What `oracle.py dump` prints. */
export interface OracleFacts {
  encrypted: boolean;
  metadata: Record<string, string> | null;
  reserved_metadata: string[];
  signature_ok: boolean | null;
  version?: string;
  chunk_size?: number | null;
  algorithm?: string;
  enc?: { kid: string | null; jku: string | null };
  sign?: { kid: string | null; jku: string | null };
  policy?: { local: string; remote: string };
  integrity?: string[] | null;
  tensors: {
    name: string;
    dtype: string;
    shape: number[];
    data_offsets: [number, number];
    encrypted: boolean;
    sha256: string;
  }[];
}

export interface OracleReading {
  facts: OracleFacts;
  /** The header as it stands in the file. */
  header: string;
  /** The same header in canonical form, signature included: what a writer should have written. */
  written: string;
  /** The canonical text that the signature covers. */
  signed: string;
}

/** A JSON Web Key as the test keys' files have it. */
export type Jwk = Readonly<Record<'kty' | 'alg', string> & Partial<Record<'kid' | 'jku' | 'k' | 'x' | 'd', string>>>;

/** Configuration of the reference's writers. */
export interface ReferenceConfig {
  enc_key: Jwk;
  sign_key: Jwk;
  version?: '1' | '2';
  chunk_size?: number;
  tensors?: string[];
  policy?: { local: string; remote: string };
}

interface Operations {
  reference_write: [
    {
      path: string;
      interface: 'numpy' | 'raw';
      tensors: WireTensor[];
      metadata: Record<string, string> | null;
      config: ReferenceConfig | null;
    },
    null,
  ];
  reference_read: [{ path: string; keys: readonly Jwk[] }, PythonReading];
  reference_open_direct: [{ path: string; enc: Jwk; sign: Jwk }, Record<string, string>];
  reference_rewrap: [{ path: string; keys: readonly Jwk[]; config: ReferenceConfig }, null];
  safetensors_write: [
    { path: string; interface: 'numpy' | 'raw'; tensors: WireTensor[]; metadata: Record<string, string> | null },
    null,
  ];
  safetensors_read: [{ path: string }, PythonReading];
  oracle_facts: [{ path: string; keys: readonly Jwk[]; enc_kid?: string; sign_kid?: string }, OracleReading];
}

/** The Python process behind `reference.py`: one for all the cases of a test file. */
export class Reference {
  readonly #process: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;
  #stderr = '';
  #last: Promise<unknown> = Promise.resolve();

  private constructor(process: ChildProcessWithoutNullStreams) {
    this.#process = process;
    this.#answers = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
    process.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
  }

  /** Fails, and with it every test, where the Python environment cannot be made: interoperation is never skipped. */
  static async start(): Promise<Reference> {
    const python = await ensurePythonEnv();
    const script = fileURLToPath(new URL('reference.py', import.meta.url));
    const env = { ...process.env, PYTHONIOENCODING: 'utf-8' };
    // The reference would take keys from there.
    delete (env as NodeJS.ProcessEnv).CRYPTOTENSOR_KEYS;
    return new Reference(spawn(python, [script], { stdio: 'pipe', env }));
  }

  /** Carries out one command after the other. */
  call<Name extends keyof Operations>(op: Name, command: Operations[Name][0]): Promise<Operations[Name][1]> {
    const answer = this.#last.then(() => this.#exchange(op, command));
    this.#last = answer.catch(() => undefined);
    return answer as Promise<Operations[Name][1]>;
  }

  async #exchange(op: string, command: object): Promise<unknown> {
    this.#process.stdin.write(`${JSON.stringify({ op, ...command })}\n`);
    const line = (await this.#answers.next()) as IteratorResult<string, undefined>;
    if (line.done === true) throw new Error(`the Python process ended: ${this.#stderr}`);
    const answer = JSON.parse(line.value) as { ok: unknown } | { error: string };
    if ('error' in answer) throw new Error(`${op}: ${answer.error}`);
    return answer.ok;
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'close');
    this.#process.stdin.end();
    await ended;
  }
}

/** The reference for one test file, closed after its last test. */
export async function startReference(): Promise<Reference> {
  const reference = await Reference.start();
  afterAll(() => reference.close());
  return reference;
}
