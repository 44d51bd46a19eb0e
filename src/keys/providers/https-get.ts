import { isUint8Array } from 'node:util/types';
import { Agent, request } from 'node:https';
import type { IncomingMessage } from 'node:http';
import { CryptoTensorsError, looksSecret, quote } from '../../errors.js';
import { isTransientStatus, keyUnavailable } from '../unavailable.js';
import type { Unavailability } from '../unavailable.js';
import type { Engine } from '../../engine/types.js';
import { option, say } from '../../wording.js';
import type { Wording } from '../../wording.js';

export interface HttpsGet {
  readonly url: URL;
  readonly ca: string | Uint8Array | readonly (string | Uint8Array)[] | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly maxBytes: number;
  readonly engine: Engine;
}

/** What JWK sets are served as; a web page, such as a login form or an error, is none of them. */
const ACCEPTED_TYPE = /^(application\/(.+\+)?json|application\/octet-stream|text\/plain)\s*(;|$)/i;

/**
 * Gets a document from exactly the given address: no redirect is followed, no proxy of the environment is used, and the
 * server's certificate is always checked. Returns memory of its own, which the caller wipes.
 *
 * @throws KeyUnavailable, in words of this library; what went wrong below is its cause
 */
export function httpsGet(get: HttpsGet, signal: AbortSignal): Promise<Uint8Array> {
  const agent = new Agent({ keepAlive: false });
  return new Promise<Uint8Array>((resolve, reject) => {
    const fail = (error: unknown): void => reject(transportError(get.url, error));
    const outgoing = request(
      get.url,
      {
        agent,
        signal,
        headers: {
          accept: 'application/jwk-set+json, application/json',
          ...get.headers,
          'accept-encoding': 'identity',
        },
        ...(get.ca === undefined ? {} : { ca: authorities(get.ca) }),
        minVersion: 'TLSv1.2',
        // Said here, so that NODE_TLS_REJECT_UNAUTHORIZED in the environment cannot say otherwise.
        rejectUnauthorized: true,
      },
      (response) => {
        receive(response, get).then(resolve, (error: unknown) => {
          response.destroy();
          fail(error);
        });
      },
    );
    outgoing.on('error', fail);
    outgoing.end();
  }).finally(() => agent.destroy());
}

async function receive(response: IncomingMessage, { url, maxBytes, engine }: HttpsGet): Promise<Uint8Array> {
  checkHead(response, url, maxBytes);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxBytes) throw tooLarge(url, maxBytes);
    }
    if (!response.complete) throw unusable(url, 'the answer ended early', { retryable: true });
    const body = new Uint8Array(length);
    let at = 0;
    for (const chunk of chunks) {
      body.set(chunk, at);
      at += chunk.length;
    }
    return body;
  } finally {
    for (const chunk of chunks) engine.wipe(chunk);
  }
}

/** @throws KeyUnavailable */
function checkHead({ statusCode = 0, headers }: IncomingMessage, url: URL, maxBytes: number): void {
  if (statusCode >= 300 && statusCode < 400) {
    throw unusable(url, `it answered with a redirect (${statusCode}), which is not followed: name the final address`);
  }
  if (statusCode !== 200) {
    throw unusable(url, `it answered with status ${statusCode}`, { retryable: isTransientStatus(statusCode) });
  }
  const type = headers['content-type'];
  if (type !== undefined && !ACCEPTED_TYPE.test(type)) {
    throw unusable(url, `it answered with ${quote(type)}, not with JSON`);
  }
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') throw unusable(url, `it answered in the encoding ${quote(encoding)}, not plainly`);
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(url, maxBytes);
}

/** A copy, as node:tls wants it. */
function authorities(ca: NonNullable<HttpsGet['ca']>): (string | Buffer)[] {
  const list = typeof ca === 'string' || isUint8Array(ca) ? [ca] : ca;
  return list.map((one) => (typeof one === 'string' ? one : Buffer.from(one)));
}

function tooLarge(url: URL, maxBytes: number): CryptoTensorsError {
  return unusable(url, say`its answer has more than ${maxBytes} bytes (${option('maxBytes')})`);
}

function unusable(url: URL, problem: string | Wording, details: Unavailability = {}): CryptoTensorsError {
  return keyUnavailable(say`no keys from ${describeUrl(url)}: ${problem}`, details);
}

function transportError(url: URL, error: unknown): CryptoTensorsError {
  if (error instanceof CryptoTensorsError) return error;
  const { code } = error as NodeJS.ErrnoException;
  return unusable(url, code === undefined ? 'the connection failed' : `the connection failed with ${code}`, {
    cause: error,
  });
}

/** Without its query, which may hold a token. */
export function describeUrl({ origin, pathname }: URL): string {
  return looksSecret(pathname)
    ? `${quote(origin)} (its path is not shown: it could hold a key)`
    : quote(origin + pathname);
}
