import { CryptoTensorsError } from '../errors.js';
import { encodeBase64 } from '../format/base64.js';
import { encodeCanonical, encodeHeader } from '../format/canonical.js';
import type { HeaderPadding, HeaderTensor } from '../format/canonical.js';
import { encodeCryptoKeys, encodePolicy } from '../format/crypto-metadata.js';
import type { CryptoKeys, KeyReference, PolicyTexts } from '../format/crypto-metadata.js';
import type { Header } from '../format/header.js';
import { encodeModelIdentity } from '../format/model-identity.js';
import type { ModelIdentity } from '../format/model-identity.js';
import { WrappedKeysTemplate } from '../format/wrapped-keys.js';
import type { Twin } from '../twin.js';
import { DATA_ALIGNMENT, HEADER_SLACK } from '../writer/seal.js';
import { Reserved } from '../format/vocabulary.js';
import { withoutPrototype } from '../options.js';

/** Of a header before its data. */
export const FILE_PADDING: HeaderPadding = { align: DATA_ALIGNMENT, slack: HEADER_SLACK };
/** Of a header by itself: as in plain safetensors; nothing depends on it. */
export const DETACHED_PADDING: HeaderPadding = { align: 8 };

/** What takes the place of a header's keys, policy and signature. */
export interface HeaderChange {
  /** The names of the new keys. */
  enc: KeyReference;
  sign: KeyReference;
  /** The DEKs under the new master key, as `Engine.wrapDeks` returns them: in the order of the records. */
  rows: Uint8Array;
  policy: PolicyTexts;
  /** Which model the file belongs to. Default: what the header says. */
  identity?: ModelIdentity | null;
  /** The text of `__license__`, for a header that is a licence. */
  license?: string | undefined;
  /** Ed25519 over the canonical header text. */
  signMessage: (message: Uint8Array) => Twin<Uint8Array>;
  /** How it is padded. Default: as `encryptFile` does it, with slack for later and the data on a page of its own. */
  padding?: HeaderPadding | undefined;
}

/** A verified header, ready to be made anew any number of times: one body, many headers. */
export class HeaderTemplate {
  readonly #keys: CryptoKeys;
  readonly #tensors: readonly HeaderTensor[];
  readonly #metadata: ReadonlyMap<string, string>;
  readonly #encryption: WrappedKeysTemplate;

  /** @throws {CryptoTensorsError} `InvalidOption` for a header that is a licence */
  constructor(header: Header, keys: CryptoKeys) {
    const metadata = header.metadata!;
    if (metadata.has(Reserved.license)) {
      // A copy without it would be free of what it asks for.
      throw new CryptoTensorsError(
        'InvalidOption',
        'the header is a licence, and a licence is not given other keys: that takes the file that its vendor encrypted',
      );
    }
    this.#keys = keys;
    this.#tensors = header.tensors();
    const kept = [...metadata.keys()].filter((key) => !REPLACED.has(key));
    this.#metadata = new Map(kept.map((key) => [key, metadata.get(key)!]));
    this.#encryption = new WrappedKeysTemplate(metadata.get(Reserved.encryption)!, keys.enc.algorithm);
  }

  /**
   * A signed header, from its 8 bytes of length to the data section. All that the change does not name stays the same text:
   * the user's metadata, the tensors, IVs, tags and digests, and `enc.alg`, which the reference compares as text.
   *
   * @throws {CryptoTensorsError} `HeaderTooLarge`, and what signing throws
   */
  *build(change: HeaderChange): Twin<Uint8Array> {
    const {
      enc,
      sign,
      rows,
      policy,
      identity = null,
      license,
      signMessage,
      padding = FILE_PADDING,
    } = withoutPrototype(change);
    const { version, exactChunkSize, enc: old } = this.#keys;
    const metadata = new Map(this.#metadata)
      .set(
        Reserved.cryptoKeys,
        encodeCryptoKeys({
          version,
          chunkSize: exactChunkSize,
          enc: { algorithm: old.algorithm, algText: old.algText, kid: enc.kid, jku: enc.jku },
          sign: { kid: sign.kid, jku: sign.jku },
        }),
      )
      .set(Reserved.encryption, this.#encryption.fill(rows))
      .set(Reserved.policy, encodePolicy(policy));
    if (identity !== null) metadata.set(Reserved.model, encodeModelIdentity(identity));
    if (license !== undefined) metadata.set(Reserved.license, license);
    const signature = yield* signMessage(encodeCanonical({ metadata, tensors: this.#tensors }));
    metadata.set(Reserved.signature, encodeBase64(signature));
    return encodeHeader({ metadata, tensors: this.#tensors }, padding);
  }
}

const REPLACED: ReadonlySet<string> = new Set([
  Reserved.cryptoKeys,
  Reserved.encryption,
  Reserved.policy,
  Reserved.signature,
]);

/** `HeaderTemplate.build`, once. */
export function rewrapHeader(
  { header, encryption }: { header: Header; encryption: { keys: CryptoKeys } },
  change: HeaderChange,
): Twin<Uint8Array> {
  return new HeaderTemplate(header, encryption.keys).build(change);
}
