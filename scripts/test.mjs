// `npm test`: what CI runs and what a newcomer runs. Extra arguments go to vitest: `npm test -- test/format`.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Runs a command in the project's folder; ends this process with its status if it fails. */
function run(command, args) {
  const { status, signal, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error) throw error;
  if (status !== 0) process.exit(signal === null ? status : 1);
}

const only = process.argv.slice(2);
// Without arguments: everything, the C++ core's own tests first.
if (only.length === 0) run('make', ['-s', '-j2', '-C', 'native/test', 'check']);
run(process.execPath, ['node_modules/vitest/vitest.mjs', 'run', ...only]);
