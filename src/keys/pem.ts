import type { CryptoTensorsError } from '../errors.js';
import { quote } from '../errors.js';
import type { Engine, Secret } from '../engine/types.js';
import { KeyCollector } from './collector.js';
import { readPrivateKeyInfo, readPublicKeyInfo } from './der.js';
import type { DerAlgorithm } from './der.js';
import { invalidKey } from './jwk-document.js';
import type { KeyLabel, KeyOrigin } from './jwk-document.js';
import { recipientThumbprint } from './thumbprint.js';
import type { LoadedKeys, RecipientKey, SigningKey } from './types.js';
import { hasOwn } from '../options.js';

/*
 * Keys in PEM (RFC 7468), as `openssl genpkey` writes them: Ed25519 as signing keys, X25519 and P-256 as recipient keys. They have no
 * kid. Key material stays bytes, in memory that is wiped.
 */

const BEGIN = '-----BEGIN ';
const END = '-----END ';
const DASHES = '-----';
const MAX_LABEL_CHARACTERS = 64;

/** What other labels hold, and what to do about them. */
const OTHERS: ReadonlyMap<string, string> = new Map([
  ['ENCRYPTED PRIVATE KEY', 'it is encrypted with a password: decrypt it by `openssl pkcs8 -in FILE`, into a pipe'],
  ['EC PRIVATE KEY', 'it is in the SEC 1 form: convert it by `openssl pkcs8 -topk8 -nocrypt`'],
  ['RSA PRIVATE KEY', 'RSA keys are not used: make keys by `cryptotensors keygen`'],
  ['RSA PUBLIC KEY', 'RSA keys are not used: ask for an Ed25519, X25519 or P-256 key'],
  ['OPENSSH PRIVATE KEY', 'it is a key of OpenSSH: make keys by `cryptotensors keygen`'],
  ['CERTIFICATE', 'it is a certificate: take the public key out of it by `openssl x509 -pubkey -noout`'],
]);

/** Whether text is PEM and not JSON. */
export function isPem(text: Uint8Array): boolean {
  const start = firstOf(text, (byte) => byte > 0x20);
  return text[start] !== 0x7b && text[start] !== 0x5b && find(text, BEGIN, start) >= 0;
}

/**
 * Parses all blocks of a PEM text. The caller owns the secrets in the result and wipes `bytes`.
 *
 * @throws InvalidKey
 */
export function parsePem(bytes: Uint8Array, engine: Engine, origin: KeyOrigin): LoadedKeys {
  const collector = new KeyCollector(engine);
  try {
    let count = 0;
    for (let at = find(bytes, BEGIN, 0); at >= 0; count++) {
      const name: KeyLabel = { label: `PEM block ${count + 1}`, kid: null, origin };
      at = readBlock(bytes, at, name, collector, engine);
    }
    return collector.keys;
  } catch (error) {
    collector.dispose();
    throw error;
  }
}

/** @returns where the next block begins, or -1 */
function readBlock(bytes: Uint8Array, at: number, name: KeyLabel, collector: KeyCollector, engine: Engine): number {
  const from = at + BEGIN.length;
  const to = find(bytes, DASHES, from);
  if (to < 0 || to - from > MAX_LABEL_CHARACTERS) throw invalidKey(name, 'its first line is cut off');
  const label = new TextDecoder('latin1').decode(bytes.subarray(from, to));
  const end = find(bytes, `${END}${label}${DASHES}`, to);
  if (end < 0) throw invalidKey(name, `it has no line ${quote(`${END}${label}${DASHES}`)}: it was cut off`);
  const body = bytes.subarray(to + DASHES.length, end);
  // "EC PARAMETERS", which openssl writes before a key, says what the key says too.
  if (label !== 'EC PARAMETERS') addKey(label, body, name, collector, engine);
  return find(bytes, BEGIN, end);
}

function addKey(label: string, body: Uint8Array, name: KeyLabel, collector: KeyCollector, engine: Engine): void {
  if (find(body, 'ENCRYPTED', 0) >= 0 && body.includes(0x3a))
    throw invalidKey(name, OTHERS.get('ENCRYPTED PRIVATE KEY')!);
  if (label !== 'PRIVATE KEY' && label !== 'PUBLIC KEY') {
    throw invalidKey(name, OTHERS.get(label) ?? `its label ${quote(label)} must be "PRIVATE KEY" or "PUBLIC KEY"`);
  }
  const der = decodeBody(body, name, engine);
  try {
    const key = label === 'PRIVATE KEY' ? readPrivateKeyInfo(der) : readPublicKeyInfo(der);
    if (hasOwn(key, 'problem')) throw invalidKey(name, key.problem);
    const secret = label === 'PRIVATE KEY' ? engine.importSecret(key.bytes) : null;
    const publicKey = secret === null ? Uint8Array.from(key.bytes) : publicKeyOf(key.algorithm, secret, name, engine);
    if (key.algorithm === 'Ed25519') collector.addSigningKey(signingKey(publicKey, secret), name);
    else collector.addRecipientKey(recipientKey(key.algorithm, publicKey, secret, name, engine), name);
  } finally {
    engine.wipe(der);
  }
}

/** The caller wipes the result. */
function decodeBody(body: Uint8Array, name: KeyLabel, engine: Engine): Uint8Array {
  const base64 = new Uint8Array(new ArrayBuffer(body.length));
  try {
    let length = 0;
    for (const byte of body) if (byte > 0x20) base64[length++] = byte;
    const secret = engine.importSecretBase64(base64.subarray(0, length));
    if (secret === null) throw invalidKey(name, 'it is not base64');
    try {
      return engine.exportSecret(secret);
    } finally {
      secret.dispose();
    }
  } finally {
    engine.wipe(base64);
  }
}

function publicKeyOf(algorithm: DerAlgorithm, secret: Secret, name: KeyLabel, engine: Engine): Uint8Array {
  const publicKey =
    algorithm === 'Ed25519' ? engine.ed25519PublicKey(secret) : engine.agreementPublicKey(algorithm, secret);
  if (publicKey !== null) return publicKey;
  secret.dispose();
  throw invalidKey(name, `it is no private key of ${algorithm}`);
}

const NAMELESS = { kid: null, jku: null, state: 'active' } as const;

function signingKey(publicKey: Uint8Array, seed: Secret | null): SigningKey {
  return { ...NAMELESS, publicKey, seed, remote: null };
}

function recipientKey(
  curve: Exclude<DerAlgorithm, 'Ed25519'>,
  publicKey: Uint8Array,
  secret: Secret | null,
  name: KeyLabel,
  engine: Engine,
): RecipientKey {
  if (!engine.isAgreementPublicKey(curve, publicKey)) throw notOnCurve(name, curve);
  return { ...NAMELESS, curve, publicKey, secret, thumbprint: recipientThumbprint(curve, publicKey, engine) };
}

function notOnCurve(name: KeyLabel, curve: string): CryptoTensorsError {
  return invalidKey(name, `its public part is not a point of ${curve}`);
}

function firstOf(bytes: Uint8Array, wanted: (byte: number) => boolean): number {
  const at = bytes.findIndex(wanted);
  return at < 0 ? bytes.length : at;
}

/** Where ASCII text stands in bytes from a position on, or -1. */
function find(bytes: Uint8Array, text: string, from: number): number {
  const first = text.charCodeAt(0);
  for (let at = bytes.indexOf(first, from); at >= 0; at = bytes.indexOf(first, at + 1)) {
    let length = 1;
    while (length < text.length && bytes[at + length] === text.charCodeAt(length)) length++;
    if (length === text.length) return at;
  }
  return -1;
}
