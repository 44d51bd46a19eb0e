import { CryptoTensorsError, argumentError, quoteInput } from '../errors.js';
import { SEALED_SUFFIX } from '../format/model-identity.js';
import { ownOptions } from '../options.js';
import { option, say } from '../wording.js';
import { compileGlob } from './glob.js';

/** Which files of a model's folder go along, beside its weights, and how: globs over their paths, such as `onnx/*`; `*` also stands for `/`. */
export interface SideFileChoice {
  /** To be stored encrypted. */
  seal?: string | readonly string[];
  /** To be stored as they are, and bound by the signature. */
  plain?: string | readonly string[];
  /** Not to be taken along. */
  leave?: string | readonly string[];
}

/** What becomes of a file. */
export type SideFileFate = 'seal' | 'plain' | 'leave';

/** What is read by people, or by tools that look for it beside the weights. Whatever else there is may be weights, and is sealed. */
const PLAIN_NAMES =
  /(^|\/)([^/]+\.(json|jsonl|txt|md|rst|jinja|yaml|yml|toml|cfg|ini|py|model|tiktoken|vocab|merges|png|jpg|jpeg|svg|gif|webp|pdf)|license[^/]*|notice[^/]*|readme[^/]*|vocab|merges)$/i;
const FATES = ['leave', 'seal', 'plain'] as const;

/**
 * How each side file is to be stored: by the caller's globs, of which `leave` goes before `seal`, and that before `plain`; else text
 * and pictures plain, all others sealed.
 *
 * @throws {CryptoTensorsError} `InvalidOption` for a glob that fits no file; TypeError
 */
export function chooseSideFiles(choice: unknown, names: readonly string[]): Map<string, SideFileFate> {
  const own = ownOptions<SideFileChoice>(choice, FATES, 'options.files', 'options.files');
  const fates = new Map(names.map((name) => [name, defaultFate(name)]));
  // The strongest last, so that it has the last word.
  for (const fate of [...FATES].reverse()) {
    for (const pattern of patternsOf(own[fate], `options.files.${fate}`)) {
      const fits = compileGlob(pattern, `options.files.${fate}`);
      const matching = names.filter((name) => name === pattern || fits(name));
      if (matching.length === 0) {
        throw new CryptoTensorsError(
          'InvalidOption',
          say`${option(`files.${fate}`)}: ${quoteInput(pattern)} fits none of the ${names.length} files beside the weights`,
        );
      }
      for (const name of matching) fates.set(name, fate);
    }
  }
  for (const [name, fate] of fates) if (fate !== 'leave') refuseSealedName(name);
  return fates;
}

function defaultFate(name: string): SideFileFate {
  return PLAIN_NAMES.test(name) ? 'plain' : 'seal';
}

function refuseSealedName(name: string): void {
  if (!name.toLowerCase().endsWith(SEALED_SUFFIX)) return;
  throw new CryptoTensorsError(
    'InvalidOption',
    say`the file ${quoteInput(name)} is called as sealed files are: rename it, or leave it out with ${option('files.leave')}`,
  );
}

function patternsOf(value: unknown, name: string): readonly string[] {
  if (value === undefined) return [];
  const patterns: unknown[] = Array.isArray(value) ? value : [value];
  for (const pattern of patterns) {
    if (typeof pattern !== 'string') throw argumentError(name, 'a glob or a list of globs', pattern);
  }
  return patterns as string[];
}
