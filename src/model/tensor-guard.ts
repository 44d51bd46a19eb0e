import { CryptoTensorsError, quote } from '../errors.js';
import type { Header } from '../format/header.js';
import type { PolicyTensor } from '../policy/input.js';
import type { Verdict } from '../policy/verdict.js';
import type { Twin } from '../twin.js';

/** What the policy of a file says of its tensors. */
export interface TensorJudge {
  /** One verdict per tensor, in their order. @throws PolicyError if there is no answer about several of them at once */
  judge(tensors: readonly PolicyTensor[], signal: AbortSignal | undefined): Twin<readonly Verdict[]>;
  /** Throws unless the verdict is that the tensor may be read. */
  enforce(tensor: PolicyTensor, verdict: Verdict, advice: string | undefined): void;
}

/** What is remembered of a tensor. A failure is none of these: the next one who wants the tensor asks again. */
const UNDECIDED = 0;
const ALLOWED = 1;
const DENIED = 2;

/**
 * Which tensors of one open file may be handed out, where its policy has something to say about that (`allow_tensor`). It is
 * asked about a tensor when that is first wanted, with the facts of the opening, and what it answers holds until the file is closed.
 */
export class TensorGuard {
  readonly #header: Header;
  /** Null where the decisions were made elsewhere, and nobody can be asked. */
  readonly #judge: TensorJudge | null;
  /** Per tensor in data order. */
  readonly #states: Uint8Array;
  /** What the policy said of those that it denies. */
  readonly #denials = new Map<number, Verdict>();

  /** @param decisions those of the same file, opened in another thread: see `decisions` */
  constructor(header: Header, judge: TensorJudge);
  constructor(header: Header, judge: null, decisions: Uint8Array);
  constructor(header: Header, judge: TensorJudge | null, decisions?: Uint8Array) {
    this.#header = header;
    this.#judge = judge;
    this.#states = decisions ?? new Uint8Array(header.count);
  }

  /**
   * Asks about those tensors that nobody has asked about yet, and refuses unless all may be read.
   *
   * @param indices in data order
   * @param advice what the caller can do about a refusal
   * @throws PolicyDenied, PolicyError
   */
  *demand(indices: readonly number[], signal: AbortSignal | undefined, advice?: string): Twin<void> {
    const failures = yield* this.#decide(indices, signal);
    for (const index of indices) {
      if (this.#states[index] === ALLOWED) continue;
      const verdict = failures.get(index) ?? this.#denials.get(index);
      if (this.#judge === null || verdict === undefined) throw this.#undecidedHere(index, advice);
      this.#judge.enforce(tensorOf(this.#header, index), verdict, advice);
    }
  }

  /** The tensors that may be read, in data order; one about which the policy fails is not among them. @throws PolicyError */
  *allowed(signal: AbortSignal | undefined): Twin<number[]> {
    const all = [...this.#header.names.keys()];
    yield* this.#decide(all, signal);
    return all.filter((index) => this.#states[index] === ALLOWED);
  }

  /**
   * What the policy says of every tensor, for a guard of the same file that cannot ask: decisions only, none of the facts that
   * led to them.
   *
   * @throws PolicyError
   */
  *decisions(signal: AbortSignal | undefined): Twin<Uint8Array> {
    yield* this.allowed(signal);
    return Uint8Array.from(this.#states);
  }

  /** @returns for which tensors there is no decision, and why */
  *#decide(indices: readonly number[], signal: AbortSignal | undefined): Twin<ReadonlyMap<number, Verdict>> {
    const failures = new Map<number, Verdict>();
    if (this.#judge === null) return failures;
    const open = indices.filter((index) => this.#states[index] === UNDECIDED);
    if (open.length === 0) return failures;
    const verdicts = yield* this.#judge.judge(
      open.map((index) => tensorOf(this.#header, index)),
      signal,
    );
    for (const [i, index] of open.entries()) {
      const verdict = verdicts[i]!;
      if (verdict.outcome === 'failed') {
        failures.set(index, verdict);
        continue;
      }
      this.#states[index] = verdict.outcome === 'allowed' ? ALLOWED : DENIED;
      if (verdict.outcome === 'denied') this.#denials.set(index, verdict);
    }
    return failures;
  }

  #undecidedHere(index: number, advice: string | undefined): CryptoTensorsError {
    const tensor = this.#header.names[index]!;
    const where = 'as it was asked in the thread that opened the model';
    if (this.#states[index] === DENIED) {
      return new CryptoTensorsError(
        'PolicyDenied',
        `the file's policy refuses tensor ${quote(tensor)}, ${where}${advice === undefined ? '' : `. ${advice}`}`,
        { tensor, expected: 'true' },
      );
    }
    return new CryptoTensorsError(
      'PolicyError',
      `the file's policy could not be evaluated for tensor ${quote(tensor)}, so it stays closed, ${where}; getTensor there says why`,
      { tensor },
    );
  }
}

/** What a policy is told of a tensor. */
export function tensorOf(header: Header, index: number): PolicyTensor {
  return { name: header.names[index]!, dtype: header.dtype(index), shape: header.exactShape(index) };
}
