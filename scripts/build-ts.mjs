// Compiles src/ into dist/ and copies the assets that the compiler leaves out.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const assets = ['policy/policy.wasm', 'policy/policy.wasm.licenses.txt'];

const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
const { status, error } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.json'], { cwd: root, stdio: 'inherit' });
if (error) throw error;

// Also after a failed compilation, so that whatever was emitted is complete; the failure is still reported.
for (const asset of assets) {
  const target = join(root, 'dist', asset);
  mkdirSync(dirname(target), { recursive: true });
  copyFileSync(join(root, 'src', asset), target);
}
process.exit(status ?? 1);
