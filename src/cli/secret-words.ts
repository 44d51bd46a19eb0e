import { couldBeKey, looksSecret, quote, quotePath } from '../errors.js';
import { usageError } from './cli-error.js';

/*
 * A key that was put where a name belongs stands in the command line. What goes wrong is told to a terminal, a log, a CI server: of
 * the command line nothing is repeated there that could be a key, whoever worded the message.
 */

let secrets: readonly string[] = [];

/** Notes what of this command line must not be repeated. */
export function rememberWords(args: readonly string[]): void {
  const spellings = args
    .flatMap((word) => [word, word.slice(1), word.slice(2), word.slice(word.indexOf('=') + 1)])
    .filter((word) => couldBeKey(word) || looksSecret(word))
    .flatMap((word) => [
      word,
      ...[JSON.stringify(word), quote(word), quotePath(word)].map((text) => text.slice(1, -1)),
    ]);
  secrets = [...new Set(spellings)].sort((a, b) => b.length - a.length);
}

/** The text, or all texts in a document, without them. */
export function withoutSecrets<Value>(value: Value): Value {
  return (typeof value === 'string' ? hide(value) : hideWithin(value)) as Value;
}

function hideWithin(value: unknown): unknown {
  if (typeof value === 'string') return hide(value);
  if (Array.isArray(value)) return value.map(hideWithin);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, hideWithin(item)]));
}

function hide(text: string): string {
  return secrets.reduce(
    (shown, secret) => shown.replaceAll(secret, () => `(${secret.length} characters, not shown: they could be a key)`),
    text,
  );
}

/** Refuses what could be a key where a file is to be named: it would be the name of a file, and in every listing. */
export function refuseKeyAsPath(path: string): void {
  if (!couldBeKey(path)) return;
  throw usageError(
    `a text of ${path.length} characters, not shown, stands where a path belongs: it looks like a key. Give the path of the key's file; a file that is really called so is given with its folder, as ./name`,
  );
}
