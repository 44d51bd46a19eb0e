import { isUint8Array } from 'node:util/types';
import { CryptoTensorsError, argumentError, quoteInput } from '../../errors.js';
import { checkInteger, isPlainObject, ownOptions } from '../../options.js';
import { isUrl } from '../../path-argument.js';
import type { Engine } from '../../engine/types.js';
import { checkProviderName } from './arguments.js';
import { AnswerCache } from './answer-cache.js';
import { CachingProvider, DEFAULT_TTL_MS, MAX_TTL_MS } from './cached.js';
import type { CachedKeyProvider } from './cached.js';
import { DEFAULT_PROVIDER_TIMEOUT_MS } from './ask.js';
import { describeUrl, httpsGet } from './https-get.js';
import { fromOrigin } from './material.js';
import { PROVIDER_PRIORITY } from './types.js';
import { option, say } from '../../wording.js';

export interface HttpsKeyOptions {
  /** Certificate authorities in PEM to trust in place of those that Node.js comes with. */
  ca?: string | Uint8Array | readonly (string | Uint8Array)[];
  /** Sent along, such as `authorization`. Never shown. */
  headers?: Readonly<Record<string, string>>;
  /** How long to wait for the whole answer, in milliseconds. Default 10,000. */
  timeoutMs?: number;
  /** The largest answer that is read. Default 1 MiB. */
  maxBytes?: number;
  /** How long an answer serves, in milliseconds. When it is over the keys are gone, also if no new ones are to be had. Default 300,000. */
  ttlMs?: number;
  /** Its name in the registry and in messages. Default: `https`. */
  name?: string;
}

const DEFAULT_MAX_BYTES = 1024 * 1024;
const MAX_MAX_BYTES = 64 * 1024 * 1024;
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

/**
 * A provider over a JWK set at an `https:` address. Only that address is asked, whatever a model's header says; the document
 * is got once, for all who wait, and kept in native memory for `ttlMs`.
 *
 * @throws TypeError, InvalidOption
 */
export function httpsKeyProvider(
  address: string | URL,
  options: HttpsKeyOptions = {},
  engine: Engine,
): CachedKeyProvider {
  const url = checkAddress(address);
  const own = ownOptions<HttpsKeyOptions>(
    options,
    ['ca', 'headers', 'timeoutMs', 'maxBytes', 'ttlMs', 'name'],
    'httpsKeyProvider',
  );
  const {
    ca,
    timeoutMs = DEFAULT_PROVIDER_TIMEOUT_MS,
    maxBytes = DEFAULT_MAX_BYTES,
    ttlMs = DEFAULT_TTL_MS,
    name = 'https',
  } = own;
  checkInteger(timeoutMs, 'options.timeoutMs', 1, MAX_TIMEOUT_MS);
  checkInteger(maxBytes, 'options.maxBytes', 1, MAX_MAX_BYTES);
  checkInteger(ttlMs, 'options.ttlMs', 1, MAX_TTL_MS);
  checkProviderName(name);
  checkAuthorities(ca);
  const headers = checkHeaders(own.headers);
  return new CachingProvider(
    {
      name,
      priority: PROVIDER_PRIORITY.native,
      timeoutMs,
      wipeAnswers: true,
      find: async (_, { signal }) =>
        fromOrigin(await httpsGet({ url, ca, headers, maxBytes, engine }, signal), { where: describeUrl(url) }),
    },
    new AnswerCache(ttlMs, 1),
    'all',
    engine,
    name,
  );
}

function checkAddress(address: unknown): URL {
  if (typeof address !== 'string' && !isUrl(address)) throw argumentError('url', 'an https: URL', address);
  let url: URL;
  try {
    url = new URL(typeof address === 'string' ? address : address.href);
  } catch {
    throw new CryptoTensorsError('InvalidOption', 'url must be an absolute https: URL');
  }
  if (url.protocol !== 'https:') {
    throw new CryptoTensorsError('InvalidOption', `url must be an https: URL, not ${url.protocol}`);
  }
  if (url.username !== '' || url.password !== '') {
    throw new CryptoTensorsError(
      'InvalidOption',
      say`url must not hold a user name or password: use ${option('headers')}`,
    );
  }
  return url;
}

function checkAuthorities(ca: unknown): void {
  if (ca === undefined) return;
  const list: readonly unknown[] = Array.isArray(ca) ? ca : [ca];
  for (const one of list) {
    if (typeof one !== 'string' && !isUint8Array(one)) {
      throw argumentError('options.ca', 'PEM text, its bytes, or a list of these', one);
    }
  }
}

/** A copy of the headers. */
function checkHeaders(headers: unknown): Record<string, string> {
  if (headers === undefined) return {};
  if (!isPlainObject(headers)) throw argumentError('options.headers', 'a plain object', headers);
  const copy = Object.entries(headers).map(([name, value]: [string, unknown]): [string, string] => {
    if (typeof value !== 'string') throw argumentError(`options.headers[${quoteInput(name)}]`, 'a string', value);
    return [name.toLowerCase(), value];
  });
  return Object.fromEntries(copy);
}
