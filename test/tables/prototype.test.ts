/** Every option of every public function, and what else may be missing somewhere, set on `Object.prototype`: nobody reads it there. */
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as library from 'cryptotensors';
import { expect, test, vi } from 'vitest';
import { run } from '#dist/cli/run.js';
import { KeyService } from '../support/remote-master.js';
import { temporaryFolder } from '../support/temporary.js';
import { entryPoints, issueLicense, makeFixture, outcomeOf, tensors } from './entry-points.js';
import { readThroughPrototype } from './prototype-probe.js';

const SOURCES = fileURLToPath(new URL('../../src/', import.meta.url));
const folder = temporaryFolder();
const fixture = makeFixture(folder);
await issueLicense(fixture);
const table = await entryPoints(fixture);
const { model, plain, license, keys, customer } = fixture;

/** Of property descriptors: with them on `Object.prototype` nothing works, Node.js neither. */
const OF_THE_LANGUAGE = ['value', 'get', 'set', 'writable', 'configurable', 'enumerable'];

/** Members that may be missing somewhere in this library, by its types; and the options of the table. */
function optionalMembers(): string[] {
  const files = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const declared = files.flatMap((file) =>
    Array.from(readFileSync(join(SOURCES, file), 'utf8').matchAll(/\b([a-zA-Z_$]\w*)\?(?::|\()/g), ([, name]) => name!),
  );
  const options = table.flatMap(({ parameters }) => parameters.flatMap((one) => Object.keys(one.options ?? {})));
  return [...new Set([...declared, ...options])].filter((name) => !OF_THE_LANGUAGE.includes(name));
}

const names = optionalMembers();

test('what may be missing is found', () => {
  for (const name of ['allowPlain', 'header', 'trust', 'exclusive', 'findSync', 'algText', 'into', 'kid']) {
    expect(names).toContain(name);
  }
});

test('the probe sees what reads through the prototype', async () => {
  const options: { allowPlain?: boolean } = {};
  const here = fileURLToPath(new URL('.', import.meta.url));
  expect(await readThroughPrototype(names, () => options.allowPlain, here)).toEqual([
    expect.stringMatching(/^allowPlain in prototype\.test\.ts:\d+$/),
  ]);
  expect(await readThroughPrototype(names, () => ({ allowPlain: true, ...options }).allowPlain, here)).toEqual([]);
});

test.each(table.map((entry) => [entry.name, entry] as const))('%s', async (_, entry) => {
  const needed = (): unknown[] => entry.parameters.map(({ good }) => good);
  const found = await readThroughPrototype(names, () => outcomeOf(entry, needed()));
  for (const [i, { options }] of entry.parameters.entries()) {
    for (const [option, value] of Object.entries(options ?? {})) {
      const args = needed().with(i, { ...(needed()[i] as object), [option]: value });
      found.push(...(await readThroughPrototype(names, () => outcomeOf(entry, args))));
    }
  }
  expect([...new Set(found)]).toEqual([]);
});

const master = keys.keys[0]!;
const signing = keys.keys[1]!;
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64'));
const service = new KeyService();

const refusing = library.saveSync(tensors(), {
  keys,
  policy: { local: 'package model\nallow if input.claims.a == 1' },
});

/** Answers of providers, each of a kind. */
const answers: Readonly<Record<string, () => library.KeyAnswer>> = {
  nothing: () => null,
  jwk: () => master,
  'a set': () => keys,
  text: () => Buffer.from(JSON.stringify(keys)),
  ring: () => library.loadKeysSync(keys),
  'a raw master key': () => ({ key: bytesOf(master.k!) }),
  'a raw seed': () => ({ seed: bytesOf(signing.d!) }),
  'a list': () => [{ key: bytesOf(master.k!) }, { publicKey: bytesOf(signing.x!) }],
};

test.each(Object.entries(answers))('a provider that answers with %s', async (_, answer) => {
  const providers: library.KeyProvider[] = [
    { name: 'a', find: answer },
    { name: 'b', findSync: answer },
  ];
  for (const provider of [...providers, library.cachedKeyProvider(providers[1]!)]) {
    const options = { keys: [provider, keys], trust: [provider, keys] };
    const found = await readThroughPrototype(names, async () => {
      const opened = await library.loadFile(model, options);
      await library.save(opened, { keys: [provider, keys] });
      library.registerKeyProvider({ ...provider, name: 'registered' });
      await library.safeOpen(model).catch(() => undefined);
    });
    library.unregisterKeyProvider('registered');
    expect(found).toEqual([]);
  }
});

test('a master key that stays where it is', async () => {
  const found = await readThroughPrototype(names, async () => {
    const bytes = await library.save(tensors(), { keys: [signing, service.provider] });
    await library.load(bytes, { keys: service.provider, trust: keys });
  });
  expect(found).toEqual([]);
});

test('policies, of tensors too, and an index of shards', async () => {
  const policy = { local: 'package model\nallow := true\nallow_tensor if input.tensor.name == "weight"' };
  const index = join(folder, 'model.safetensors.index.json');
  const found = await readThroughPrototype(names, async () => {
    const bytes = library.saveSync(tensors(), { keys, policy });
    const file = await library.safeOpen(bytes, { keys, claims: { customer: { id: 1 } }, policy: { env: ['PATH'] } });
    await file.getTensor('weight');
    await file.getTensors().catch(() => undefined);
    await library.explainPolicy(bytes, { keys, tensors: true });
    await library.load(refusing, { keys }).catch(() => undefined);
    await library.load(bytes, { keys, policy: { evaluate: () => false } }).catch(() => undefined);
    writeFileSync(join(folder, 'shard.safetensors'), bytes);
    writeFileSync(index, JSON.stringify({ weight_map: { weight: 'shard.safetensors', bias: 'shard.safetensors' } }));
    await library.verifyFile(index, { keys });
    await library.rewrapFile(index, { keys, to: { keys: library.generateKeys() } });
  });
  expect(found).toEqual([]);
});

test('every command', async () => {
  const at = (name: string): string => join(folder, name);
  for (const stream of [process.stdout, process.stderr]) vi.spyOn(stream, 'write').mockReturnValue(true);
  writeFileSync(at('customer.json'), JSON.stringify(customer));
  writeFileSync(at('policy.rego'), 'package model\nallow := true\n');
  writeFileSync(at('cases.json'), JSON.stringify([{ name: 'all', input: {}, expect: 'allow' }]));
  const k = ['-k', at('keys.json')];
  const lines = [
    ['keygen', '-o', at('made.json')],
    ['encrypt', plain, at('encrypted.st'), ...k, '--policy', at('policy.rego')],
    ['decrypt', model, at('decrypted.st'), ...k],
    ['inspect', model, license],
    ['verify', model, ...k],
    ['policy', 'check', model, ...k],
    ['policy', 'test', at('policy.rego'), at('cases.json')],
    ['rewrap', model, ...k, '-n', at('made.json'), '-o', at('rewrapped.st')],
    ['header', 'detach', model, at('header')],
    ['header', 'attach', model, at('header'), at('attached.st')],
    ['license', 'issue', model, at('issued'), ...k, '--to', at('customer.json')],
    ['license', 'show', license],
    ['license', 'verify', license, ...k],
    ['license', 'export-key', license, ...k, '-k', at('customer.json'), '-o', at('exported')],
    ['no-such-command'],
  ];
  const found = new Set<string>();
  try {
    for (const line of lines) {
      for (const json of [[], ['--json']]) {
        for (const read of await readThroughPrototype(names, () => run([...line, ...json]))) found.add(read);
      }
    }
  } finally {
    vi.restoreAllMocks();
  }
  expect([...found]).toEqual([]);
});

/** What became of a call, for comparison: an error's code and words, or the bytes and texts of a result. */
async function told(call: () => unknown): Promise<string> {
  try {
    const result = await call();
    if (result === undefined || result === null || typeof result !== 'object') return String(result);
    if (result instanceof Uint8Array) return createHash('sha256').update(result).digest('hex');
    return result instanceof library.SafeFile ? 'open' : JSON.stringify(result);
  } catch (error) {
    const { code, message } = error as library.CryptoTensorsError;
    return `${code}: ${message.replace(/time [\w:.-]+/, 'time')}`;
  }
}

/** Options of the kind that opens doors, with what each would change; the calls of which it would change the outcome. */
const stripped = library.saveSync(tensors());
const encrypted = readFileSync(model);
const doors: readonly [string, unknown, () => unknown][] = [
  ['allowPlain', true, () => library.loadSync(stripped, { keys })],
  ['trust', library.publicJwks(library.generateKeys()), () => library.loadFileSync(model, { keys })],
  ['keys', keys, () => library.loadFileSync(model, {})],
  ['pin', '0'.repeat(64), () => library.loadFileSync(model, { keys })],
  ['header', plain, () => library.loadFileSync(model, { keys })],
  ['license', license, () => library.loadFileSync(model, { keys })],
  ['claims', { a: 1 }, () => library.loadSync(refusing, { keys })],
  ['a', 1, () => library.loadSync(refusing, { keys, claims: {} })],
  ['evaluate', () => true, () => library.loadSync(refusing, { keys, policy: {} })],
  ['policy', { evaluate: () => true }, () => library.loadSync(refusing, { keys })],
  ['action', 'read', () => library.explainPolicySync(encrypted, { keys }).input.action],
  ['outcome', 'allowed', () => library.loadSync(refusing, { keys })],
  ['ok', true, () => library.loadSync(refusing, { keys })],
  ['href', 'file:///nowhere', () => library.loadFileSync(model, { keys })],
  ['protocol', 'file:', () => library.loadFileSync(model, { keys })],
  ['names', [], () => library.safeOpenSync(model, { keys }).getTensorsSync().size],
  ['map', true, () => library.safeOpenSync(plain).getTensorSync('weight')],
  [
    'into',
    new ArrayBuffer(4096),
    () => library.safeOpenSync(plain).getTensorSync('weight').data.buffer.byteLength >= 4096,
  ],
  ['exclusive', true, () => library.saveFileSync(tensors(), join(folder, 'over.safetensors'))],
  ['mode', 0o777, () => library.saveFileSync(tensors(), join(folder, 'over.safetensors'))],
  ['tensors', ['bias'], () => library.inspectFileSync(library.saveSync(tensors(), { keys })).tensors.map(({ check }) => check)], // prettier-ignore
  ['algorithm', 'aes128gcm', () => library.generateKeys({ encKid: 'a', signKid: 'b' }).keys[0]!.alg],
  ['format', 'rfc7517', () => library.generateKeys().keys[1]!.kty],
  ['find', () => keys, () => library.loadKeysSync({} as never)],
  ['key', new Uint8Array(32), () => library.loadFileSync(model, { keys: { name: 'p', findSync: () => ({ seed: bytesOf(signing.d!) }) }, trust: keys })], // prettier-ignore
  ['unwrap', () => [], () => library.loadFileSync(model, { keys: { name: 'p', findSync: () => ({ key: bytesOf(master.k!) }) }, trust: keys })], // prettier-ignore
  ['state', 'revoked', () => library.loadFileSync(model, { keys: { name: 'p', findSync: () => ({ key: bytesOf(master.k!) }) }, trust: keys })], // prettier-ignore
  ['roles', [], () => library.loadFileSync(model, { keys: { name: 'p', findSync: () => keys }, trust: keys })],
];

test.each(doors)('%s on Object.prototype changes nothing', async (name, value, call) => {
  const before = await told(call);
  Object.defineProperty(Object.prototype, name, { value, writable: true, enumerable: true, configurable: true });
  let after: string;
  try {
    after = await told(call);
  } finally {
    Reflect.deleteProperty(Object.prototype, name);
  }
  expect(after).toBe(before);
});
