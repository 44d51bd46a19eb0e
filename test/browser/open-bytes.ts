import type { CryptoTensorsError as PublicError, ErrorCode } from '#dist/errors.js';
import { CryptoTensorsError } from '#dist/errors.js';
import { createPortableEngine } from '#dist/engine/portable/engine.js';
import { webCrypto } from '#dist/engine/portable/web-crypto.js';
import { AEAD_KEY_BYTES, RECORD_STRIDE } from '#dist/format/vocabulary.js';
import type { Secret, Source, TensorTable } from '#dist/engine/types.js';
import { parseCryptoKeys, parsePolicy, parseSignature, isEncrypted } from '#dist/format/crypto-metadata.js';
import type { CryptoKeys } from '#dist/format/crypto-metadata.js';
import { parseHeader, readHeaderLength } from '#dist/format/header.js';
import type { Header } from '#dist/format/header.js';
import { scanIntegrity } from '#dist/format/integrity.js';
import { scanRecords } from '#dist/format/records.js';
import { userMetadata } from '#dist/model/metadata.js';
import { askPolicy, judgeTensors } from '#dist/policy/evaluate.js';
import { buildPolicyInput } from '#dist/policy/input.js';
import { enforce } from '#dist/policy/verdict.js';
import { runAsync } from '#dist/twin.js';

export const engine = createPortableEngine(webCrypto, null);

/** Keys that a file is opened with: a JWK set, and kids in place of the header's. */
export interface Keys {
  jwks: readonly Jwk[];
  enc: string | null | undefined;
  sign: string | null | undefined;
}

interface Jwk {
  kty: string;
  kid?: string;
  alg?: string;
  k?: string;
  x?: string;
}

export interface Opened {
  header: Header;
  table: TensorTable;
  source: Source;
}

const LENGTH_BYTES = 8;

/**
 * Opens bytes in the order of the library's own `openModel`: structure, signature, policy, keys.
 *
 * @param overruled the policy is not asked
 */
export async function openBytes(bytes: Uint8Array, keys: Keys | null, overruled = false): Promise<Opened> {
  const source = engine.openBytes(bytes);
  const length = readHeaderLength(bytes.subarray(0, LENGTH_BYTES), bytes.byteLength);
  const header = parseHeader(bytes.slice(LENGTH_BYTES, LENGTH_BYTES + length), bytes.byteLength);
  if (!isEncrypted(header.metadata)) {
    if (keys !== null) refuse('NotEncrypted');
    return { header, source, table: await makeTable(header, null, null, null) };
  }
  const metadata = header.metadata!;
  const facts = parseCryptoKeys(metadata.get('__crypto_keys__')!);
  const signature = parseSignature(metadata.get('__signature__')!);
  await verifySignature(header, facts, signature, keys);
  const policy = parsePolicy(metadata.get('__policy__')!).local;
  if (!overruled) await enforcePolicy(policy, header, facts.sign.kid);
  const records = scanRecords(metadata.getJson('__encryption__')!, header, facts.version);
  const encrypted = new Uint8Array(header.count);
  for (let at = 0; at < records.records.length; at += RECORD_STRIDE) encrypted[records.records[at]!] = 1;
  const digests = metadata.getJson('__integrity__');
  const integrity = digests === undefined ? null : scanIntegrity(digests, header, (i) => encrypted[i] === 1);
  const table = await makeTable(header, facts, records, integrity);
  const master = masterKey(facts, keys);
  if ((await table.unwrapAsync(master)) !== -1) refuse('BadTag');
  master.dispose();
  return { header, source, table };
}

/** All tensors will be read, so it is asked about each. */
async function enforcePolicy(policy: string, header: Header, signer: string | null): Promise<void> {
  const input = buildPolicyInput({
    action: 'open',
    claims: {},
    env: undefined,
    model: { metadata: userMetadata(header) ?? {}, tensors: header.count, signer },
  });
  await runAsync(askPolicy(policy, { input }));
  const reading = { ...input, action: 'read' } as const;
  const tensors = header.names.map((name, i) => ({ name, dtype: header.dtype(i), shape: header.shape(i) }));
  const verdicts = await runAsync(judgeTensors(policy, tensors, { input: reading }));
  for (const [i, verdict] of verdicts.entries()) {
    enforce(verdict, { rule: 'allow_tensor', input: { ...reading, tensor: tensors[i]! } });
  }
}

async function makeTable(
  { dataStart, begin, end }: Header,
  facts: CryptoKeys | null,
  records: ReturnType<typeof scanRecords> | null,
  integrity: ReturnType<typeof scanIntegrity> | null,
): Promise<TensorTable> {
  const encryption = facts &&
    records && { algorithm: facts.enc.algorithm, version: facts.version, chunkSize: facts.chunkSize, ...records };
  const made = await engine.createTableAsync({ dataStart, begin, end, encryption, integrity });
  return 'table' in made ? made.table : refuse('InvalidCryptoMetadata');
}

async function verifySignature(
  header: Header,
  facts: CryptoKeys,
  signature: Uint8Array,
  keys: Keys | null,
): Promise<void> {
  const signer = find(keys, ['OKP', 'okp'], keys?.sign ?? facts.sign.kid);
  const publicKey = engine.exportSecret(decode(signer.x!));
  if (!(await engine.ed25519VerifyAsync(publicKey, header.canonical(), signature))) refuse('BadSignature');
}

function masterKey({ enc }: CryptoKeys, keys: Keys | null): Secret {
  const secret = decode(find(keys, ['oct'], keys?.enc ?? enc.kid).k!);
  return secret.byteLength === AEAD_KEY_BYTES[enc.algorithm] ? secret : refuse('KeyNotFound');
}

function find(keys: Keys | null, types: readonly string[], kid: string | null): Jwk {
  const found = keys?.jwks.filter((jwk) => types.includes(jwk.kty) && (kid === null || jwk.kid === kid)) ?? [];
  return found[0] ?? refuse('KeyNotFound');
}

function decode(text: string): Secret {
  return engine.importSecretBase64(new TextEncoder().encode(text)) ?? refuse('InvalidKey');
}

function refuse(code: ErrorCode): never {
  throw new CryptoTensorsError(code, code);
}

/** The code of whatever opening or reading was refused with. */
export function codeOf(error: unknown): string {
  const { code } = error as Partial<PublicError>;
  if (code === undefined) throw error;
  return code;
}
