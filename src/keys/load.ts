import { isUint8Array } from 'node:util/types';
import { CryptoTensorsError, argumentError, quote, typeError } from '../errors.js';
import { isDetached } from '../engine/memory.js';
import { detachedError } from '../engine/own.js';
import type { Engine, Secret } from '../engine/types.js';
import { isUrl, resolvePath } from '../path-argument.js';
import { runAsync, runSync } from '../twin.js';
import type { Twin } from '../twin.js';
import type { KeyOrigin } from './jwk-document.js';
import { isJwk, isJwkSet, jwksFromObject } from './jwk-object.js';
import { parseJwks } from './jwk.js';
import { readKeyFile } from './key-file.js';
import { KeyRing, createKeyRing, ringContents } from './keyring.js';
import type { KeysInput } from './keyring.js';
import { checkProvider, configuredProviders } from './providers/registry.js';
import { isKeyProvider } from './providers/types.js';
import type { KeyProvider } from './providers/types.js';
import { secretsOf } from './types.js';
import type { LoadedKeys, MasterKey, RecipientKey, SigningKey } from './types.js';
import { named, say } from '../wording.js';

/**
 * Loads keys into a ring of its own, which the caller disposes. Keys of a `KeyRing` in `input` are used, not copied: they
 * stay that ring's. With no input, the registered providers serve, and `CRYPTOTENSOR_KEYS` among them.
 *
 * @throws TypeError, InvalidKey, FileError, Closed
 */
export function loadKeyRing(input: KeysInput | undefined, engine: Engine): Promise<KeyRing> {
  return runAsync(openKeyRing(input, engine));
}

/** The same, blocking. */
export function loadKeyRingSync(input: KeysInput | undefined, engine: Engine): KeyRing {
  return runSync(openKeyRing(input, engine));
}

/** Both of them. `name` is what the argument is called in messages. */
export function* openKeyRing(input: KeysInput | undefined, engine: Engine, name = 'keys'): Twin<KeyRing> {
  if (input === undefined) return defaultKeyRing();
  const gathered = new Gathered(engine);
  try {
    yield* gather(input, name, gathered);
    return createKeyRing(gathered);
  } catch (error) {
    for (const secret of gathered.owned) secret.dispose();
    throw error;
  }
}

/** Lists in lists. */
const MAX_DEPTH = 16;

function defaultKeyRing(): KeyRing {
  return createKeyRing({
    masterKeys: [],
    signingKeys: [],
    recipientKeys: [],
    providers: configuredProviders(),
    owned: [],
    borrowed: [],
  });
}

class Gathered {
  readonly masterKeys: MasterKey[] = [];
  readonly signingKeys: SigningKey[] = [];
  readonly recipientKeys: RecipientKey[] = [];
  readonly providers: KeyProvider[] = [];
  readonly owned: Secret[] = [];
  readonly borrowed: KeyRing[] = [];

  constructor(readonly engine: Engine) {}

  addText(bytes: Uint8Array, origin: KeyOrigin): void {
    const keys = parseJwks(bytes, this.engine, origin);
    this.#add(keys);
    for (const secret of secretsOf(keys)) this.owned.push(secret);
  }

  /** For text that was made here and is nobody else's. */
  addAndWipe(bytes: Uint8Array, origin: KeyOrigin): void {
    try {
      this.addText(bytes, origin);
    } finally {
      this.engine.wipe(bytes);
    }
  }

  addRing(ring: KeyRing): void {
    const contents = ringContents(ring);
    this.#add(contents);
    for (const provider of contents.providers) this.providers.push(provider);
    this.borrowed.push(ring);
  }

  #add({ masterKeys, signingKeys, recipientKeys }: LoadedKeys): void {
    for (const key of masterKeys) this.masterKeys.push(key);
    for (const key of signingKeys) this.signingKeys.push(key);
    for (const key of recipientKeys) this.recipientKeys.push(key);
  }
}

function* gather(input: unknown, name: string, gathered: Gathered, depth = 0): Twin<void> {
  if (typeof input === 'string' || isUrl(input)) {
    const path = checkKeyPath(input, name);
    const bytes = yield* readKeyFile(path, gathered.engine, { pipes: true });
    gathered.addAndWipe(bytes, { where: quote(path), path });
  } else if (isUint8Array(input)) {
    if (isDetached(input)) throw detachedError('a key text');
    gathered.addText(input, { where: name });
  } else if (input instanceof KeyRing) {
    gathered.addRing(input);
  } else if (Array.isArray(input)) {
    if (depth >= MAX_DEPTH) {
      const found = 'does one of them contain itself?';
      throw new CryptoTensorsError('InvalidOption', `${name} is a list in more than ${MAX_DEPTH} lists: ${found}`);
    }
    for (const [index, item] of input.entries()) yield* gather(item, `${name}[${index}]`, gathered, depth + 1);
  } else if (typeof input === 'object' && input !== null) {
    gatherObject(input, name, gathered);
  } else {
    throw wrongInput(name, input);
  }
}

function gatherObject(input: object, name: string, gathered: Gathered): void {
  if (isJwkSet(input) || isJwk(input)) {
    gathered.addAndWipe(jwksFromObject(input, name), { where: name });
  } else if (isKeyProvider(input)) {
    checkProvider(input, name);
    gathered.providers.push(input);
  } else {
    throw wrongInput(name, input);
  }
}

function checkKeyPath(input: string | URL, name: string): string {
  const text = typeof input === 'string' ? /^\ufeff?\s*(?:[{[]|(-----BEGIN ))/.exec(input) : null;
  if (text !== null) {
    const kind = text[1] === undefined ? 'JSON' : 'PEM';
    throw typeError(
      say`${named(name)} looks like ${kind} text, but a string is taken as a path. Pass ${kind} text as bytes (new TextEncoder().encode(text)) or as the parsed object`,
    );
  }
  return resolvePath(input, name);
}

function wrongInput(name: string, input: unknown): TypeError {
  return argumentError(
    name,
    'a path, a file: URL, a Uint8Array of JSON or PEM text, a JWK, a JWK set, a KeyRing, a KeyProvider or a list of these',
    input,
  );
}
