import { CryptoTensorsError } from '../errors.js';
import { redactError } from '../redacted-error.js';
import type { Wording } from '../wording.js';

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
  try {
    return tellsTransient(error);
  } catch {
    // A getter that throws tells nothing.
    return false;
  }
}

function tellsTransient(error: unknown): boolean {
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
  /** What was thrown. The error gets a copy without what could be a key. */
  cause?: unknown;
  /** Default: as the cause tells. */
  retryable?: boolean;
}

/** @param message what could not be done, and why; never a provider's own words: they might quote a key */
export function keyUnavailable(message: string | Wording, details: Unavailability = {}): CryptoTensorsError {
  const { kid, path, cause, retryable = isTransient(cause) } = details;
  return new CryptoTensorsError('KeyUnavailable', message, {
    retryable,
    ...(kid === undefined ? {} : { kid }),
    ...(path === undefined ? {} : { path }),
    ...(cause === undefined ? {} : { cause: redactError(cause) }),
  });
}
