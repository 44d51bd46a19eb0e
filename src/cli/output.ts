import type { Failure } from './failure.js';
import type { OutputFlags } from './flags.js';
import { withoutSecrets } from './secret-words.js';
import { visibleJson, visibleLines } from './terminal-text.js';

/**
 * Where a command's words go. Standard output carries the result and nothing else: with `--json` exactly one JSON
 * document, also when the work fails. Notes, warnings, errors and progress go to standard error.
 */
export class Output {
  readonly json: boolean;
  readonly quiet: boolean;

  constructor({ json, quiet }: OutputFlags) {
    this.json = json === true;
    this.quiet = quiet === true;
  }

  /** The result: `document` with `--json`, else `lines`, unless the user wants quiet. */
  result(document: Record<string, unknown>, lines: readonly string[]): void {
    if (this.json) print(visibleJson(document));
    else if (!this.quiet) print(lines.join('\n'));
  }

  /** Something that the user should know although the work succeeds. */
  warn(text: string): void {
    if (!this.quiet) complain(`warning: ${visibleLines(withoutSecrets(text))}`);
  }

  failure({ document }: Failure, hint: string | null): void {
    const { code, message } = document.error;
    if (this.json) {
      print(visibleJson(document));
      return;
    }
    complain(`error: ${visibleLines(message)} [${code}]`);
    if (hint !== null) complain(hint);
  }
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}
