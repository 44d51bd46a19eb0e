import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { saveFileSync } from 'cryptotensors';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';
import { runExamples } from './examples.js';

const page = readFileSync(new URL('../../docs/keys.md', import.meta.url), 'utf8');

/** The examples of the page, by what stands behind `ts` in their first line. */
function examples(mark: string): string[] {
  return [...page.matchAll(/^```ts ?(.*)\n([^]*?)^```$/gm)]
    .filter(([, found]) => found === mark)
    .map(([, , code]) => code!);
}

test('the examples of docs/keys.md do what the page says', async () => {
  const folder = temporaryFolder();
  saveFileSync(smallTensors(), join(folder, 'model.safetensors'));
  const code = [...examples('setup'), ...examples('')];
  expect(code.length).toBeGreaterThan(8);
  const stdout = await runExamples(code, folder);
  expect(stdout).toContain('KeyRing (master keys: "model-2026"; signing keys: "acme"; providers: none)');
  expect(stdout).toMatch(/name: 'site-keys', priority: 20[^]*name: 'env', priority: 0/);
});

test('the example with AWS is TypeScript, and imports what there is', async () => {
  const [code] = examples('cloud');
  const { diagnostics } = ts.transpileModule(code!, { reportDiagnostics: true });
  expect(diagnostics).toEqual([]);
  const names = /import \{ (.*) \} from 'cryptotensors\/aws-kms'/.exec(code!)![1]!.split(', ');
  const exported: Record<string, unknown> = await import('cryptotensors/aws-kms');
  for (const name of names) expect(exported[name], name).toBeTypeOf('function');
});
