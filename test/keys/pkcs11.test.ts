import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import * as pkcs11js from 'pkcs11js';
import {
  encryptFile,
  generateKeys,
  inspectFile,
  publicJwks,
  safeOpen,
  safeOpenSync,
  save,
  verifyFile,
} from 'cryptotensors';
import type { KeysInput, RemoteMasterKey } from 'cryptotensors';
import { pkcs11KeyProvider } from 'cryptotensors/pkcs11';
import type { Pkcs11KeyProvider, Pkcs11Options } from 'cryptotensors/pkcs11';
import { aesGcm, loadLibrary } from '#dist/keys/providers/pkcs11/module.js';
import { ed25519Point, namesOf } from '#dist/keys/providers/pkcs11/objects.js';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { refusal } from '../support/errors.js';
import { bytesOf, saveSmallModel, smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { INSTRUCTIONS, MODULE, Officer, PIN, makeToken, useTokensIn } from './softhsm.js';

const folder = temporaryFolder();
const plain = saveSmallModel(folder, 'plain.safetensors', { keys: undefined, chunkSize: undefined } as never);
const local = generateKeys();
const localSigner = { keys: local.keys.filter(({ kty }) => kty !== 'oct') };
const encrypted = (name: string): string => join(folder, name);

test('SoftHSM is there, or this is no CI', () => {
  expect(MODULE !== null || process.env.CI !== 'true', INSTRUCTIONS).toBe(true);
});
if (MODULE === null) process.stderr.write(`${INSTRUCTIONS}\n`);

describe.skipIf(MODULE === null)('a token', () => {
  let officer: Officer;
  let other: Officer;
  const handles: Record<string, pkcs11js.Handle> = {};
  const open = (options: Partial<Pkcs11Options> = {}): Pkcs11KeyProvider =>
    pkcs11KeyProvider({ module: MODULE!, tokenLabel: 'models', pin: PIN, ...options });

  beforeAll(() => {
    useTokensIn(folder);
    makeToken('models');
    makeToken('other');
    officer = new Officer('models');
    handles.master = officer.makeAesKey({ label: 'master', id: Buffer.from('a1', 'hex') });
    handles.small = officer.makeAesKey({ label: 'small', id: Buffer.from('by id'), bytes: 16 });
    handles.odd = officer.makeAesKey({ label: 'odd', bytes: 24 });
    handles.reader = officer.makeAesKey({ label: 'reader', canEncrypt: false });
    officer.makeAesKey({ label: 'twice', id: Buffer.from('t1') });
    officer.makeAesKey({ label: 'twice', id: Buffer.from('t2') });
    if (officer.hasEd25519()) handles.signer = officer.makeEd25519Keys('signer', Buffer.from('s')).privateKey;
    other = new Officer('other');
    other.makeAesKey({ label: 'master' });
    other.makeEd25519Keys('signer', Buffer.from('s'));
  });

  async function expectSmallModel(path: string, keys: KeysInput, trust?: KeysInput): Promise<void> {
    using file = await safeOpen(path, { keys, ...(trust === undefined ? {} : { trust }) });
    const tensors = await file.getTensors();
    for (const [name, { data }] of smallTensors()) {
      expect(Buffer.compare(tensors.get(name)!.bytes, bytesOf(data)), name).toBe(0);
    }
  }

  test('does not give its keys away', () => {
    for (const name of ['master', 'small', 'reader', 'signer']) {
      expect(officer.attribute(handles[name]!, pkcs11js.CKA_EXTRACTABLE)[0], name).toBe(0);
      expect(officer.attribute(handles[name]!, pkcs11js.CKA_SENSITIVE)[0], name).toBe(1);
      expect(() => officer.attribute(handles[name]!, pkcs11js.CKA_VALUE), name).toThrow('CKR_ATTRIBUTE_SENSITIVE');
    }
  });

  test('encrypts, signs, verifies and decrypts a file', async () => {
    const path = encrypted('both.safetensors');
    using token = open();
    await encryptFile(plain, path, { keys: token, encKid: 'master', signKid: 'signer' });
    await expectSmallModel(path, token);
    expect((await inspectFile(path)).encryption?.keys).toMatchObject({
      enc: { kid: 'master', algorithm: 'aes256gcm' },
      sign: { kid: 'signer' },
    });
    expect((await verifyFile(path, { keys: token })).unprotected).toEqual([]);
  });

  test('goes together with keys from elsewhere', async () => {
    const path = encrypted('mixed.safetensors');
    using token = open();
    await encryptFile(plain, path, { keys: [localSigner, token], encKid: 'small', signKid: localSigner.keys[0]!.kid! });
    await expectSmallModel(path, token, publicJwks(localSigner));
    expect((await inspectFile(path)).encryption?.keys.enc).toMatchObject({ kid: 'small', algorithm: 'aes128gcm' });
  });

  test.each(['by id', Buffer.from('by id').toString('hex')])('finds a key by its id: %s', async (encKid) => {
    const path = encrypted('by-id.safetensors');
    using token = open();
    await encryptFile(plain, path, { keys: [token, localSigner], encKid });
    await expectSmallModel(path, token, publicJwks(localSigner));
    expect((await inspectFile(path)).encryption?.keys.enc.kid).toBe(encKid);
  });

  test('chooses a key that can encrypt where none is named', async () => {
    const bytes = await withToken((token) => save(smallTensors(), { keys: [token, localSigner] }));
    const { enc } = (await inspectFile(bytes)).encryption!.keys;
    expect(['master', 'small']).toContain(enc.kid);
  });

  test('is found by its slot too, or alone', async () => {
    const path = encrypted('slot.safetensors');
    await withToken((token) => encryptFile(plain, path, { keys: [token, localSigner], encKid: 'master' }));
    using token = pkcs11KeyProvider({ module: MODULE!, slot: officer.slot, pin: PIN });
    await expectSmallModel(path, token, publicJwks(localSigner));
    using wrong = open({ slot: other.slot });
    expect(
      (await refusal('KeyUnavailable', () => safeOpen(path, { keys: wrong, trust: localSigner }))).message,
    ).toContain(`there is no token "models" in slot ${other.slot}; present: `);
    using any = pkcs11KeyProvider({ module: MODULE!, pin: PIN });
    expect((await refusal('KeyUnavailable', () => safeOpen(path, { keys: any, trust: localSigner }))).message).toMatch(
      /one initialised token was expected, but there are several; present: .*"other" in slot/,
    );
  });

  test('with other keys of the same names is refused', async () => {
    const path = encrypted('refused.safetensors');
    await withToken((token) => encryptFile(plain, path, { keys: token, encKid: 'master', signKid: 'signer' }));
    using stranger = open({ tokenLabel: 'other' });
    await refusal('BadSignature', () => safeOpen(path, { keys: stranger }));
    using token = open();
    const error = await refusal('KeyUnavailable', () => safeOpen(path, { keys: stranger, trust: token }));
    expect(error.message).toContain('the master key "master": the key provider could not unwrap the data keys with it');
    expect(error.message).toContain('perhaps the file is encrypted for another key of that name');
  });

  test('says what it has not, or has in vain', async () => {
    using token = open();
    const write = (encKid: string): Promise<unknown> => save(smallTensors(), { keys: [token, localSigner], encKid });
    for (const kid of ['missing', 'odd', 'reader']) await refusal('KeyNotFound', () => write(kid));
    expect((await refusal('KeyUnavailable', () => write('twice'))).message).toContain('has 2 keys of one kind');
    await refusal('KeyNotFound', () => save(smallTensors(), { keys: token, encKid: 'master', signKid: 'missing' }));
  });

  test('says when a key is gone', async () => {
    const key = officer.makeAesKey({ label: 'gone' });
    const path = encrypted('gone.safetensors');
    using token = open();
    await encryptFile(plain, path, { keys: [token, localSigner], encKid: 'gone' });
    officer.destroy(key);
    const error = await refusal('KeyNotFound', () => safeOpen(path, { keys: token, trust: localSigner }));
    expect(error.kid).toBe('gone');
  });

  test('cannot serve the Sync forms, which say so', async () => {
    const path = encrypted('sync.safetensors');
    using token = open();
    await encryptFile(plain, path, { keys: [token, localSigner], encKid: 'master' });
    const error = await refusal('KeyUnavailable', () => safeOpenSync(path, { keys: token, trust: localSigner }));
    expect(error.message).toContain('only the functions without Sync');
  });

  test('serves many files at a time', async () => {
    const path = encrypted('many.safetensors');
    using token = open();
    await encryptFile(plain, path, { keys: token, encKid: 'master', signKid: 'signer' });
    await Promise.all(Array.from({ length: 20 }, () => expectSmallModel(path, token)));
  });

  test('wraps a thousand data keys without blocking the event loop', async () => {
    using token = open();
    const tensors = Object.fromEntries(
      Array.from({ length: 1000 }, (_, i) => [`t${i}`, { shape: [1], data: Float32Array.of(i) }]),
    );
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const bytes = await save(tensors, { keys: token, encKid: 'master', signKid: 'signer' });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(5);
    using file = await safeOpen(bytes, { keys: token });
    expect((await file.getTensor('t999')).data).toEqual(Float32Array.of(999));
  });

  test('is opened again when its sessions are gone', async () => {
    const path = encrypted('lost.safetensors');
    using token = open();
    await encryptFile(plain, path, { keys: token, encKid: 'master', signKid: 'signer' });
    officer.closeAllSessions();
    await expectSmallModel(path, token);
    officer = new Officer('models');
  });

  test('is given up after dispose', async () => {
    const path = encrypted('disposed.safetensors');
    const token = open();
    await encryptFile(plain, path, { keys: token, encKid: 'master', signKid: 'signer' });
    const opening = safeOpen(path, { keys: token });
    using early = await opening;
    token.dispose();
    token.dispose();
    // What is open already stays open: its data keys are here.
    expect((await early.getTensor('mask')).bytes).toEqual(Uint8Array.of(1, 0, 1));
    const error = await refusal('KeyUnavailable', () => safeOpen(path, { keys: token }));
    expect(error.message).toContain('was disposed of');
  });

  const deks = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => new Uint8Array(32).fill(i));

  /** The key itself, as the provider answers with it. */
  async function masterKeyOf(token: Pkcs11KeyProvider): Promise<RemoteMasterKey> {
    const selector = { role: 'master', kid: 'master', jku: null, algorithm: null } as const;
    return ((await token.find!(selector, { signal: neverAborted() })) as RemoteMasterKey[])[0]!;
  }

  test('finishes what is under way when it is disposed, and begins nothing more', async () => {
    const token = open();
    const key = await masterKeyOf(token);
    const wrapping = key.wrap!(deks(200), { signal: neverAborted() });
    const waiting = key.wrap!(deks(1), { signal: neverAborted() });
    await nextTurn();
    token.dispose();
    expect(await wrapping).toHaveLength(200);
    await expect(waiting).rejects.toMatchObject({ code: 'Closed' });
  });

  test('stops when it is told to, and goes on with what waits', async () => {
    using token = open();
    const key = await masterKeyOf(token);
    const controller = new AbortController();
    const wrapping = key.wrap!(deks(100_000), { signal: controller.signal });
    const waiting = key.wrap!(deks(2), { signal: neverAborted() });
    await nextTurn();
    controller.abort(new Error('enough'));
    await expect(wrapping).rejects.toThrow('enough');
    const wrapped = await waiting;
    expect(await key.unwrap(wrapped, { signal: neverAborted() })).toEqual(deks(2));
  });

  test('that encrypts with an IV of its own is found out', async () => {
    using token = open();
    const key = await masterKeyOf(token);
    const library = loadLibrary(MODULE!);
    const begin = library.C_EncryptInit.bind(library);
    const replaced = vi.spyOn(library, 'C_EncryptInit').mockImplementation((session, _mechanism, handle) => {
      begin(session, aesGcm(Buffer.alloc(12, 1)), handle);
    });
    try {
      const error = await refusal('KeyUnavailable', () => key.wrap!(deks(3), { signal: neverAborted() }));
      expect(error.message).toContain('the mode in which it chooses IVs itself');
    } finally {
      replaced.mockRestore();
    }
  });

  describe('and its PIN', () => {
    const master = { role: 'master', kid: 'master', jku: null, algorithm: null } as const;

    test('is asked for when it is needed', async () => {
      officer.closeAllSessions();
      let asked = 0;
      const pin = async (): Promise<string> => {
        asked++;
        return Promise.resolve(PIN);
      };
      using token = open({ pin });
      expect(asked).toBe(0);
      await token.find!(master, { signal: neverAborted() });
      await token.find!(master, { signal: neverAborted() });
      expect(asked).toBe(1);
    });

    test('that is wrong is tried once', async () => {
      officer.closeAllSessions();
      const logIn = vi.spyOn(loadLibrary(MODULE!), 'C_Login');
      using token = open({ pin: 'wrong pin' });
      const attempts = [1, 2, 3, 4].map(() => token.find!(master, { signal: neverAborted() }));
      for (const attempt of attempts) {
        await expect(attempt).rejects.toMatchObject({ code: 'KeyUnavailable' });
        await expect(attempt).rejects.toThrow('CKR_PIN_INCORRECT');
      }
      expect(logIn).toHaveBeenCalledTimes(1);
      logIn.mockRestore();
      // A function may have found the right one meanwhile.
      let asked = 0;
      using asking = open({ pin: () => (asked++ === 0 ? 'wrong pin' : PIN) });
      await expect(asking.find!(master, { signal: neverAborted() })).rejects.toThrow('CKR_PIN_INCORRECT');
      expect(await asking.find!(master, { signal: neverAborted() })).toHaveLength(1);
      expect(asked).toBe(2);
    });

    test('is not shown', async () => {
      using token = open();
      await token.find!(master, { signal: neverAborted() });
      const shown = inspect(token, { depth: Infinity, showHidden: true }) + JSON.stringify(token);
      expect(shown).not.toContain('correct horse');
    });

    test('is not needed for what is public', async () => {
      officer.closeAllSessions();
      using token = pkcs11KeyProvider({ module: MODULE!, tokenLabel: 'models' });
      const signal = neverAborted();
      const verifying = await token.find!({ ...master, role: 'verifying', kid: 'signer' }, { signal });
      expect(verifying).toMatchObject([{ kid: 'signer' }]);
      expect(await token.find!({ ...master, role: 'signing', kid: 'signer' }, { signal })).toEqual([]);
      expect(await token.find!(master, { signal })).toEqual([]);
    });
  });

  async function withToken<Result>(work: (token: Pkcs11KeyProvider) => Promise<Result>): Promise<Result> {
    using token = open();
    return await work(token);
  }
});

describe('without what it needs', () => {
  const signal = neverAborted();
  const verifying = { role: 'verifying', kid: 'k', jku: null, algorithm: null } as const;

  test('a library that is missing is named', async () => {
    using token = pkcs11KeyProvider({ module: '/nowhere/token.so' });
    const error = await refusal('KeyUnavailable', () => token.find!(verifying, { signal }));
    expect(error).toMatchObject({ path: '/nowhere/token.so' });
    expect(error.message).toContain('the PKCS#11 library "/nowhere/token.so" does not load');
  });

  test('a package that is missing is named, and how to install it', async () => {
    const copy = join(folder, 'installed');
    mkdirSync(copy);
    cpSync(new URL('../../dist', import.meta.url), join(copy, 'dist'), { recursive: true });
    cpSync(new URL('../../package.json', import.meta.url), join(copy, 'package.json'));
    const url = pathToFileURL(join(copy, 'dist/pkcs11.js')).href;
    const { pkcs11KeyProvider: provider } = (await import(url)) as { pkcs11KeyProvider: typeof pkcs11KeyProvider };
    using token = provider({ module: '/nowhere/token.so' });
    await expect(token.find!(verifying, { signal })).rejects.toMatchObject({ code: 'NativeUnavailable' });
    await expect(token.find!(verifying, { signal })).rejects.toThrow('npm install pkcs11js');
  });

  const wrong: [string, unknown][] = [
    ['nothing', undefined],
    ['a path', '/usr/lib/token.so'],
    ['no module', {}],
    ['an empty module', { module: '' }],
    ['a number for a PIN', { module: 'm', pin: 1234 }],
    ['a label that is none', { module: 'm', tokenLabel: 1 }],
    ['a slot that is text', { module: 'm', slot: '0' }],
    ['an unknown option', { module: 'm', pins: PIN }],
  ];
  test.each(wrong)('%s is a TypeError', (_, options) => {
    expect(() => pkcs11KeyProvider(options as Pkcs11Options)).toThrow(TypeError);
  });

  test('a number out of range is not taken', async () => {
    for (const options of [{ slot: -1 }, { slot: 0.5 }, { timeoutMs: 0 }]) {
      await refusal('InvalidOption', () => pkcs11KeyProvider({ module: 'm', ...options }));
    }
  });
});

test('an Ed25519 point is read in every form that tokens have', () => {
  const key = Buffer.alloc(32, 7);
  for (const prefix of ['', '0420', '032100']) {
    expect(ed25519Point(Buffer.concat([Buffer.from(prefix, 'hex'), key]))).toEqual(new Uint8Array(key));
  }
  for (const prefix of ['04', '0421', '0320', '032101', '04200000']) {
    expect(ed25519Point(Buffer.concat([Buffer.from(prefix, 'hex'), key]))).toBeNull();
  }
  // Ed448.
  expect(ed25519Point(Buffer.concat([Buffer.from('0439', 'hex'), Buffer.alloc(57)]))).toBeNull();
});

test('a key is called by what no other key is called', () => {
  const object = (label: string, id: string) => ({ handle: Buffer.alloc(8), label, id: Buffer.from(id, 'hex') });
  const names = namesOf([object('a', '01'), object('b', '02'), object('b', '03'), object('', '04'), object('', '')]);
  expect(names).toEqual(['a', '02', '03', '04', null]);
  expect(namesOf([object('c', '05'), object('c', '05')])).toEqual([null, null]);
});

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function neverAborted(): AbortSignal {
  return new AbortController().signal;
}
