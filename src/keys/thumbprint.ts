import type { Engine } from '../engine/types.js';

/** RFC 7638 thumbprint of an Ed25519 public key (RFC 8037 §2, appendix A.3), base64url: a name that anyone can derive. */
export function ed25519Thumbprint(publicKey: Uint8Array, engine: Engine): string {
  const x = Buffer.from(publicKey).toString('base64url');
  // RFC 7638 §3: the required members only, in lexicographic order, without white space.
  const text = JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x });
  return Buffer.from(engine.digest('sha256', new TextEncoder().encode(text))).toString('base64url');
}
