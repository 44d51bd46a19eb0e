/**
 * What somebody who can rewrite a file can make of it. Shares no code with the library: headers are taken apart by JSON.parse,
 * put together again as the format says (FORMAT.md §2), and signed by node:crypto with whatever key the attacker has.
 */
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto';
import type { Jwk } from 'cryptotensors';

export interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** The parts of `__crypto_keys__` that attacks change. */
export interface CryptoKeysDocument {
  version: string;
  chunk_size?: number;
  enc: Record<string, string>;
  sign: Record<string, string>;
}

export type Records = Record<string, Record<string, string>>;

/** A file taken apart, to be changed and put together again. */
export class Forgery {
  readonly metadata: Map<string, string>;
  readonly tensors: Map<string, Entry>;
  data: Uint8Array;

  constructor(file: Uint8Array) {
    const length = Number(Buffer.from(file.buffer, file.byteOffset).readBigUInt64LE());
    const text = Buffer.from(file.subarray(8, 8 + length)).toString();
    const { __metadata__: metadata, ...tensors } = JSON.parse(text) as Record<string, unknown>;
    this.metadata = new Map(Object.entries(metadata as Record<string, string>));
    this.tensors = new Map(Object.entries(tensors as Record<string, Entry>));
    this.data = Uint8Array.from(file.subarray(8 + length));
  }

  /** Changes one of the JSON documents in the metadata. */
  // Callers say what is in the document: the type parameter is a cast with a name.
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
  edit<Document>(key: string, change: (document: Document) => void): this {
    const document = JSON.parse(this.metadata.get(key)!) as Document;
    change(document);
    this.metadata.set(key, JSON.stringify(document));
    return this;
  }

  /** Takes metadata away. */
  drop(...keys: readonly string[]): this {
    for (const key of keys) this.metadata.delete(key);
    return this;
  }

  /** Flips a bit of a tensor's stored bytes. */
  flip(tensor: string, byte = 0): this {
    const at = this.tensors.get(tensor)!.data_offsets[0] + byte;
    this.data[at] = this.data[at]! ^ 1;
    return this;
  }

  /** Signs what the header says now. */
  sign(key: Jwk): this {
    this.metadata.delete('__signature__');
    const text = this.#text();
    this.metadata.set('__signature__', sign(null, Buffer.from(text), privateKey(key)).toString('base64'));
    return this;
  }

  bytes(): Uint8Array {
    const text = Buffer.from(this.#text());
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return Uint8Array.from(Buffer.concat([length, text, this.data]));
  }

  /** Canonical: metadata sorted, then the tensors in the order of their data. */
  #text(): string {
    const metadata = Object.fromEntries([...this.metadata].sort(([a], [b]) => (a < b ? -1 : 1)));
    const tensors = [...this.tensors]
      .sort(([, a], [, b]) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1])
      .map(([name, { dtype, shape, data_offsets }]) => [name, { dtype, shape, data_offsets }]);
    return JSON.stringify({ __metadata__: metadata, ...(Object.fromEntries(tensors) as object) });
  }
}

/** An Ed25519 key pair of the attacker's own, under a name of the attacker's choice. */
export function attackerKey(kid: string): Jwk {
  const { x, d } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const standard = (text: string): string => Buffer.from(text, 'base64url').toString('base64');
  return { kty: 'okp', alg: 'ed25519', kid, x: standard(x!), d: standard(d!) };
}

function privateKey({ x, d }: Jwk) {
  const url = (text: string): string => Buffer.from(text, 'base64').toString('base64url');
  return createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', x: url(x!), d: url(d!) }, format: 'jwk' });
}
