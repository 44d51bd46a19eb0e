import { execFileSync, spawn } from 'node:child_process';
import { closeSync, constants, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readBounded } from '#dist/files/read-bounded.js';
import type { BoundedRead } from '#dist/files/read-bounded.js';
import { runAsync, runSync } from '#dist/twin.js';
import { refusal } from '../support/errors.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const file = join(folder, 'file');
writeFileSync(file, 'content');

const forms: [string, (path: string, options: BoundedRead) => Promise<Uint8Array>][] = [
  ['blocking', (path, options) => Promise.resolve().then(() => runSync(readBounded(path, options)))],
  ['awaiting', (path, options) => runAsync(readBounded(path, options))],
];

describe.each(forms)('a bounded read, %s', (form, read) => {
  test('gives all of a regular file in memory of its own', async () => {
    const bytes = await read(file, { limit: 7 });
    expect(Buffer.from(bytes).toString()).toBe('content');
    expect(bytes.buffer.byteLength).toBe(7);
  });

  test('refuses what is longer', async () => {
    const error = await refusal('FileError', () => read(file, { limit: 6, what: 'key file', advice: 'is it one?' }));
    expect(error).toMatchObject({ path: file, found: '7 bytes' });
    expect(error.message).toMatch(/^key file ".*" has 7 bytes, but at most 6 are read: is it one\?$/);
  });

  test('refuses whatever is no regular file, without waiting for it', async () => {
    const at = join(folder, form);
    mkdirSync(at);
    const fifo = join(at, 'fifo');
    execFileSync('mkfifo', [fifo]);
    expect((await refusal('FileError', () => read(fifo, { limit: 10 }))).message).toContain('is a pipe');
    expect((await refusal('FileError', () => read(at, { limit: 10 }))).message).toContain('is a folder');
    expect((await refusal('FileError', () => read('/dev/zero', { limit: 10 }))).message).toContain(
      'is a character device',
    );
    expect((await refusal('FileError', () => read('/dev/zero', { limit: 10, pipes: true }))).message).toContain(
      'device',
    );
  });

  test('follows a link, unless asked not to', async () => {
    const link = join(folder, `link-${form}`);
    symlinkSync(file, link);
    expect(await read(link, { limit: 7 })).toHaveLength(7);
    expect(await refusal('FileError', () => read(link, { limit: 7, links: 'refuse' }))).toMatchObject({ systemCode: 'ELOOP', path: link }); // prettier-ignore
    expect(await refusal('FileError', () => read(join(folder, 'nope'), { limit: 7 }))).toMatchObject({
      systemCode: 'ENOENT',
    });
  });

  test('reads a pipe that it was given to its end where that is asked for, and no further than the limit', async () => {
    const fifo = join(folder, `fifo-${form}`);
    execFileSync('mkfifo', [fifo]);
    // So that it has a name as `<(…)` has one.
    const descriptor = openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK);
    const given = `/dev/fd/${descriptor}`;
    const fill = (bytes: number): void => void spawn('sh', ['-c', `head -c ${bytes} /dev/zero > ${fifo}`]);
    fill(200_000);
    expect(await read(given, { limit: 200_000, pipes: true })).toHaveLength(200_000);
    fill(200_001);
    const wiped: number[] = [];
    await refusal('FileError', () =>
      read(given, { limit: 200_000, pipes: true, wipe: (bytes) => void wiped.push(bytes.length) }),
    );
    expect(wiped.at(-1)).toBe(200_001);
    expect((await refusal('FileError', () => read(given, { limit: 10 }))).message).toContain('is a pipe');
    expect((await refusal('FileError', () => read(fifo, { limit: 10, pipes: true }))).message).toContain('is a pipe');
    closeSync(descriptor);
  });
});
