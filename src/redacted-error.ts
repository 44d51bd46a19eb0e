import { AbortError, CryptoTensorsError, looksSecret } from './errors.js';
import { isError } from './kinds.js';

/*
 * What functions that the caller handed in throw (key providers, clients of key services, policy engines), and libraries below them,
 * becomes the cause of this library's own error. It is useful there: it says which host was down, and which rule denied. But it may
 * hold a key, in its message or in members that `util.inspect` shows (of HTTP clients: the whole request), and reading it may throw.
 * So the cause is a copy, of texts only, from which everything is left out that could be a key.
 */

/** Causes of causes. */
const MAX_CAUSES = 8;
/** Of a message, or of a stack. */
const MAX_LENGTH = 8_192;
/** No spelling of a key, but ids of requests and of keys in a key service. */
const UUID = /\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/gi;
/** Of a word within a name, as in `InvalidCiphertextException`: of keys they are too few to matter. */
const CAPITAL = /[A-Z](?=[a-z]{3})/g;
/** Bytes as they are printed: in hexadecimal pairs, or in decimal. */
const PRINTED_BYTES = /(?:[0-9a-f]{2}[\s:,-]+){15}[0-9a-f]{2}|(?:\d{1,3}[\s,]+){15}\d/i;
const IDENTIFIER = /^[\w$.-]{1,64}$/;

/**
 * A copy of somebody else's error: an `Error` of the same `name`, `message`, `code` and `stack`, with causes of that kind, as far as
 * these are texts that could not be a key. An error of this library itself is returned as it is. Never throws.
 */
export function redactError(error: unknown): Error {
  return redact(error, 0);
}

function redact(error: unknown, depth: number): Error {
  if (isOurs(error)) return error;
  const name = identifierOf(error, 'name') ?? 'Error';
  const message = typeof error === 'string' ? error : textOf(error, 'message');
  const copy = new Error(message === undefined ? 'what was thrown has no message' : shown(message, name));
  hide(copy, 'name', name);
  hide(copy, 'stack', [`${name}: ${copy.message}`, ...framesOf(error)].join('\n'));
  const number = memberOf(error, 'code');
  const code = Number.isSafeInteger(number) ? number : identifierOf(error, 'code');
  if (code !== undefined) Object.assign(copy, { code });
  const cause = memberOf(error, 'cause');
  if (cause !== undefined && depth < MAX_CAUSES) hide(copy, 'cause', redact(cause, depth + 1));
  return copy;
}

/** A proxy is no error, and asking it may throw. */
function isOurs(error: unknown): error is CryptoTensorsError | AbortError {
  try {
    return isError(error) && (error instanceof CryptoTensorsError || error instanceof AbortError);
  } catch {
    return false;
  }
}

/** That of a SyntaxError quotes the beginning of what was parsed. */
function shown(message: string, name: string): string {
  const hidden = name === 'SyntaxError' || couldHoldKey(message);
  return hidden ? `(${message.length} characters, not shown: they could hold a key)` : message;
}

function couldHoldKey(text: string): boolean {
  return (
    text.length > MAX_LENGTH || PRINTED_BYTES.test(text) || looksSecret(text.replace(UUID, 'id').replace(CAPITAL, 'a'))
  );
}

/** The places in the code, without the message above them. */
function framesOf(error: unknown): string[] {
  const stack = textOf(error, 'stack');
  if (stack === undefined || stack.length > MAX_LENGTH) return [];
  return stack.split('\n').filter((line) => /^ {4}at /.test(line) && !couldHoldKey(line));
}

function identifierOf(error: unknown, name: string): string | undefined {
  const text = textOf(error, name);
  return text !== undefined && IDENTIFIER.test(text) && !couldHoldKey(text) ? text : undefined;
}

function textOf(error: unknown, name: string): string | undefined {
  const value = memberOf(error, name);
  return typeof value === 'string' ? value : undefined;
}

/** Read once, as it may be a getter, which may throw. */
function memberOf(error: unknown, name: string): unknown {
  if ((typeof error !== 'object' && typeof error !== 'function') || error === null) return undefined;
  try {
    return (error as Record<string, unknown>)[name];
  } catch {
    return undefined;
  }
}

/** As Error's own members are: not listed. */
function hide(error: Error, name: string, value: unknown): void {
  Object.defineProperty(error, name, { value, writable: true, configurable: true });
}
