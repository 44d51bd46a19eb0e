// Compiles src/ into dist/ and adds what the compiler leaves out.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { deflateRawSync } from 'node:zlib';

const root = join(import.meta.dirname, '..');
const assets = ['policy/policy.wasm.licenses.txt'];

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const { status, error } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { cwd: root, stdio: 'inherit' });
if (error) throw error;

// Also after a failed compilation, so that whatever was emitted is complete; the failure is still reported.
for (const asset of assets) {
  const target = join(root, 'dist', asset);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join(root, 'src', asset), target);
}
embedEngine();
process.exit(status ?? 1);

/** The policy engine as a module of text (src/policy/engine-bytes.d.ts says why). */
function embedEngine() {
  const wasm = readFileSync(join(root, 'src/policy/policy.wasm'));
  const text = deflateRawSync(wasm, { level: 9 }).toString('base64');
  writeFileSync(join(root, 'dist/policy/engine-bytes.js'), `export const COMPRESSED_ENGINE =\n  '${text}';\n`);
  copyFileSync(join(root, 'src/policy/engine-bytes.d.ts'), join(root, 'dist/policy/engine-bytes.d.ts'));
}
