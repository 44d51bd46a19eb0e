// Compiles src/ into dist/, adds what the compiler leaves out, and bundles it into lib/, which is what `cryptotensors` means here.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
const bundling = spawnSync(process.execPath, [join(root, 'scripts/build-package.mjs'), '--code-only'], {
  stdio: 'inherit',
});
process.exit(status || (bundling.status ?? 1));

/** The policy engine as a module of text (src/policy/engine-bytes.d.ts says why), and as a file, which is read faster. */
function embedEngine() {
  const folder = join(root, 'dist/policy');
  const wasm = readFileSync(join(root, 'src/policy/policy.wasm'));
  const text = deflateRawSync(wasm, { level: 9 }).toString('base64');
  const file = `policy-${createHash('sha256').update(wasm).digest('hex')}.wasm`;
  const code = `export const COMPRESSED_ENGINE =\n  '${text}';\nexport const ENGINE_FILE = '${file}';\n`;
  for (const name of readdirSync(folder)) if (name.endsWith('.wasm')) rmSync(join(folder, name));
  writeFileSync(join(folder, file), wasm);
  writeFileSync(join(folder, 'engine-bytes.js'), code);
  copyFileSync(join(root, 'src/policy/engine-bytes.d.ts'), join(folder, 'engine-bytes.d.ts'));
}
