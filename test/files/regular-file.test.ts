import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openRegular } from '#dist/files/regular-file.js';
import { realPath, statusOf } from '#dist/files/status.js';
import { runAsync, runSync } from '#dist/twin.js';
import type { Twin } from '#dist/twin.js';
import { temporaryFolder } from '../support/temporary.js';

/** Each pair of a blocking and an awaiting step, with the same faults: both give the same answer, or the same error. */
const folder = temporaryFolder();
const file = join(folder, 'file');
writeFileSync(file, 'abcdefgh');
symlinkSync('file', join(folder, 'link'));
symlinkSync('loop', join(folder, 'loop'));
symlinkSync('/dev/zero', join(folder, 'endless'));
mkdirSync(join(folder, 'folder'));
if (process.platform !== 'win32') spawnSync('mkfifo', [join(folder, 'pipe')]);

const PATHS = ['file', 'none', 'link', 'loop', 'endless', 'folder', 'pipe', 'file/part', 'x'.repeat(300), 'nul\0'];

interface Answer {
  value?: unknown;
  error?: { code: unknown; path: unknown; systemCode: unknown; message: string };
}

async function answerOf(work: () => unknown): Promise<Answer> {
  try {
    return { value: await work() };
  } catch (error) {
    const { code, path, systemCode, message } = error as Record<'code' | 'path' | 'systemCode', unknown> & Error;
    return { error: { code, path, systemCode, message } };
  }
}

const PORTS: Record<string, (path: string) => Twin<unknown>> = {
  *openRegular(path) {
    const found = yield* openRegular(path);
    if (found === null) return null;
    try {
      const parts = [yield* found.read(0, 3), yield* found.read(6, 100), yield* found.read(100, 1)];
      return [found.size, ...parts.map((part) => Buffer.from(part).toString()), yield* found.isAt(path)];
    } finally {
      found.close();
    }
  },
  realPath: (path) => realPath(path),
  *statusOf(path) {
    return (yield* statusOf(path))?.ino ?? null;
  },
};

describe.skipIf(process.platform === 'win32').each(Object.keys(PORTS))(
  '%s answers alike, blocking and awaiting',
  (name) => {
    test.each(PATHS)('for %j', async (last) => {
      const path = join(folder, last);
      const blocking = await answerOf(() => runSync(PORTS[name]!(path)));
      const awaiting = await answerOf(() => runAsync(PORTS[name]!(path)));
      // The system's calls have other names in the two forms of Node's own complaints of an argument.
      expect(awaiting).toEqual(blocking);
      if (blocking.error !== undefined && !last.includes('\0')) {
        expect(blocking.error).toMatchObject({ code: 'FileError', path });
      }
    });
  },
);

describe.each(['blocking', 'awaiting'])('a regular file, %s', (form) => {
  const run = async <Result>(twin: Twin<Result>): Promise<Result> =>
    form === 'blocking' ? runSync(twin) : runAsync(twin);

  test('that is cut while it is open gives what is left', async () => {
    const path = join(folder, `cut-${form}`);
    writeFileSync(path, 'abcdefgh');
    const found = (await run(openRegular(path)))!;
    truncateSync(path, 4);
    expect(Buffer.from(await run(found.read(2, 6))).toString()).toBe('cd');
    found.close();
  });

  test('whose descriptor fails is a FileError with the path', async () => {
    const found = (await run(openRegular(file)))!;
    found.close();
    // Nobody else may get the number of the descriptor meanwhile.
    const taken = openSync(join(folder, 'folder'), 'r');
    await expect(run(found.read(0, 1))).rejects.toMatchObject({ code: 'FileError', path: file });
    closeSync(taken);
  });

  test.skipIf(process.platform === 'win32')('is never a link, a pipe, a device or a folder', async () => {
    for (const [last, kind] of [
      ['link', 'a symbolic link'],
      ['endless', 'a symbolic link'],
      ['pipe', 'a pipe'],
      ['folder', 'a folder'],
    ] as const) {
      await expect(run(openRegular(join(folder, last)))).rejects.toThrow(kind);
    }
    await expect(run(openRegular('/dev/null'))).rejects.toThrow('a character device');
    expect(await run(openRegular(join(folder, 'none')))).toBeNull();
  });
});
