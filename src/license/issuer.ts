import { DISPOSE } from '../disposal.js';
import { CryptoTensorsError } from '../errors.js';
import type { PolicyTexts } from '../format/crypto-metadata.js';
import { encodeLicense } from '../format/license.js';
import { getEngine } from '../engine/load.js';
import { AEAD_KEY_BYTES } from '../format/vocabulary.js';
import type { Engine, Secret } from '../engine/types.js';
import { openKeyRing } from '../keys/load.js';
import type { KeyRing } from '../keys/keyring.js';
import { lookUpSigningKey } from '../keys/lookup.js';
import { signMessage } from '../keys/sign.js';
import type { SigningKey } from '../keys/types.js';
import { checkPolicy } from '../policy/evaluate.js';
import { createAccess } from '../open/access.js';
import { resolveModel } from '../model/input.js';
import { readBlob } from '../model/source.js';
import type { OpenInput } from '../model/input.js';
import { bodyId } from '../open/license.js';
import { closeModel } from '../model/model.js';
import { openHeaderOnly } from '../open/open-model.js';
import type { Encryption, Model } from '../model/model.js';
import { DETACHED_PADDING, HeaderTemplate } from '../rewrap/header.js';
import { pickOptions } from '../options.js';
import { NOT_CLONEABLE, notCloneable } from '../not-cloneable.js';
import { runAsync } from '../twin.js';
import type { Twin } from '../twin.js';
import { LICENSE_OPTIONS, ownIssuerOptions, ownLicenseOptions, readTerms } from './options.js';
import type { IssueOptions, LicenseIssuerOptions, LicenseOptions } from './options.js';
import { openRecipient } from './recipient.js';
import { sealKey } from './seal-key.js';

const ID_BYTES = 16;

interface IssuerParts {
  engine: Engine;
  ring: KeyRing;
  signer: SigningKey;
  encryption: Encryption;
  template: HeaderTemplate;
  /** The data keys of the body, concatenated. */
  deks: Secret;
  body: string;
  signal: AbortSignal | undefined;
}

/**
 * Issues licences for one body, whose header is read once. What it holds meanwhile, the body's data keys, is in native memory; dispose
 * it to wipe them. Made by `openLicenseIssuer`.
 */
export class LicenseIssuer implements Disposable {
  /** Id of the body: the same for every header and every licence of it. */
  readonly body: string;
  #parts: IssuerParts | null;
  /** The policy that was found to compile last: mostly all licences have the same. */
  #checkedPolicy: string | null = null;
  /** @internal */
  readonly [NOT_CLONEABLE] = notCloneable('a LicenseIssuer: make one in each thread, or post the licences');

  /** @internal Use `openLicenseIssuer`. */
  constructor(parts: IssuerParts) {
    this.#parts = parts;
    this.body = parts.body;
  }

  /**
   * Issues one licence: the bytes of its file.
   *
   * @throws {CryptoTensorsError} `InvalidOption`; `InvalidKey`, `FileError`, `KeyNotFound`, `KeyRevoked` of the customer's key;
   * `PolicyError` for a policy that could never open anything; `KeyNotFound`, `BadSignature` if the signing key is remote and fails;
   * `HeaderTooLarge`; `Closed`
   */
  async issue(options: LicenseOptions): Promise<Uint8Array> {
    const { engine, encryption, signal } = this.#open();
    const own = ownLicenseOptions(options, 'issue');
    const terms = readTerms(own, () => randomId(engine));
    const policy = { ...encryption.policy, ...own.policy };
    if (own.policy?.local !== undefined && policy.local !== this.#checkedPolicy) {
      await runAsync(checkPolicy(policy.local, 'options.policy.local', { signal }));
      this.#checkedPolicy = policy.local;
    }
    const to = await runAsync(openRecipient(own, engine));
    const { algorithm } = encryption.keys.enc;
    const key = { kid: terms.id, algorithm, secret: engine.randomSecret(AEAD_KEY_BYTES[algorithm]) };
    try {
      const { deks } = this.#open();
      const rows = engine.wrapDeks(algorithm, key.secret, deks);
      const license = encodeLicense(terms, await sealKey(key, to, engine));
      return await runAsync(buildHeader(this.#open(), { kid: terms.id, rows, license, policy }));
    } finally {
      key.secret.dispose();
    }
  }

  /** Wipes the data keys. Idempotent. */
  dispose(): void {
    const parts = this.#parts;
    this.#parts = null;
    parts?.deks.dispose();
    parts?.ring.dispose();
  }

  [DISPOSE](): void {
    this.dispose();
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return `LicenseIssuer { body ${this.body}${this.#parts === null ? ', disposed' : ''} }`;
  }

  toJSON(): { body: string } {
    return { body: this.body };
  }

  #open(): IssuerParts {
    if (this.#parts !== null) return this.#parts;
    throw new CryptoTensorsError('Closed', 'this LicenseIssuer was disposed: open another one');
  }
}

interface Licensed {
  /** Key id of the licence's master key. */
  kid: string;
  /** The data keys under it. */
  rows: Uint8Array;
  /** The text of `__license__`. */
  license: string;
  policy: PolicyTexts;
}

function* buildHeader(parts: IssuerParts, { kid, rows, license, policy }: Licensed): Twin<Uint8Array> {
  const { template, signer, engine, signal } = parts;
  return yield* template.build({
    enc: { kid, jku: null },
    sign: signer,
    rows,
    policy,
    license,
    padding: DETACHED_PADDING,
    signMessage: (message) => signMessage(signer, message, { engine, signal }),
  });
}

/**
 * Opens a body to issue any number of licences for it. Its header is read and verified, its data keys are unwrapped once; no byte of
 * its data is read. Its own policy is not asked: it says who may open the model, and this is whoever holds its master key and signs
 * in the vendor's name.
 *
 * ```ts
 * using issuer = await openLicenseIssuer('model.ct.safetensors', { keys: 'vendor.json' });
 * await writeFile('acme.license', await issuer.issue({ to: 'acme-public.json', expires: new Date('2027-01-01') }));
 * ```
 *
 * @param body the encrypted file, or a detached header of it; path, `file:` URL or bytes
 * @throws {CryptoTensorsError} what `safeOpen` throws but for the policy; `InvalidOption` for a body that is a licensed copy
 */
export async function openLicenseIssuer(body: OpenInput, options: LicenseIssuerOptions): Promise<LicenseIssuer> {
  return runAsync(openIssuer(body, ownIssuerOptions(options, 'openLicenseIssuer')));
}

/**
 * Issues one licence: a small file that opens one body for one customer. For many, `openLicenseIssuer` reads the header once.
 *
 * ```ts
 * const license = await issueLicense('model.ct.safetensors', {
 *   keys: 'vendor.json', to: 'acme-public.json', claims: { customer: 'acme' }, expires: new Date('2027-01-01'),
 * });
 * ```
 *
 * @returns the bytes of the licence's file
 * @throws the same as `openLicenseIssuer` and `LicenseIssuer.issue`
 */
export async function issueLicense(body: OpenInput, options: IssueOptions): Promise<Uint8Array> {
  const own = ownIssuerOptions<IssueOptions>(options, 'issueLicense', LICENSE_OPTIONS);
  const license = ownLicenseOptions(pickOptions(own, LICENSE_OPTIONS), 'issueLicense');
  // Before the body is opened: what is wrong with them shows at once.
  readTerms(license, () => 'checked only');
  const issuer = await runAsync(openIssuer(body, own));
  try {
    return await issuer.issue(license);
  } finally {
    issuer.dispose();
  }
}

function* openIssuer(
  body: OpenInput,
  { keys, trust, encKid, signKid, signal }: LicenseIssuerOptions,
): Twin<LicenseIssuer> {
  const given = resolveModel(body, 'body');
  const input = typeof given === 'string' ? given : yield* readBlob(given, 'body');
  const engine = getEngine();
  const ring = yield* openKeyRing(keys, engine);
  try {
    const signer = yield* lookUpSigningKey(ring, signKid, { engine, signal });
    const access = yield* createAccess({ keys: ring, trust, encKid, signal, policy: { evaluate: () => true } }, engine);
    let model: Model;
    try {
      model = yield* openHeaderOnly(input, engine, access);
    } finally {
      access.dispose();
    }
    try {
      return new LicenseIssuer({ ...takeParts(model), engine, ring, signer, signal });
    } finally {
      closeModel(model);
    }
  } catch (error) {
    ring.dispose();
    throw error;
  }
}

function takeParts({
  engine,
  header,
  encryption,
  table,
}: Model): Pick<IssuerParts, 'encryption' | 'template' | 'deks' | 'body'> {
  if (encryption === null) throw new Error('a plain file was opened although keys are configured');
  return {
    encryption,
    template: new HeaderTemplate(header, encryption.keys),
    body: bodyId(engine, header)!,
    deks: table.exportDeks(),
  };
}

function randomId(engine: Engine): string {
  const secret = engine.randomSecret(ID_BYTES);
  try {
    return Buffer.from(engine.exportSecret(secret)).toString('base64url');
  } finally {
    secret.dispose();
  }
}
