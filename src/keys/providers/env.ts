import { PROVIDER_PRIORITY } from './types.js';
import type { KeyProvider } from './types.js';

/** Holds a JWK or JWK set as JSON text, as in the reference. Read anew each time a key is needed. */
export const KEYS_VARIABLE = 'CRYPTOTENSOR_KEYS';

/** The built-in provider of last resort. */
export const envKeyProvider: KeyProvider = {
  name: 'env',
  priority: PROVIDER_PRIORITY.env,
  wipeAnswers: true,
  isConfigured: () => readVariable() !== '',
  findSync() {
    const text = readVariable();
    return text === '' ? null : new TextEncoder().encode(text);
  },
};

/** An empty variable is how shells and containers say that it is not set. */
function readVariable(): string {
  return process.env[KEYS_VARIABLE]?.trim() ?? '';
}
