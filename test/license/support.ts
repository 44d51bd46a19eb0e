import { createPrivateKey, sign } from 'node:crypto';
import { encodeCanonical, encodeHeader } from '#dist/format/canonical.js';
import { generateKeys, generateRecipientKeys, issueLicense, publicJwks, saveSync } from 'cryptotensors';
import type { Dtype, IssueOptions, JwkSet, OpenOptions, SaveOptions } from 'cryptotensors';
import { smallTensors } from '../support/model.js';

/** The vendor, of whom customers have the public half, and two customers. */
export const VENDOR = generateKeys();
export const VENDOR_PUBLIC = publicJwks(VENDOR);
export const ACME = generateRecipientKeys();
export const ACME_PUBLIC = publicJwks(ACME);
export const OTHER = generateRecipientKeys();

/** A body: the small model, in chunks of 64 bytes unless said otherwise. */
export function makeBody(options: Partial<SaveOptions> = {}): Uint8Array {
  return saveSync(smallTensors(), { keys: VENDOR, chunkSize: 64, ...options });
}

export const BODY = makeBody();

/** A licence of the vendor's for acme. */
export function issue(options: Partial<IssueOptions> = {}, body: Uint8Array = BODY): Promise<Uint8Array> {
  return issueLicense(body, { keys: VENDOR, to: ACME_PUBLIC, ...options });
}

/** How acme opens it. */
export function opening(license: Uint8Array, options: OpenOptions = {}): OpenOptions {
  return { license, keys: ACME, trust: VENDOR_PUBLIC, ...options };
}

export const DAY_MS = 86_400_000;

/** A clock that is so many days ahead. */
export function inDays(days: number): { policy: { now: () => Date } } {
  return { policy: { now: () => new Date(Date.now() + days * DAY_MS) } };
}

/** What is in `__license__`, and in the header around it. */
export function partsOf(license: Uint8Array): { header: HeaderJson; terms: Record<string, unknown>; jwe: string[] } {
  const header = headerJson(license);
  const terms = JSON.parse(header.__metadata__.__license__!) as Record<string, unknown>;
  return { header, terms, jwe: (terms.key as string).split('.') };
}

/** A header without its length. */
export function headerJson(bytes: Uint8Array): HeaderJson {
  return JSON.parse(Buffer.from(bytes.subarray(8)).toString()) as HeaderJson;
}

export interface HeaderJson {
  __metadata__: Record<string, string>;
  [tensor: string]: unknown;
}

/** A header as bytes, with its length before it. */
export function withLength(header: HeaderJson): Uint8Array {
  const text = Buffer.from(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  return bytes;
}

/** A fresh key set in which the vendor's kids name other keys. */
export function impostor(): JwkSet {
  const [master, signer] = VENDOR.keys;
  return generateKeys({ encKid: master!.kid!, signKid: signer!.kid! });
}

/** Puts the vendor's own signature on a changed header: what only the vendor could have done, by mistake. */
export function resign(header: HeaderJson): Uint8Array {
  const { __metadata__: metadata, ...tensors } = header;
  const content = {
    metadata: new Map(Object.entries(metadata)),
    tensors: Object.entries(tensors as Record<string, TensorJson>).map(([name, { dtype, shape, data_offsets }]) => ({
      name,
      dtype,
      shape,
      begin: data_offsets[0],
      end: data_offsets[1],
    })),
  };
  const signed = sign(null, encodeCanonical(content), VENDOR_KEY);
  content.metadata.set('__signature__', signed.toString('base64'));
  return encodeHeader(content, { align: 8 });
}

interface TensorJson {
  dtype: Dtype;
  shape: number[];
  data_offsets: [number, number];
}

const [, { x, d }] = VENDOR.keys as [unknown, { x: string; d: string }];
const VENDOR_KEY = createPrivateKey({
  key: { kty: 'OKP', crv: 'Ed25519', x: base64Url(x), d: base64Url(d) },
  format: 'jwk',
});

function base64Url(text: string): string {
  return Buffer.from(text, 'base64').toString('base64url');
}

/** A licence with other terms, signed by the vendor. @param text of `__license__` */
export function withTerms(license: Uint8Array, text: string): Uint8Array {
  const { header } = partsOf(license);
  header.__metadata__.__license__ = text;
  return resign(header);
}
