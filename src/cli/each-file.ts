import { AbortError } from '../errors.js';
import { ResultExit } from './cli-error.js';
import { describeFailure } from './failure.js';
import { withoutSecrets } from './secret-words.js';
import type { Failure } from './failure.js';
import type { Output } from './output.js';
import { sourceOf } from './paths.js';

/** What a command found out about one file. */
export interface FileResult {
  document: Record<string, unknown>;
  lines: readonly string[];
}

/**
 * Does the same for each of several files and prints what was found: with `--json` as `{ "files": [...] }`. A file that is refused
 * does not keep the others from being looked at; the exit code is that of the first refusal.
 */
export async function forEachFile(
  paths: readonly string[],
  output: Output,
  work: (path: string) => Promise<FileResult>,
): Promise<void> {
  for (const path of paths) sourceOf(path);
  if (paths.length === 1) {
    const { document, lines } = await work(paths[0]!);
    output.result({ files: [document] }, lines);
    return;
  }
  const documents: Record<string, unknown>[] = [];
  let first: Failure | undefined;
  for (const [i, path] of paths.entries()) {
    try {
      const { document, lines } = await work(path);
      documents.push(document);
      if (!output.json) output.result({}, i === 0 ? lines : ['', ...lines]);
    } catch (error) {
      // Whoever interrupts means all of the work.
      if (error instanceof AbortError) throw error;
      const failure = describeFailure(error);
      first ??= failure;
      documents.push({ path: withoutSecrets(path), ...failure.document });
      if (!output.json) output.failure(failure, null);
    }
  }
  if (output.json) output.result({ files: documents, ...first?.document }, []);
  if (first !== undefined) throw new ResultExit(first.exitCode);
}
