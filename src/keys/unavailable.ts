import { AbortError, CryptoTensorsError } from '../errors.js';

/*
 * A key that may well be there, but whose provider could not give or use it: the network, a token, a key service. What is different
 * for the caller is whether it is worth trying again.
 */

/** What the system, Node's own clients and undici say of a network that may come back. */
const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  'ETIMEDOUT', 'ESOCKETTIMEDOUT', 'ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'EAI_AGAIN', 'ENETDOWN', 'ENETUNREACH',
  'EHOSTDOWN', 'EHOSTUNREACH', 'EMFILE', 'ENFILE', 'EAGAIN', 'EBUSY', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_BODY_TIMEOUT', 'UND_ERR_SOCKET',
]); // prettier-ignore

/** Names of errors of the AWS SDK, and of others that use the same words. */
const TRANSIENT_NAMES: ReadonlySet<string> = new Set([
  'TimeoutError', 'RequestTimeout', 'RequestTimeoutException', 'NetworkingError', 'ThrottlingException', 'Throttling',
  'TooManyRequestsException', 'RequestLimitExceeded', 'LimitExceededException', 'KMSInternalException',
  'DependencyTimeoutException', 'KeyUnavailableException', 'InternalFailure', 'ServiceUnavailable', 'ServiceUnavailableException',
]); // prettier-ignore

const MAX_CAUSES = 8;

/** Whether the same request may succeed later, as far as an error or what caused it tells. */
export function isTransient(error: unknown): boolean {
  for (let at = error, depth = 0; typeof at === 'object' && at !== null && depth < MAX_CAUSES; depth++) {
    const { retryable, code, name, $retryable, $metadata, cause } = at as Record<string, unknown>;
    if (typeof retryable === 'boolean') return retryable;
    if ($retryable !== undefined) return true;
    if (typeof code === 'string' && TRANSIENT_CODES.has(code)) return true;
    if (typeof name === 'string' && TRANSIENT_NAMES.has(name)) return true;
    if (isTransientStatus(($metadata as { httpStatusCode?: unknown } | undefined)?.httpStatusCode)) return true;
    at = cause;
  }
  return false;
}

/** HTTP: time-outs, too many requests, and what is the server's own fault. */
export function isTransientStatus(status: unknown): boolean {
  return typeof status === 'number' && (status === 408 || status === 425 || status === 429 || status >= 500);
}

export interface Unavailability {
  kid?: string | null;
  path?: string;
  cause?: unknown;
  /** Default: as the cause tells. */
  retryable?: boolean;
}

/** @param message what could not be done, and why; never a provider's own words: they might quote a key */
export function keyUnavailable(message: string, details: Unavailability = {}): CryptoTensorsError {
  const { kid, path, cause, retryable = isTransient(cause) } = details;
  return new CryptoTensorsError('KeyUnavailable', message, {
    retryable,
    ...(kid === undefined ? {} : { kid }),
    ...(path === undefined ? {} : { path }),
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * What stands for another's error as a cause: its name, its code and whether it is transient. Its message, stack and other members
 * might quote a key, and `util.inspect` shows those of causes too.
 */
export function neutralCause(error: unknown): unknown {
  if (error instanceof CryptoTensorsError || error instanceof AbortError) return error;
  const cause = new Error('what the key provider threw is not shown because it may quote a key');
  try {
    const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
    const shown: Record<string, unknown> = { retryable: isTransient(error) };
    if (isIdentifier(code)) shown['code'] = code;
    Object.assign(cause, shown);
    if (isIdentifier(name)) Object.defineProperty(cause, 'name', { value: name, configurable: true });
  } catch {
    // Members that cannot be read are left out.
  }
  return cause;
}

/** Short enough to hold no key. */
function isIdentifier(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    /^[A-Za-z_]\w{0,39}$/.test(value) &&
    !/^[0-9a-f]{32,}$/i.test(value) &&
    !/\d.*\d.*\d.*\d/.test(value)
  );
}
