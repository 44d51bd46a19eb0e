import { CryptoTensorsError } from './errors.js';
import { lackOfDescriptors } from './files/descriptors.js';

/**
 * A module that only some need, loaded when it is needed.
 *
 * @throws {CryptoTensorsError} `OutOfDescriptors` where the process or the system has no file descriptor left to read it by;
 * whatever else the loading fails with
 */
export async function lazily<Module>(load: () => Promise<Module>): Promise<Module> {
  try {
    return await load();
  } catch (cause) {
    const code = codeOf(cause);
    if (code === undefined) throw cause;
    throw new CryptoTensorsError(
      'OutOfDescriptors',
      `a part of the program could not be loaded: there is no file descriptor left (${code}). Close files that are no longer needed, or raise the limit (ulimit -n), and start the process anew`,
      { systemCode: code, cause },
    );
  }
}

/** Node.js takes a package whose package.json it has no descriptor to read for one that is not there, and remembers that. */
function codeOf(cause: unknown): 'EMFILE' | 'ENFILE' | undefined {
  const code = (cause as { code?: unknown } | null)?.code;
  if (code === 'EMFILE' || code === 'ENFILE') return code;
  return code === 'ERR_MODULE_NOT_FOUND' ? lackOfDescriptors() : undefined;
}
