import { execFile, execFileSync, spawn } from 'node:child_process';
import { constants, openSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { generateKeys, loadKeys, loadKeysSync, saveFileSync } from 'cryptotensors';
import { MAX_KEY_FILE_BYTES } from '#dist/keys/key-file.js';
import { describe, expect, test } from 'vitest';
import { refusal } from '../support/errors.js';
import { smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const cli = fileURLToPath(import.meta.resolve('#dist/cli/main.js'));
const KEYS = generateKeys();
const keyFile = join(folder, 'keys.json');
writeFileSync(keyFile, JSON.stringify(KEYS));
const model = join(folder, 'model.safetensors');
saveFileSync(smallTensors(), model, { keys: KEYS });
const bash = promisify(execFile);

let pipes = 0;
function makePipe(): string {
  const path = join(folder, `pipe-${pipes++}`);
  execFileSync('mkfifo', [path]);
  // As a shell gives it: a pipe that this process has open. One that only has a name is refused.
  return path;
}

function given(path: string): string {
  return `/proc/self/fd/${openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)}`;
}

describe.skipIf(process.platform !== 'linux')('keys come from a pipe', () => {
  test.each([
    ['a process substitution', `"$0" "$1" verify "$2" --keys <(cat "$3")`],
    ['a slow one', `"$0" "$1" verify "$2" --keys <(sleep 1; cat "$3")`],
    ['in pieces', `"$0" "$1" verify "$2" --keys <(head -c 40 "$3"; sleep 0.3; tail -c +41 "$3")`],
    ['one pipe for several files', `"$0" "$1" verify "$2" "$2" --keys <(cat "$3")`],
    ['one pipe for two flags', `cat "$3" | "$0" "$1" verify "$2" --keys /dev/stdin --trust /dev/stdin`],
    ['standard input', `cat "$3" | "$0" "$1" verify "$2" --keys /dev/stdin`],
    ['standard input that is the file', `"$0" "$1" verify "$2" --keys /dev/stdin < "$3"`],
  ])('%s', async (_, script) => {
    await bash('bash', ['-c', script, process.execPath, cli, model, keyFile]);
  });

  test('a socket, which Node makes of the standard input of its children', async () => {
    const child = spawn(process.execPath, [cli, 'verify', model, '--keys', '/dev/stdin'], {
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin.end(JSON.stringify(KEYS));
    const code = await new Promise((resolve) => child.once('close', resolve));
    expect(code).toBe(0);
  });

  test('in the blocking form as well', () => {
    const path = makePipe();
    spawn('sh', ['-c', 'sleep 0.2; cat "$0" > "$1"', keyFile, path]);
    const ring = loadKeysSync(given(path));
    expect(ring.masterKeys).toHaveLength(1);
    ring.dispose();
  });

  test('no more than the bound, and without waiting for the end', async () => {
    const path = makePipe();
    const child = spawn('sh', ['-c', 'exec yes "{" > "$0"', path]);
    const error = await refusal('FileError', () => loadKeys(given(path)));
    expect(error.message).toContain(`more than the ${MAX_KEY_FILE_BYTES} bytes`);
    child.kill();
  });

  test('one that nobody writes to, or that was closed without a word, is refused after a moment', async () => {
    const path = makePipe();
    expect(await refusal('FileError', () => loadKeys(given(path)))).toMatchObject({ code: 'FileError' });
    spawn('sh', ['-c', ': > "$0"', path]);
    await refusal('FileError', () => loadKeys(given(path)));
  });

  test('the event loop is free meanwhile', async () => {
    const path = makePipe();
    const writer = await open(path, 'r+');
    const loading = loadKeys(given(path));
    await new Promise((resolve) => setTimeout(resolve, 100));
    await writer.write(JSON.stringify(KEYS));
    await writer.close();
    (await loading).dispose();
  });
});
