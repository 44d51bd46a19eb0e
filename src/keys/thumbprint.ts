import type { Engine } from '../engine/types.js';
import type { AgreementCurve } from '../format/vocabulary.js';

/** RFC 7638 thumbprint of an Ed25519 public key (RFC 8037 §2, appendix A.3), base64url: a name that anyone can derive. */
export function ed25519Thumbprint(publicKey: Uint8Array, engine: Engine): string {
  return thumbprint({ crv: 'Ed25519', kty: 'OKP', x: base64Url(publicKey) }, engine);
}

/** The same for a key that licences are issued to. */
export function recipientThumbprint(curve: AgreementCurve, publicKey: Uint8Array, engine: Engine): string {
  if (curve === 'X25519') return thumbprint({ crv: curve, kty: 'OKP', x: base64Url(publicKey) }, engine);
  const half = publicKey.length / 2;
  const [x, y] = [base64Url(publicKey.subarray(0, half)), base64Url(publicKey.subarray(half))];
  return thumbprint({ crv: curve, kty: 'EC', x, y }, engine);
}

/** @param members RFC 7638 §3: the required ones only, in lexicographic order */
function thumbprint(members: Readonly<Record<string, string>>, engine: Engine): string {
  const text = new TextEncoder().encode(JSON.stringify(members));
  return base64Url(engine.digest('sha256', text));
}

function base64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
