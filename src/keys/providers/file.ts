import { argumentError, quote } from '../../errors.js';
import type { Engine } from '../../engine/types.js';
import { runAsync, runSync } from '../../twin.js';
import type { Twin } from '../../twin.js';
import { readKeyFile } from '../key-file.js';
import { resolvePath } from '../../path-argument.js';
import { fromOrigin } from './material.js';
import { PROVIDER_PRIORITY } from './types.js';
import type { KeyProvider } from './types.js';

/**
 * A provider over JWK and JWK set files that the caller names, read anew each time a key is needed, so that a file can be
 * replaced while the process runs. Nothing in a model's header adds to these paths.
 */
export function fileKeyProvider(paths: readonly (string | URL)[], engine: Engine, name = 'file'): KeyProvider {
  if (!Array.isArray(paths)) throw argumentError('paths', 'a list of paths', paths);
  const files = paths.map((path: string | URL, index) => resolvePath(path, `paths[${index}]`));
  return {
    name,
    priority: PROVIDER_PRIORITY.file,
    wipeAnswers: true,
    isConfigured: () => files.length > 0,
    find: () => runAsync(readAll(files, engine)),
    findSync: () => runSync(readAll(files, engine)),
  };
}

function* readAll(files: readonly string[], engine: Engine): Twin<Uint8Array[]> {
  const texts: Uint8Array[] = [];
  try {
    for (const path of files) {
      texts.push(fromOrigin(yield* readKeyFile(path, engine), { where: quote(path), path }));
    }
    return texts;
  } catch (error) {
    for (const text of texts) engine.wipe(text);
    throw error;
  }
}
