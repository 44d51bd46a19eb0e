import { CryptoTensorsError, quote, quoteFile } from '../errors.js';
import type { Header } from '../format/header.js';
import { parseCryptoKeys, parsePolicy, parseSignature, isEncrypted } from '../format/crypto-metadata.js';
import type { CryptoKeys } from '../format/crypto-metadata.js';
import { integritySteps } from '../format/integrity.js';
import type { IntegrityScan } from '../format/integrity.js';
import { parseLicense } from '../format/license.js';
import type { LicenseTerms } from '../format/license.js';
import { recordSteps } from '../format/records.js';
import type { RecordScan } from '../format/records.js';
import { Reserved, RECORD_STRIDE } from '../format/vocabulary.js';
import type { Engine, Source, TableSpec, TensorTable } from '../engine/types.js';
import { unwrapTable } from '../keys/wrap.js';
import type { Access } from './access.js';
import { readPlacedHeader, readUnplacedHeader } from './detached.js';
import type { DetachedInput, PlacedHeader, SeenHeader } from './detached.js';
import { naming, publicError, recordError } from '../model/faults.js';
import type { Check, Model } from '../model/model.js';
import { checkBody, enforceTerms, findMasterKeys } from './license.js';
import { checkPin } from '../model/pin.js';
import { readIdentity } from './model-files.js';
import { runPolicy } from './policy.js';
import { startVerification } from './signature.js';
import { openSource } from '../model/source.js';
import { step } from '../twin.js';
import type { Twin } from '../twin.js';
import { option, say } from '../wording.js';
import { hasOwn } from '../options.js';

/**
 * Opens a file or bytes, in the order of DESIGN §4: structure, signature, trust, pin, policy, keys.
 *
 * @param detached a header in place of the file's own
 * @param seen gets the text of the file's own header, also if that is refused
 */
export function* openModel(
  input: string | Uint8Array,
  engine: Engine,
  access: Access,
  detached?: DetachedInput,
  seen: SeenHeader = { text: null },
): Twin<Model> {
  const path = typeof input === 'string' ? input : undefined;
  let source: Source | undefined;
  try {
    source = yield* openSource(input, engine);
    const placed = yield* readPlacedHeader(engine, source, detached, seen);
    const opened = yield* openHeader(engine, source, placed, access);
    const { header, dataStart } = placed;
    return { engine, path, source, memory: typeof input === 'string' ? null : input, header, dataStart, ...opened };
  } catch (error) {
    source?.close();
    throw naming(publicError(error, { path, names: [], signal: access.signal }), path);
  }
}

/**
 * Opens a header, of a file or by itself, for its keys alone: the same checks, but the data need not be there, and nothing of it can
 * be read.
 */
export function* openHeaderOnly(input: string | Uint8Array, engine: Engine, access: Access): Twin<Model> {
  const path = typeof input === 'string' ? input : undefined;
  let source: Source | undefined;
  try {
    source = yield* openSource(input, engine);
    const { header } = yield* readUnplacedHeader(engine, source);
    const placed = { header, dataStart: header.dataStart, body: null };
    const opened = yield* openHeader(engine, source, placed, access);
    return { engine, path, source, memory: null, header, dataStart: header.dataStart, ...opened };
  } catch (error) {
    source?.close();
    throw naming(publicError(error, { path, names: [], signal: access.signal }), path);
  }
}

/** What is found out about a file from its header and the caller's keys. */
type Opened = Pick<Model, 'encryption' | 'table' | 'guard' | 'checks' | 'chunkSizes'>;

function* openHeader(engine: Engine, source: Source, placed: PlacedHeader, access: Access): Twin<Opened> {
  const { header } = placed;
  const path = source.path;
  if (!isEncrypted(header.metadata)) {
    if (access.mustBeEncrypted) {
      throw new CryptoTensorsError(
        'NotEncrypted',
        say`${quoteFile(path)} is neither encrypted nor signed, but keys or trust are configured`.advising(
          say`If a plain file is what you expect, open it with ${option('allowPlain', 'true')}`,
        ),
        path === undefined ? {} : { path },
      );
    }
    checkPin(access.pins, engine, header, path);
    const table = yield* makeTable(engine, source, placed, null, null, null);
    return { encryption: null, table, guard: null, ...describeChecks(header, null, null, null) };
  }

  const metadata = header.metadata!;
  const keys = parseCryptoKeys(metadata.get(Reserved.cryptoKeys)!);
  const signature = parseSignature(metadata.get(Reserved.signature)!);
  const candidates = yield* access.verifyingKeys({ kid: keys.sign.kid, jku: keys.sign.jku });
  const verification = yield* startVerification(engine, header, candidates, signature, keys.sign.kid);
  // Parsed while a pool thread verifies the signature, but neither used nor complained of before that has passed.
  const scan = yield* attempt(recordSteps(metadata.getJson(Reserved.encryption)!, header, keys.version));
  const verifyingKey = yield* verification.result();
  const signer = verifyingKey.kid;
  access.audit?.keyUsed('verifying', verifyingKey, path);
  checkPin(access.pins, engine, header, path);
  if (placed.body !== null) checkBody(engine, header, placed.body, path);
  const identity = readIdentity(engine, header, path);
  const license = parseLicense(header);
  const terms = license === null ? undefined : enforceTerms(license, access);
  const policy = parsePolicy(metadata.get(Reserved.policy)!);
  const guard = yield* runPolicy(policy, header, signer, access, terms);

  const records = scan();
  const encrypted = encryptedTensors(header, records);
  const integrityText = metadata.getJson(Reserved.integrity);
  const integrity =
    integrityText === undefined ? null : yield* integritySteps(integrityText, header, (i) => encrypted[i] === 1);
  const table = yield* makeTable(engine, source, placed, keys, records, integrity);
  try {
    const master = yield* findMasterKeys(license, keys, engine, access);
    try {
      if (master.recipient !== null) access.audit?.keyUsed('recipient', master.recipient, path);
      const lookUp = { engine, signal: access.signal };
      let failed = -1;
      for (const candidate of master.candidates) {
        // The key that the header names is told of before it is used, in vain or not; one without a name only where it fits.
        const isNamed = candidate.kid !== null;
        if (isNamed) access.audit?.keyUsed('master', candidate, path);
        const row = yield* unwrapTable(table, candidate, keys.enc.algorithm, lookUp);
        // Of several that fail, the first says why: it is the one that was meant.
        failed = row < 0 || candidate === master.candidates[0] ? row : failed;
        if (row >= 0) continue;
        if (!isNamed) access.audit?.keyUsed('master', candidate, path);
        break;
      }
      if (failed >= 0) throw unwrapError(header, records, failed, keys, path);
    } finally {
      master.own?.dispose();
    }
  } catch (error) {
    table.dispose();
    throw error;
  }
  return {
    encryption: {
      keys,
      policy,
      signer,
      signerKey: Buffer.from(verifyingKey.publicKey).toString('hex'),
      identity,
      license: license && termsOf(license),
    },
    table,
    guard,
    ...describeChecks(header, keys, encrypted, integrity),
  };
}

function termsOf({ id, issued, notBefore, expires, claims }: LicenseTerms): LicenseTerms {
  return { id, issued, notBefore, expires, claims };
}

/** Does something now and gives its result, or throws its error, later. */
function* attempt<Result>(work: Twin<Result>): Twin<() => Result> {
  try {
    const result = yield* work;
    return () => result;
  } catch (error) {
    return () => {
      throw error;
    };
  }
}

function encryptedTensors(header: Header, records: RecordScan): Uint8Array {
  const encrypted = new Uint8Array(header.count);
  for (let at = 0; at < records.records.length; at += RECORD_STRIDE) encrypted[records.records[at]!] = 1;
  return encrypted;
}

function* makeTable(
  engine: Engine,
  source: Source,
  { header, dataStart }: PlacedHeader,
  keys: CryptoKeys | null,
  records: RecordScan | null,
  integrity: IntegrityScan | null,
): Twin<TensorTable> {
  const spec: TableSpec = {
    dataStart,
    begin: header.begin,
    end: header.end,
    encryption:
      keys === null || records === null
        ? null
        : {
            algorithm: keys.enc.algorithm,
            version: keys.version,
            chunkSize: keys.chunkSize,
            document: records.document,
            records: records.records,
          },
    integrity,
  };
  const made = yield* step(
    () => engine.createTable(spec),
    () => engine.createTableAsync(spec),
  );
  if (hasOwn(made, 'table')) return made.table;
  const { fault } = made;
  const rows = fault.field === 'digests' ? integrity!.records : records!.records;
  const stride = fault.field === 'digests' ? 3 : RECORD_STRIDE;
  throw recordError(fault, header.names[rows[fault.row * stride]!]!, keys!.version, source.path);
}

function unwrapError(
  header: Header,
  records: RecordScan,
  row: number,
  keys: CryptoKeys,
  path: string | undefined,
): CryptoTensorsError {
  const tensor = header.names[records.records[row * RECORD_STRIDE]!]!;
  return new CryptoTensorsError(
    'BadTag',
    `tensor ${quote(tensor)}: its data key does not unwrap under the master key${keys.enc.kid === null ? '' : ` ${quote(keys.enc.kid)}`}: this is not the key that the file was encrypted for`,
    { tensor, kid: keys.enc.kid, ...(path === undefined ? {} : { path }) },
  );
}

function describeChecks(
  header: Header,
  keys: CryptoKeys | null,
  encrypted: Uint8Array | null,
  integrity: IntegrityScan | null,
): Pick<Model, 'checks' | 'chunkSizes'> {
  const chunkSizes = new Float64Array(header.count);
  const checks: Check[] = [];
  for (let i = 0; i < header.count; i++) {
    if (encrypted?.[i] === 1) {
      checks.push('tag');
      chunkSizes[i] = keys!.chunkSize;
    } else if (integrity !== null) {
      checks.push('digest');
      chunkSizes[i] = integrity.chunkSize;
    } else {
      checks.push('none');
    }
  }
  return { checks, chunkSizes };
}
