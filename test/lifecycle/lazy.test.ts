import { execFileSync } from 'node:child_process';
import { lazily } from '#dist/lazy.js';
import { expect, test } from 'vitest';
import { refusal } from '../support/errors.js';

test.each(['EMFILE', 'ENFILE'])(
  'a module that cannot be read for want of descriptors (%s) is told as such',
  async (code) => {
    const load = () => Promise.reject(Object.assign(new Error(`${code}: too many open files`), { code }));
    const error = await refusal('OutOfDescriptors', () => lazily(load));
    expect(error.systemCode).toBe(code);
  },
);

test('any other failure stays what it is, and a module that loads is given', async () => {
  await expect(lazily(() => Promise.reject(new TypeError('broken')))).rejects.toThrow(TypeError);
  expect(await lazily(() => Promise.resolve(7))).toBe(7);
});

test.skipIf(process.platform === 'win32')('descriptors that are really used up', () => {
  const script = `
    import { openSync } from 'node:fs';
    import { getEngine } from '#dist/engine/load.js';
    import { safeOpen, safeOpenSync } from '#dist/index.js';
    import { lazily } from '#dist/lazy.js';
    getEngine();
    try { for (;;) openSync('package.json'); } catch {}
    const told = async (work) => {
      try { await work(); return 'done'; } catch (error) { return error.code + ' ' + error.systemCode; }
    };
    console.log(JSON.stringify([
      await told(() => lazily(() => import('jose'))),
      await told(() => safeOpen('package.json')),
      await told(() => safeOpenSync('package.json')),
    ]));`;
  const shell = 'ulimit -n 512; exec "$0" --input-type=module --eval "$1"';
  const output = execFileSync('/bin/sh', ['-c', shell, process.execPath, script], { encoding: 'utf8' });
  // A file that cannot be opened is a FileError, whatever the system's reason, which is beside it.
  expect(JSON.parse(output)).toEqual(['OutOfDescriptors EMFILE', 'FileError EMFILE', 'FileError EMFILE']);
});
