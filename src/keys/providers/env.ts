import { CryptoTensorsError } from '../../errors.js';
import { fromOrigin } from './material.js';
import { PROVIDER_PRIORITY } from './types.js';
import type { KeyProvider } from './types.js';

/** Holds a JWK or JWK set as JSON text, as in the reference. Read anew each time a key is needed. */
const KEYS_VARIABLE = 'CRYPTOTENSOR_KEYS';

const ORIGIN = `the environment variable ${KEYS_VARIABLE}`;

/** The built-in provider of last resort. */
export const envKeyProvider: KeyProvider = {
  name: 'env',
  priority: PROVIDER_PRIORITY.env,
  wipeAnswers: true,
  isConfigured: () => readVariable() !== '',
  findSync() {
    const text = readVariable();
    if (text !== '' && !/^\ufeff?\s*([{[]|-----BEGIN )/.test(text)) throw noKeys();
    return text === '' ? null : fromOrigin(new TextEncoder().encode(text), { where: ORIGIN });
  },
};

/** A path, most often. What it holds is not shown: it may be the bare key. */
function noKeys(): CryptoTensorsError {
  return new CryptoTensorsError(
    'InvalidKey',
    `${ORIGIN} must hold the text of keys, a JWK, a JWK set or PEM, and not the path of a file or anything else`,
  );
}

/** An empty variable is how shells and containers say that it is not set. */
function readVariable(): string {
  return process.env[KEYS_VARIABLE]?.trim() ?? '';
}
