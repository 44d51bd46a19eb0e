import { isNativeError } from 'node:util/types';
import { CryptoTensorsError, argumentError, quote } from '../../../errors.js';
import { option, say } from '../../../wording.js';
import { keyUnavailable } from '../../unavailable.js';
import { CK, errorName, loadLibrary, readUlong, tokenError } from './module.js';
import type { Handle, Pkcs11 } from './module.js';

/** Which token, and how to log in to it. */
export interface TokenOptions {
  readonly module: string;
  readonly slot?: number | undefined;
  readonly tokenLabel?: string | undefined;
  readonly pin?: string | (() => string | Promise<string>) | undefined;
}

export interface Session {
  readonly library: Pkcs11;
  readonly handle: Handle;
}

/** Answers after which a session is of no use any more, but another one may be. */
const SESSION_LOST: readonly string[] = [
  'CKR_SESSION_HANDLE_INVALID',
  'CKR_SESSION_CLOSED',
  'CKR_USER_NOT_LOGGED_IN',
  'CKR_DEVICE_REMOVED',
  'CKR_TOKEN_NOT_PRESENT',
  // Of an operation that failed between its two calls.
  'CKR_OPERATION_ACTIVE',
];
const PIN_REFUSED: readonly string[] = [
  'CKR_PIN_INCORRECT',
  'CKR_PIN_INVALID',
  'CKR_PIN_LEN_RANGE',
  'CKR_PIN_EXPIRED',
  'CKR_PIN_LOCKED',
];

/**
 * One session with a token, opened when it is needed, and opened again when it was lost. An operation begins with one call and
 * ends with another, so whoever uses the session has it alone; the others wait.
 */
export class Token {
  readonly #options: TokenOptions;
  #session: Session | null = null;
  #last: Promise<unknown> = Promise.resolve();
  #busy = false;
  #disposed = false;
  /** A PIN that was refused is not tried again: tokens lock after a few attempts. */
  #refusal: CryptoTensorsError | null = null;

  constructor(options: TokenOptions) {
    this.#options = options;
  }

  /**
   * Does work in the session. Work that the loss of the session interrupted is done again, once.
   *
   * @throws {CryptoTensorsError} `Closed`, `KeyUnavailable`, `NativeUnavailable`; whatever `work` throws
   */
  async use<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    const turn = this.#last.then(() => this.#use(work));
    this.#last = turn.catch(() => undefined);
    return turn;
  }

  /** Closes the session, once the work under way has ended. The last session of a process to be closed logs it out. */
  dispose(): void {
    this.#disposed = true;
    if (!this.#busy) this.#close();
  }

  async #use<Result>(work: (session: Session) => Promise<Result>): Promise<Result> {
    this.#busy = true;
    try {
      try {
        return await work(await this.#open());
      } catch (error) {
        if (!isSessionLost(error)) throw error;
        this.#close();
        return await work(await this.#open());
      }
    } catch (error) {
      throw errorName(error) === null ? error : tokenError('it does not do what it was asked for', error);
    } finally {
      this.#busy = false;
      if (this.#disposed) this.#close();
    }
  }

  async #open(): Promise<Session> {
    if (this.#disposed) {
      throw new CryptoTensorsError('Closed', 'this PKCS#11 key provider was disposed of: make another one');
    }
    if (this.#session !== null) return this.#session;
    if (this.#refusal !== null) throw this.#refusal;
    const library = loadLibrary(this.#options.module);
    const slot = findSlot(library, this.#options);
    const session = { library, handle: attempt('no session', () => library.C_OpenSession(slot, CK.SERIAL_SESSION)) };
    this.#session = session;
    try {
      await this.#logIn(session);
    } catch (error) {
      this.#close();
      throw error;
    }
    return session;
  }

  async #logIn({ library, handle }: Session): Promise<void> {
    const { pin } = this.#options;
    if (pin === undefined) return;
    const given: unknown = typeof pin === 'function' ? await pin() : pin;
    if (typeof given !== 'string') throw argumentError(say`the result of ${option('pin')}`, 'a string', given);
    try {
      library.C_Login(handle, CK.USER, given);
    } catch (cause) {
      const answer = errorName(cause);
      // Whoever in this process logged in before did it for all of its sessions.
      if (answer === 'CKR_USER_ALREADY_LOGGED_IN') return;
      const error = tokenError('it refuses the log-in', cause);
      if (answer !== null && PIN_REFUSED.includes(answer) && typeof pin === 'string') this.#refusal = error;
      throw error;
    }
  }

  #close(): void {
    const session = this.#session;
    this.#session = null;
    try {
      if (session !== null) session.library.C_CloseSession(session.handle);
    } catch {
      // It is gone already.
    }
  }
}

function isSessionLost(error: unknown): boolean {
  for (let at: unknown = error; isNativeError(at); at = at.cause) {
    if (SESSION_LOST.includes(errorName(at) ?? '')) return true;
  }
  return false;
}

/** The slot whose token is meant. */
function findSlot(library: Pkcs11, { slot, tokenLabel }: TokenOptions): Handle {
  const tokens = attempt('no list of its slots', () =>
    library
      .C_GetSlotList(true)
      .map((handle) => ({ handle, id: readUlong(handle), token: library.C_GetTokenInfo(handle) }))
      .filter(({ token }) => (token.flags & CK.TOKEN_INITIALIZED) !== 0)
      .map(({ token, ...rest }) => ({ ...rest, label: token.label.trimEnd() })),
  );
  const found = tokens.filter(
    ({ id, label }) => (slot === undefined || id === slot) && (tokenLabel === undefined || label === tokenLabel),
  );
  if (found.length === 1) return found[0]!.handle;
  const there = tokens.map(({ id, label }) => `${quote(label)} in slot ${id}`).join(', ') || 'none';
  const wanted = [
    ...(tokenLabel === undefined ? [] : [quote(tokenLabel)]),
    ...(slot === undefined ? [] : [`in slot ${slot}`]),
  ];
  const problem =
    wanted.length > 0
      ? `there ${found.length === 0 ? 'is no token' : 'are several tokens'} ${wanted.join(' ')}`
      : `one initialised token was expected, but there ${tokens.length === 0 ? 'is none' : 'are several'}`;
  throw keyUnavailable(`PKCS#11: ${problem}; present: ${there}. Name one by the tokenLabel or slot option`, {
    // One that is not plugged in can be.
    retryable: found.length === 0,
  });
}

function attempt<Result>(problem: string, call: () => Result): Result {
  try {
    return call();
  } catch (cause) {
    throw tokenError(problem, cause);
  }
}
