import { once } from 'node:events';
import { createServer } from 'node:https';
import type { Server } from 'node:https';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect } from 'node:util';
import { httpsKeyProvider } from 'cryptotensors';
import type { CachedKeyProvider } from 'cryptotensors';
import type { KeyRing } from '#dist/keys/keyring.js';
import { lookUpVerifyingKeys } from '#dist/keys/lookup.js';
import { lookUpMasterKey } from './look-up.js';
import * as https from '#dist/keys/providers/https.js';
import type { HttpsKeyOptions } from '#dist/keys/providers/https.js';
import type { MasterKey } from '#dist/keys/types.js';
import { runAsync, runSync } from '#dist/twin.js';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { makeCertificates } from '../support/certificates.js';
import { FakeEngine } from './fake-engine.js';
import { K256, K256_OTHER, MASTER, SIGNER, base64, expectNoMaterial, refusal, ringOf } from './support.js';

const certificates = makeCertificates();
let answer: (request: IncomingMessage, response: ServerResponse) => void;
let requests: IncomingMessage[] = [];
const listener: RequestListener = (request, response) => {
  requests.push(request);
  answer(request, response);
};
const server: Server = createServer({ cert: certificates.cert, key: certificates.key }, listener);
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const origin = `https://localhost:${(server.address() as AddressInfo).port}`;
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const SET = JSON.stringify({ keys: [MASTER, SIGNER] });
const send = (body: string, head: Record<string, string> = { 'content-type': 'application/json' }, status = 200) => {
  answer = (_, response) => void response.writeHead(status, head).end(body);
};

let fake: FakeEngine;
const made: CachedKeyProvider[] = [];
beforeEach(() => {
  fake = new FakeEngine();
  requests = [];
  send(SET);
});
afterEach(() => {
  for (const provider of made.splice(0)) provider.dispose();
  vi.unstubAllEnvs();
});

function provider(options: HttpsKeyOptions = {}, path = '/keys'): CachedKeyProvider {
  const one = https.httpsKeyProvider(`${origin}${path}`, { ca: certificates.ca, ...options }, fake.engine);
  made.push(one);
  return one;
}
const master = (ring: KeyRing, kid = 'm'): Promise<MasterKey> =>
  runAsync(
    lookUpMasterKey(ring, { kid, jku: 'https://evil.example/', algorithm: 'aes256gcm' }, { engine: fake.engine }),
  );
const material = ({ secret }: MasterKey): string => base64(fake.exportSecret(secret!));
const failure = async (one: CachedKeyProvider): Promise<string> =>
  (await refusal('KeyUnavailable', () => master(ringOf(fake.engine, one)))).message;

describe('a JWK set over HTTPS', () => {
  test('gives master and verifying keys, from one request', async () => {
    using ring = ringOf(fake.engine, provider());
    expect(material(await master(ring))).toBe(K256);
    const signers = await runAsync(lookUpVerifyingKeys(ring, { kid: 's', jku: null }, { engine: fake.engine }));
    expect(signers.map(({ kid, seed }) => [kid, seed])).toEqual([['s', null]]);
    expect(requests.map(({ method, url }) => [method, url])).toEqual([['GET', '/keys']]);
  });

  test.each([
    'application/json; charset=utf-8',
    'application/jwk-set+json',
    'text/plain',
    'application/octet-stream',
    '',
  ])('may come as %j', async (type) => {
    send(SET, type === '' ? {} : { 'content-type': type });
    expect(material(await master(ringOf(fake.engine, provider())))).toBe(K256);
  });

  test('may come in pieces', async () => {
    answer = (_, response) => {
      response.writeHead(200);
      for (const character of SET) response.write(character);
      response.end();
    };
    expect(material(await master(ringOf(fake.engine, provider())))).toBe(K256);
  });

  test('is asked for with the headers given, which nothing shows', async () => {
    const one = provider({ headers: { Authorization: `Bearer ${K256}` } });
    await master(ringOf(fake.engine, one));
    expect(requests[0]!.headers).toMatchObject({ authorization: `Bearer ${K256}`, 'accept-encoding': 'identity' });
    expectNoMaterial(one);
    expect(inspect(one)).toBe('KeyProvider("https")');
    send('no', {}, 403);
    one.clear();
    expect(await failure(one)).not.toContain('Bearer');
  });
});

describe('what is refused:', () => {
  const answers: [string, () => void, string][] = [
    ['a redirect', () => send('', { location: `${origin}/other` }, 302), 'a redirect (302), which is not followed'],
    ['another status', () => send(SET, {}, 404), 'it answered with status 404'],
    ['no content', () => send('', {}, 204), 'it answered with status 204'],
    ['a web page', () => send('<html>', { 'content-type': 'text/html' }), 'it answered with "text/html", not with JSON'],
    ['a compressed answer', () => send(SET, { 'content-encoding': 'gzip' }), 'in the encoding "gzip"'],
    ['what is no JWK set', () => send('{"keys":5}'), '/keys": "keys" of a JWK set must be an array'],
    ['a large answer that says so', () => send(SET, { 'content-length': String(SET.length + 2000) }), 'more than 1000 bytes'],
  ]; // prettier-ignore
  test.each(answers)('%s', async (_, prepare, message) => {
    prepare();
    const one = provider({ maxBytes: 1000 });
    expect(await failure(one)).toContain(message);
    expect(requests).toHaveLength(1);
    expect(fake.live.size).toBe(0);
  });

  test('a large answer that does not say so, before all of it came', async () => {
    let sent = 0;
    answer = (_, response) => {
      const more = (): void => {
        while (!response.destroyed && sent < 200_000_000) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536, ' '))) return void response.once('drain', more);
        }
      };
      more();
    };
    expect(await failure(provider({ maxBytes: 100_000 }))).toContain('more than 100000 bytes');
    expect(sent).toBeLessThan(50_000_000);
  });

  test('an answer that ends early', async () => {
    answer = (_, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write(SET);
      setTimeout(() => response.destroy(), 20);
    };
    expect(await failure(provider())).toContain('no keys from');
  });

  test('an answer that takes too long', async () => {
    let closed = false;
    answer = (request, response) => {
      request.on('close', () => (closed = true));
      response.writeHead(200);
      response.write('{');
    };
    expect(await failure(provider({ timeoutMs: 200 }))).toContain('no answer within 200 ms');
    await vi.waitFor(() => expect(closed).toBe(true));
  });

  test('a certificate of an authority that is not trusted, whatever the environment says', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0');
    const stranger = provider({ ca: makeCertificates().ca });
    expect(await failure(stranger)).toMatch(/the connection failed with [A-Z_]+/);
    const usual = https.httpsKeyProvider(`${origin}/keys`, {}, fake.engine);
    expect(await failure(usual)).toMatch(/the connection failed with [A-Z_]+/);
    expect(requests).toEqual([]);
  });

  test("a certificate for another host's name", async () => {
    const { port } = server.address() as AddressInfo;
    const other = https.httpsKeyProvider(`https://[::ffff:127.0.0.1]:${port}/`, { ca: certificates.ca }, fake.engine);
    expect(await failure(other)).toContain('the connection failed with');
    expect(requests).toEqual([]);
  });

  test('proxies of the environment', async () => {
    for (const name of ['HTTPS_PROXY', 'https_proxy', 'ALL_PROXY']) vi.stubEnv(name, 'http://127.0.0.1:9');
    vi.stubEnv('NODE_USE_ENV_PROXY', '1');
    expect(material(await master(ringOf(fake.engine, provider())))).toBe(K256);
  });

  test('the Sync forms, until the keys are at hand', async () => {
    const ring = ringOf(fake.engine, provider());
    const sync = () =>
      runSync(lookUpMasterKey(ring, { kid: 'm', jku: null, algorithm: 'aes256gcm' }, { engine: fake.engine }));
    expect((await refusal('KeyUnavailable', sync)).message).toContain('it has no findSync');
    await master(ring);
    expect(material(sync())).toBe(K256);
  });
});

describe('the answer', () => {
  test('serves until its time is over, and then is gone, also if the server is', async () => {
    const ring = ringOf(fake.engine, provider({ ttlMs: 150 }));
    for (let i = 0; i < 5; i++) await master(ring);
    expect(requests).toHaveLength(1);
    ring.dispose();
    await vi.waitFor(() => expect(fake.live.size).toBe(0));

    const again = ringOf(fake.engine, provider({ ttlMs: 50 }));
    await master(again);
    send('down', {}, 503);
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect((await refusal('KeyUnavailable', () => master(again))).message).toContain('status 503');
    send(JSON.stringify({ ...MASTER, k: K256_OTHER }));
    expect(material(await master(again))).toBe(K256_OTHER);
  });

  test('is asked for once by all who wait', async () => {
    answer = (_, response) => void setTimeout(() => response.end(SET), 50);
    const one = provider();
    const keys = await Promise.all(Array.from({ length: 20 }, () => master(ringOf(fake.engine, one))));
    expect(new Set(keys.map(material))).toEqual(new Set([K256]));
    expect(requests).toHaveLength(1);
  });

  test('serves unknown kids too: a hostile header makes no requests', async () => {
    const ring = ringOf(fake.engine, provider());
    for (let i = 0; i < 5; i++) await refusal('KeyNotFound', () => master(ring, `evil-${i}`));
    expect(requests).toHaveLength(1);
  });
});

describe('arguments', () => {
  test.each([
    ['http://localhost/keys', 'url must be an https: URL, not http:'],
    ['file:///etc/keys.json', 'url must be an https: URL, not file:'],
    ['keys.json', 'url must be an absolute https: URL'],
    ['https://me:secret@localhost/', 'url must not hold a user name or password'],
  ])('%s', async (url, message) => {
    expect((await refusal('InvalidOption', () => httpsKeyProvider(url))).message).toContain(message);
  });

  test.each([
    [{ ttl: 5 }, 'unknown option "ttl"'],
    [{ ca: 5 }, 'options.ca must be PEM text'],
    [{ ca: [5] }, 'options.ca must be PEM text'],
    [{ headers: 'x' }, 'options.headers must be a plain object'],
    [{ headers: { a: 1 } }, 'options.headers["a"] must be a string'],
    [{ name: '' }, 'options.name must be a string that is not empty'],
  ])('%j', (options, message) => {
    expect(() => httpsKeyProvider('https://localhost/', options as HttpsKeyOptions)).toThrow(TypeError);
    expect(() => httpsKeyProvider('https://localhost/', options as HttpsKeyOptions)).toThrow(message);
  });

  test.each([{ ttlMs: 0 }, { timeoutMs: 2 ** 31 }, { maxBytes: -1 }])('%j', async (options) => {
    await refusal('InvalidOption', () => httpsKeyProvider('https://localhost/', options));
  });
});
