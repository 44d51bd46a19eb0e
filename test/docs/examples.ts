import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';

/** Runs the code of a page's examples, one after another in one module, and returns what they print. */
export async function runExamples(code: readonly string[], folder: string): Promise<string> {
  // Older versions of Node.js do not know `using`; and the script stands outside of the package.
  const { outputText } = ts.transpileModule(code.join('\n'), {
    compilerOptions: { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext },
  });
  const script = join(folder, 'examples.mjs');
  writeFileSync(script, outputText.replaceAll(`'cryptotensors'`, JSON.stringify(import.meta.resolve('cryptotensors'))));
  const env = { ...process.env, CRYPTOTENSOR_KEYS: '' };
  const { stdout } = await promisify(execFile)(process.execPath, [script], { cwd: folder, env });
  return stdout;
}
