/** Every public function and method with arguments that work: what the tables of this folder put wrong things into, one at a time. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as library from 'cryptotensors';
import * as kms from 'cryptotensors/aws-kms';
import * as pkcs11 from 'cryptotensors/pkcs11';

export interface Parameter {
  name: string;
  good: unknown;
  /** May it be left out? */
  optional?: boolean;
  /** Of an options object: each option with a value that works. `good` holds those that are needed. */
  options?: Readonly<Record<string, unknown>>;
}

export interface EntryPoint {
  name: string;
  call: (...args: never[]) => unknown;
  parameters: readonly Parameter[];
}

export interface Fixture {
  folder: string;
  plain: string;
  model: string;
  license: string;
  keys: library.JwkSet;
  customer: library.JwkSet;
}

export function makeFixture(folder: string): Fixture {
  const plain = join(folder, 'plain.safetensors');
  const model = join(folder, 'model.safetensors');
  const license = join(folder, 'acme.license');
  const keys = library.generateKeys({ encKid: 'master', signKid: 'signer' });
  const customer = library.generateRecipientKeys({ kid: 'customer' });
  library.saveFileSync(tensors(), plain);
  library.saveFileSync(tensors(), model, { keys });
  writeFileSync(join(folder, 'keys.json'), JSON.stringify(keys));
  return { folder, plain, model, license, keys, customer };
}

export const tensors = (): Record<string, library.TensorLike> => ({
  weight: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) },
  bias: { shape: [2], data: Int8Array.of(1, 2) },
});

export async function issueLicense({ model, license, keys, customer }: Fixture): Promise<void> {
  writeFileSync(license, await library.issueLicense(model, { keys, to: library.publicJwks(customer) }));
}

/** A model with a file beside it, plain and encrypted. */
async function makeFolders({
  folder,
  plain,
  keys,
}: Fixture): Promise<{ plainFolder: string; encryptedFolder: string }> {
  const [plainFolder, encryptedFolder] = [join(folder, 'plain-folder'), join(folder, 'encrypted-folder')];
  if (existsSync(plainFolder)) return { plainFolder, encryptedFolder };
  mkdirSync(plainFolder);
  copyFileSync(plain, join(plainFolder, 'plain.safetensors'));
  writeFileSync(join(plainFolder, 'notes.txt'), 'notes');
  await library.encryptModel(plainFolder, encryptedFolder, { keys });
  return { plainFolder, encryptedFolder };
}

/** @param options those that the function has beside the ones that it needs */
function optionsOf(needed: Record<string, unknown>, options: Record<string, unknown>, required = false): Parameter {
  return { name: 'options', good: needed, optional: !required, options: { ...options, ...needed } };
}

let written = 0;

export async function entryPoints(fixture: Fixture): Promise<EntryPoint[]> {
  const { folder, plain, model, license, keys, customer } = fixture;
  const file = await library.safeOpen(model, { keys });
  const { plainFolder, encryptedFolder } = await makeFolders(fixture);
  const whole = await library.safeOpen(encryptedFolder, { keys });
  const notes = whole.getFile('notes.txt');
  const ring = library.loadKeysSync(keys);
  const issuer = await library.openLicenseIssuer(model, { keys });
  const weight = file.getSlice('weight');
  const bytes = (): Uint8Array => Uint8Array.from(readFileSync(plain));
  const trust = library.publicJwks(keys);
  const { signal } = new AbortController();
  const policy = { env: ['PATH'], now: () => new Date(), fuel: 400_000_000, evaluate: () => true };
  const texts = { local: 'package model\nallow := true', remote: 'package model' };
  const claims = { customer: 'acme' };

  const opening = { keys, trust, encKid: 'master', signKid: 'signer', allowPlain: false, header: model, license, pin: file.pins(), claims, policy, onEvent: () => undefined, threads: 1, signal }; // prettier-ignore
  const reading = { shared: true, into: new ArrayBuffer(4096), map: false, onProgress: () => undefined };
  const work = { threads: 1, signal, durable: false, onProgress: () => undefined };
  const protect = { encKid: 'master', signKid: 'signer', algorithm: 'aes256gcm', version: 2, chunkSize: 4096, tensors: ['weight'], policy: texts, integrity: 'sha256' }; // prettier-ignore
  const saving = { ...protect, ...work, keys, metadata: { note: 'x' }, transfer: false };
  const verifying = { trust, keys: customer, signKid: 'signer', now: () => new Date(), signal };
  const issuing = { trust, encKid: 'master', signKid: 'signer', signal };
  const terms = { toKid: 'customer', claims, policy: texts, expires: new Date(Date.now() + 1e9), notBefore: new Date(), id: 'id' }; // prettier-ignore
  const to = library.publicJwks(customer);
  const { find, findSync } = { find: () => Promise.resolve(null), findSync: () => null };
  const provider: library.KeyProvider = { name: 'mine', find, findSync };

  const input: Parameter = { name: 'input', good: model };
  const path: Parameter = { name: 'path', good: model };
  const source: Parameter = { name: 'source', good: plain };
  const target: Parameter = { name: 'target', get good() { return join(folder, `written-${written++}.safetensors`); } }; // prettier-ignore
  const name: Parameter = { name: 'name', good: 'weight' };
  const given: Parameter = { name: 'tensors', get good() { return tensors(); } }; // prettier-ignore
  const opens = optionsOf({ keys }, { ...opening, transfer: false });
  const loads = optionsOf({ keys }, { ...opening, ...reading, transfer: false });
  const reads = optionsOf({}, { ...reading, threads: 1, signal });
  const explains = optionsOf({}, { keys, trust, signKid: 'signer', claims, policy, signal, action: 'open', license: { id: 'x', claims, issued_ns: 1n, expires_ns: 2n, not_before_ns: 0n }, tensors: true, showValues: true }); // prettier-ignore
  const names = optionsOf({}, { name: 'mine' });
  const key: Parameter = { name: 'name', good: 'mine' };
  const unregister = (call: (...args: never[]) => unknown) => (...args: never[]) => {
    try {
      return call(...args);
    } finally {
      library.unregisterKeyProvider('mine');
    }
  }; // prettier-ignore
  const registered = (call: (...args: never[]) => unknown) =>
    unregister((...args: never[]) => {
      library.registerKeyProvider(provider);
      return call(...args);
    });
  const of = (call: unknown, ...parameters: Parameter[]): Omit<EntryPoint, 'name'> => ({
    call: call as EntryPoint['call'],
    parameters,
  });
  const bound = (object: object, method: string): unknown =>
    (object as Record<string, (...args: never[]) => unknown>)[method]!.bind(object);
  const several = async (): Promise<Map<string, library.Tensor>> => file.getTensors();
  const read = await several();

  const table: Record<string, Omit<EntryPoint, 'name'>> = {
    safeOpen: of(closing(library.safeOpen), input, opens),
    safeOpenSync: of(closing(library.safeOpenSync), input, opens),
    load: of(library.load, { name: 'input', get good() { return bytes(); } }, optionsOf({}, loads.options!)), // prettier-ignore
    loadSync: of(library.loadSync, { name: 'input', get good() { return bytes(); } }, optionsOf({}, loads.options!)), // prettier-ignore
    loadFile: of(library.loadFile, input, loads),
    loadFileSync: of(library.loadFileSync, input, loads),
    verifyFile: of(library.verifyFile, input, optionsOf({ keys }, { ...opening, transfer: false, onProgress: () => undefined })), // prettier-ignore
    verifyFileSync: of(library.verifyFileSync, input, optionsOf({ keys }, { ...opening, transfer: false, onProgress: () => undefined })), // prettier-ignore
    explainPolicy: of(library.explainPolicy, input, explains),
    explainPolicySync: of(library.explainPolicySync, input, explains),
    inspectFile: of(library.inspectFile, input, optionsOf({}, { header: model })),
    inspectFileSync: of(library.inspectFileSync, input, optionsOf({}, { header: model })),
    save: of(library.save, given, optionsOf({}, saving)),
    saveSync: of(library.saveSync, given, optionsOf({}, saving)),
    saveFile: of(library.saveFile, given, { ...target, name: 'path' }, optionsOf({}, saving)),
    saveFileSync: of(library.saveFileSync, given, { ...target, name: 'path' }, optionsOf({}, saving)),
    encryptFile: of(library.encryptFile, source, target, optionsOf({ keys }, { ...protect, ...work })),
    decryptFile: of(library.decryptFile, { ...source, good: model }, target, optionsOf({ keys }, { ...opening, ...work })), // prettier-ignore
    encryptModel: of(library.encryptModel, { ...source, good: plainFolder }, target, optionsOf({ keys }, { ...protect, ...work, weights: 'plain.safetensors', files: { seal: 'notes.txt' }, id: '00000000-0000-4000-8000-000000000000', dryRun: true })), // prettier-ignore
    decryptModel: of(library.decryptModel, { ...source, good: encryptedFolder }, target, optionsOf({ keys }, { ...opening, ...work, weights: 'plain.safetensors' })), // prettier-ignore
    rewrapFile: of(library.rewrapFile, path, optionsOf({ keys, to: { keys } }, { ...opening, ...work, target: join(folder, 'rewrapped.safetensors'), detached: true, verify: true }, true)), // prettier-ignore
    recoverFile: of(library.recoverFile, path),
    detachHeader: of(library.detachHeader, { ...source, good: model }, target, optionsOf({}, { durable: false })),
    attachHeader: of(library.attachHeader, { name: 'body', good: model }, { name: 'header', good: model }, target, optionsOf({}, work)), // prettier-ignore
    issueLicense: of(library.issueLicense, { name: 'body', good: model }, optionsOf({ keys, to }, { ...issuing, ...terms }, true)), // prettier-ignore
    openLicenseIssuer: of(closing(library.openLicenseIssuer), { name: 'body', good: model }, optionsOf({ keys }, issuing)), // prettier-ignore
    inspectLicense: of(library.inspectLicense, { name: 'license', good: license }),
    verifyLicense: of(library.verifyLicense, { name: 'license', good: license }, optionsOf({ trust }, { ...verifying, body: model })), // prettier-ignore
    exportLicenseKey: of(library.exportLicenseKey, { name: 'license', good: license }, optionsOf({ trust, keys: customer }, verifying)), // prettier-ignore
    generateKeys: of(library.generateKeys, optionsOf({}, { algorithm: 'aes256gcm', encKid: 'a', signKid: 'b', format: 'rfc7517' })), // prettier-ignore
    generateRecipientKeys: of(library.generateRecipientKeys, optionsOf({}, { curve: 'X25519', kid: 'c' })),
    publicJwks: of(library.publicJwks, { name: 'jwks', good: keys }),
    loadKeys: of(closing(library.loadKeys), { name: 'keys', good: keys, optional: true }),
    loadKeysSync: of(closing(library.loadKeysSync), { name: 'keys', good: keys, optional: true }),
    directKeyProvider: of(library.directKeyProvider, { name: 'ring', good: ring }, names),
    fileKeyProvider: of(library.fileKeyProvider, { name: 'paths', good: [join(folder, 'keys.json')] }, names),
    directoryKeyProvider: of(library.directoryKeyProvider, { name: 'path', good: folder }, names),
    httpsKeyProvider: of(closing(library.httpsKeyProvider), { name: 'url', good: 'https://127.0.0.1:1/keys.json' }, optionsOf({}, { ca: 'PEM', headers: { accept: 'x' }, timeoutMs: 10, maxBytes: 1000, ttlMs: 10, name: 'mine' })), // prettier-ignore
    cachedKeyProvider: of(closing(library.cachedKeyProvider), { name: 'provider', good: provider }, optionsOf({}, { ttlMs: 10, maxEntries: 1, name: 'mine' })), // prettier-ignore
    registerKeyProvider: of(unregister(library.registerKeyProvider), { name: 'provider', good: provider }, optionsOf({}, { priority: 1 })), // prettier-ignore
    unregisterKeyProvider: of(registered(library.unregisterKeyProvider), key),
    enableKeyProvider: of(registered(library.enableKeyProvider), key),
    disableKeyProvider: of(registered(library.disableKeyProvider), key),
    listKeyProviders: of(library.listKeyProviders),
    engineInfo: of(library.engineInfo),
    wipeTensors: of(library.wipeTensors, { name: 'tensors', get good() { return new Map(); } }), // prettier-ignore
    wipeTensorsSync: of(library.wipeTensorsSync, { name: 'tensors', get good() { return new Map(); } }), // prettier-ignore
    kmsKeyProvider: of(kms.kmsKeyProvider, optionsOf({ keys: { keys: [] } }, { client: { send: () => null }, clientConfig: {}, encryptionContext: { a: 'b' }, keyId: 'alias/x', timeoutMs: 10, name: 'kms' }, true)), // prettier-ignore
    createKmsKeys: of(kms.createKmsKeys, optionsOf({ keyId: 'alias/x', client: { send: () => Promise.reject(new Error('no')) } }, { encryptionContext: { a: 'b' }, algorithm: 'aes256gcm', encKid: 'a' }, true)), // prettier-ignore
    pkcs11KeyProvider: of(pkcs11.pkcs11KeyProvider, optionsOf({ module: '/no/such/library.so' }, { pin: '1234', tokenLabel: 'token', slot: 0, name: 'token', priority: 1, timeoutMs: 10 }, true)), // prettier-ignore
    'SafeFile.has': of(bound(file, 'has'), name),
    'SafeFile.info': of(bound(file, 'info'), name),
    'SafeFile.getTensor': of(bound(file, 'getTensor'), name, reads),
    'SafeFile.getTensorSync': of(bound(file, 'getTensorSync'), name, reads),
    'SafeFile.getTensors': of(bound(file, 'getTensors'), optionsOf({}, { ...reads.options, names: ['weight'] })),
    'SafeFile.getTensorsSync': of(bound(file, 'getTensorsSync'), optionsOf({}, { ...reads.options, names: ['weight'] })), // prettier-ignore
    'SafeFile.getSlice': of(bound(file, 'getSlice'), name),
    'SafeFile.getFile': of(bound(whole, 'getFile'), { name: 'path', good: 'notes.txt' }),
    'ModelFile.bytes': of(bound(notes, 'bytes'), optionsOf({}, { signal })),
    'ModelFile.bytesSync': of(bound(notes, 'bytesSync'), optionsOf({}, { signal })),
    'ModelFile.text': of(bound(notes, 'text'), optionsOf({}, { signal })),
    'ModelFile.textSync': of(bound(notes, 'textSync'), optionsOf({}, { signal })),
    'ModelFile.stream': of(bound(notes, 'stream'), optionsOf({}, { signal })),
    'ModelFile.read': of(bound(notes, 'read'), { name: 'begin', good: 0 }, { name: 'end', good: 2 }, optionsOf({}, { signal })), // prettier-ignore
    'ModelFile.readSync': of(bound(notes, 'readSync'), { name: 'begin', good: 0 }, { name: 'end', good: 2 }, optionsOf({}, { signal })), // prettier-ignore
    'SafeFile.attach': of(closing(library.SafeFile.attach.bind(library.SafeFile)), { name: 'token', good: file.share() }, optionsOf({}, { threads: 1, onEvent: () => undefined })), // prettier-ignore
    'SafeSlice.read': of(bound(weight, 'read'), { name: 'slice', good: [0, 1], optional: true }, reads),
    'SafeSlice.readSync': of(bound(weight, 'readSync'), { name: 'slice', good: [0, 1], optional: true }, reads),
    'LicenseIssuer.issue': of(bound(issuer, 'issue'), optionsOf({ to }, terms, true)),
  };
  // Methods without arguments, on what is of no use afterwards.
  const bare: [string, object][] = [
    ['SafeFile', file], ['SafeSlice', weight], ['LicenseIssuer', issuer], ['KeyRing', ring], ['Tensor', read.get('weight')!],
  ]; // prettier-ignore
  for (const [type, object] of bare) {
    for (const method of methodsOf(object)) {
      if (!BARE.has(method)) continue;
      table[`${type}.${method}`] = of(() => undefined);
    }
  }
  return Object.entries(table).map(([called, entry]) => ({ name: called, ...entry }));
}

/** Methods that take no argument. */
const BARE: ReadonlySet<string> = new Set([
  'keys', 'offsetKeys', 'files', 'identity', 'parts', 'allowedKeys', 'allowedKeysSync', 'metadata', 'reservedMetadata', 'signers', 'license', 'pins', 'share',
  'close', 'closeNow', 'toJSON', 'toString', 'models', 'dispose', 'wipe', 'toFloat32', 
]); // prettier-ignore

function methodsOf(object: object): string[] {
  const prototype = Object.getPrototypeOf(object) as object;
  return Object.getOwnPropertyNames(prototype).filter((method) => {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, method)!;
    return method !== 'constructor' && typeof descriptor.value === 'function';
  });
}

/** What there is, by the names of the table: the functions of every entry of the package, and the methods of its classes. */
export async function publicFunctions(fixture: Fixture): Promise<string[]> {
  const { model, keys } = fixture;
  const { encryptedFolder } = await makeFolders(fixture);
  const functions = [library, kms, pkcs11].flatMap((module) =>
    Object.entries(module).flatMap(([name, value]) =>
      typeof value === 'function' && !/^[A-Z]/.test(name) ? [name] : [],
    ),
  );
  using file = library.safeOpenSync(model, { keys });
  using issuer = await library.openLicenseIssuer(model, { keys });
  using ring = library.loadKeysSync(keys);
  const objects: [string, object][] = [
    ['SafeFile', file],
    ['SafeSlice', file.getSlice('weight')],
    ['ModelFile', library.safeOpenSync(encryptedFolder, { keys }).getFile('notes.txt')],
    ['Tensor', file.getTensorSync('weight')],
    ['LicenseIssuer', issuer],
    ['KeyRing', ring],
  ];
  const methods = objects.flatMap(([type, object]) => methodsOf(object).map((method) => `${type}.${method}`));
  return [...functions, ...methods, 'SafeFile.attach'];
}

/** Closes what was opened. */
function closing(call: unknown): EntryPoint['call'] {
  const close = (opened: unknown): unknown => {
    const { closeNow, dispose }: { closeNow?: () => void; dispose?: () => void } = opened as {
      closeNow?: () => void;
      dispose?: () => void;
    };
    (closeNow ?? dispose)?.call(opened);
    return null;
  };
  return (...args) => {
    const result: unknown = (call as (...args: never[]) => unknown)(...args);
    return result instanceof Promise ? result.then(close) : close(result);
  };
}

/** What became of a call: an error, or none. A call of the blocking form and a promise are the same here. */
export async function outcomeOf(
  { call }: EntryPoint,
  args: readonly unknown[],
): Promise<{ error?: unknown; result?: unknown }> {
  try {
    return { result: await (call as (...args: unknown[]) => unknown)(...args) };
  } catch (error) {
    return { error };
  }
}
