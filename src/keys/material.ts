import type { JsonRange } from '../format/json.js';
import type { Engine, Secret } from '../engine/types.js';

/**
 * Decodes the base64 of a JWK member from the document's bytes into a secret. Standard and URL-safe alphabets, padding
 * optional, trailing bits zero (FORMAT.md §3). Null if it is not that.
 */
export function importMember(document: Uint8Array, { start, end }: JsonRange, engine: Engine): Secret | null {
  return engine.importSecretBase64(document.subarray(start, end));
}

/** The same for a public member: its bytes. */
export function decodePublicMember(document: Uint8Array, range: JsonRange, engine: Engine): Uint8Array | null {
  const secret = importMember(document, range, engine);
  if (secret === null) return null;
  try {
    return engine.exportSecret(secret);
  } finally {
    secret.dispose();
  }
}
