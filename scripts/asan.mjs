// Builds the addon with AddressSanitizer in a folder of its own and runs the tests of native memory under it.
//
//   node scripts/asan.mjs [path of a Node.js binary ...] [-- files for vitest ...]
//
// Linux with gcc. The project must have been built; its own build is left alone.
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const separator = process.argv.indexOf('--');
const binaries = process.argv.slice(2, separator < 0 ? undefined : separator);
const tests =
  separator < 0
    ? ['test/conformance', 'test/engine', 'test/reader', 'test/writer', 'test/lifecycle', 'test/attacks']
    : process.argv.slice(separator + 1);

const folder = mkdtempSync(join(tmpdir(), 'cryptotensors-asan-'));
try {
  for (const name of [
    'binding.gyp',
    'package.json',
    'tsconfig.json',
    'vitest.config.ts',
    'native',
    'dist',
    'test',
    'src',
  ]) {
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'));
  build();
  for (const node of binaries.length > 0 ? binaries : [process.execPath]) run(node);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function build() {
  const flags = '-fsanitize=address -fno-omit-frame-pointer -g -O1 -U_FORTIFY_SOURCE';
  const nodedir = dirname(dirname(process.execPath));
  execFileSync(
    process.execPath,
    [join(root, 'node_modules/node-gyp/bin/node-gyp.js'), 'rebuild', '-j', '2', `--nodedir=${nodedir}`],
    {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
      env: { ...process.env, CFLAGS: flags, CXXFLAGS: flags, LDFLAGS: '-fsanitize=address' },
    },
  );
}

function run(node) {
  const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
  console.log(`AddressSanitizer, Node.js ${version}`);
  const library = execFileSync('gcc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim();
  const { status } = spawnSync(node, ['node_modules/vitest/vitest.mjs', 'run', '--pool=forks', ...tests], {
    cwd: folder,
    stdio: 'inherit',
    env: { ...process.env, LD_PRELOAD: library, ASAN_OPTIONS: 'detect_leaks=0:halt_on_error=1' },
  });
  if (status !== 0) process.exitCode = 1;
}
