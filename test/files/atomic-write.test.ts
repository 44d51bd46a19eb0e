import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { refuseExisting, writeKeyFiles, writeWhole } from '#dist/cli/files.js';
import { getEngine } from '#dist/engine/load.js';
import { writeAtomically } from '#dist/files/atomic-write.js';
import { fileError } from '#dist/files/system-error.js';
import { runSync } from '#dist/twin.js';
import { attachHeader, decryptFile, detachHeader, encryptFile, loadFile, rewrapFile, saveFile } from 'cryptotensors';
import { refusal } from '../support/errors.js';
import { KEYS, saveSmallModel, smallTensors } from '../support/model.js';
import { temporaryFolder } from '../support/temporary.js';

const folder = temporaryFolder();
const isRoot = process.getuid?.() === 0;
const keys = { keys: KEYS };
const sealed = saveSmallModel(folder, 'sealed');
const plain = saveSmallModel(folder, 'plain', { keys: undefined, chunkSize: undefined } as never);
const header = join(folder, 'header');
await detachHeader(sealed, header);
const umask = process.umask(0o022);
afterAll(() => void process.umask(umask));

let count = 0;
function newPath(): string {
  return join(newFolder(), 'target');
}
function newFolder(): string {
  const path = join(folder, `f${count++}`);
  mkdirSync(path);
  return path;
}
const modeOf = (path: string): number => lstatSync(path).mode & 0o7777;

/** Every operation that writes one file, and what it makes it from, if that is a file. */
const operations: [name: string, run: (target: string, source?: string) => Promise<unknown>, from: string | null][] = [
  ['saveFile', (target) => saveFile(smallTensors(), target), null],
  ['encryptFile', (target, source = plain) => encryptFile(source, target, keys), plain],
  ['decryptFile', (target, source = sealed) => decryptFile(source, target, keys), sealed],
  ['detachHeader', (target, source = sealed) => detachHeader(source, target), sealed],
  ['attachHeader', (target, source = sealed) => attachHeader(source, header, target), sealed],
  ['rewrapFile', (target, source = sealed) => rewrapFile(source, { ...keys, to: keys, target }), null],
  [
    'a licence',
    (target) =>
      Promise.resolve().then(() => {
        writeWhole(target, Buffer.from('licence'));
      }),
    null,
  ],
];

describe.each(operations)('%s', (_, run, from) => {
  test.each([0o600, 0o640, 0o664, 0o400])('keeps the permissions %o of what it replaces', async (mode) => {
    const target = newPath();
    writeFileSync(target, 'before');
    chmodSync(target, mode);
    await run(target);
    expect(modeOf(target)).toBe(mode);
    expect(readFileSync(target, 'latin1')).not.toBe('before');
  });

  test('never copies set-user-id bits', async () => {
    const target = newPath();
    writeFileSync(target, 'before');
    chmodSync(target, 0o6755);
    await run(target);
    expect(modeOf(target)).toBe(0o755);
  });

  test.skipIf(!isRoot)('keeps owner and group of what it replaces', async () => {
    const target = newPath();
    writeFileSync(target, 'before');
    chmodSync(target, 0o660);
    chownSync(target, 1234, 5678);
    await run(target);
    expect(statSync(target)).toMatchObject({ uid: 1234, gid: 5678 });
    expect(modeOf(target)).toBe(0o660);
  });

  test.skipIf(from === null)('opens nothing to anybody whom the source is closed to', async () => {
    const source = newPath();
    writeFileSync(source, readFileSync(from!));
    for (const [of, expected] of [
      [0o600, 0o600],
      [0o640, 0o640],
      [0o644, 0o644],
      [0o666, 0o644],
      [0o4755, 0o644],
    ] as const) {
      chmodSync(source, of);
      const target = newPath();
      await run(target, source);
      expect([of, modeOf(target)]).toEqual([of, expected]);
    }
    if (!isRoot) return;
    // What its group may do with it another group may not.
    chmodSync(source, 0o640);
    chownSync(source, 0, 4321);
    const target = newPath();
    await run(target, source);
    expect(modeOf(target)).toBe(0o600);
  });

  test('refuses whatever is no regular file, says what it is and leaves it', async () => {
    const target = newPath();
    const kinds: [make: () => unknown, found: string][] = [
      [() => mkdirSync(target), 'a folder'],
      [() => execFileSync('mkfifo', [target]), 'a pipe'],
    ];
    if (isRoot) {
      kinds.push([() => execFileSync('mknod', [target, 'c', '1', '3']), 'a character device']);
      kinds.push([() => execFileSync('mknod', [target, 'b', '7', '200']), 'a block device']);
    }
    for (const [make, found] of kinds) {
      make();
      const before = lstatSync(target);
      const error = await refusal('FileError', () => run(target));
      expect(error.message).toContain(`is ${found}`);
      expect(error.message).not.toContain('--force');
      expect(lstatSync(target)).toMatchObject({ ino: before.ino, mode: before.mode });
      // Through a link it is none the more a file.
      const link = newPath();
      symlinkSync(target, link);
      expect((await refusal('FileError', () => run(link))).message).toContain(found);
      rmSync(target, { recursive: true });
    }
    const server = createServer().listen(target);
    await once(server, 'listening');
    expect((await refusal('FileError', () => run(target))).message).toContain('a socket');
    server.close();
  });

  test('replaces the file behind a link, and leaves the link', async () => {
    const target = newPath();
    const [store, first] = [newPath(), newPath()];
    writeFileSync(store, 'before');
    symlinkSync(store, first);
    symlinkSync(first, target);
    await run(target);
    expect(readlinkSync(target)).toBe(first);
    expect(readFileSync(store, 'latin1')).not.toBe('before');
    rmSync(store);
    await run(target);
    expect(existsSync(store)).toBe(true);
  });

  test.skipIf(!isRoot)('does not follow a link that another user could have put there', async () => {
    const [theirs, mine] = [newFolder(), newFolder()];
    const [target, victim] = [join(theirs, 'target'), join(mine, 'victim')];
    writeFileSync(victim, 'before');
    symlinkSync(victim, target);
    lchownSync(target, 65534, 65534);
    expect(await refusal('FileError', () => run(target))).toMatchObject({ systemCode: 'ELOOP' });
    // A link of root's in a folder of theirs is theirs as well: they can rename it.
    lchownSync(target, 0, 0);
    chownSync(theirs, 65534, 65534);
    await refusal('FileError', () => run(target));
    // And so is one on the way.
    symlinkSync(mine, join(theirs, 'folder'));
    await refusal('FileError', () => run(join(theirs, 'folder', 'victim')));
    expect(readFileSync(victim, 'latin1')).toBe('before');
    // To where they could write themselves it may lead.
    chownSync(mine, 65534, 65534);
    lchownSync(target, 65534, 65534);
    await run(target);
    expect(readFileSync(victim, 'latin1')).not.toBe('before');
  });

  test('takes names as long as the system takes them, in any script', async () => {
    for (const name of ['模'.repeat(85), 'a'.repeat(255), '😀'.repeat(63)]) {
      const target = join(newFolder(), name);
      await run(target);
      await run(target);
      expect(statSync(target).isFile()).toBe(true);
      expect(readdirSync(join(target, '..'))).toEqual([name]);
    }
  });
});

describe('what leads to a file by another name', () => {
  test('is warned of, and what remains there is named', async () => {
    const target = newPath();
    const other = newPath();
    writeFileSync(target, readFileSync(plain));
    linkSync(target, other);
    const warnings: Error[] = [];
    const listen = (warning: Error): void => void warnings.push(warning);
    process.on('warning', listen);
    const inode = statSync(target).ino;
    await encryptFile(target, target, keys);
    await encryptFile(plain, newPath(), keys);
    await new Promise((resolve) => setImmediate(resolve));
    process.removeListener('warning', listen);
    const own = warnings.filter(({ name }) => name === 'CryptoTensorsWarning');
    expect(own).toHaveLength(1);
    expect(own[0]!.message).toContain(JSON.stringify(target));
    expect(own[0]!.message).toContain('to the plaintext');
    expect(own[0]!.message).toContain(`-inum ${inode}`);
    expect(readFileSync(other)).toEqual(readFileSync(plain));
  });
});

describe('the command line', () => {
  test('proposes --force for files only', () => {
    const [file, link, fifo] = [newPath(), newPath(), newPath()];
    writeFileSync(file, '');
    execFileSync('mkfifo', [fifo]);
    symlinkSync(fifo, link);
    expect(() => refuseExisting(file, 'Use --force')).toThrow(/is already there\. Use --force/);
    for (const path of [fifo, link]) {
      expect(() => refuseExisting(path, 'Use --force')).toThrow(/is a pipe, and only a regular file is ever replaced/);
    }
    symlinkSync(join(folder, 'nowhere'), join(fifo, '..', 'dangling'));
    expect(() => refuseExisting(join(fifo, '..', 'dangling'), 'Use --force')).toThrow(/already there/);
  });
});

describe('several new files', () => {
  test('are written all or none, never over what is there, be it a link that leads nowhere', () => {
    const at = newFolder();
    const [first, second] = [join(at, 'first'), join(at, 'second')];
    const files = [
      { path: first, mode: 0o600, text: 'secret' },
      { path: second, mode: 0o644, text: 'public' },
    ];
    symlinkSync(join(at, 'nowhere'), second);
    expect(() => writeKeyFiles(files)).toThrow(expect.objectContaining({ systemCode: 'EEXIST', path: second }));
    expect(readdirSync(at)).toEqual(['second']);
    rmSync(second);
    writeKeyFiles(files);
    expect([modeOf(first), modeOf(second)]).toEqual([0o600, 0o644]);
    expect(() => writeKeyFiles(files)).toThrow(/already there/);
    expect(() => writeKeyFiles([{ ...files[0]!, path: join(at, 'third') }, files[1]!])).toThrow(/already there/);
    expect(readdirSync(at).sort()).toEqual(['first', 'second']);
  });
});

/** Runs a piece of a program in a process of its own; its last line of output is JSON. */
function child(program: string, { prefix = [], env = {} }: { prefix?: string[]; env?: Record<string, string> } = {}) {
  const imports = `import * as ct from ${JSON.stringify(import.meta.resolve('cryptotensors'))};`;
  const report =
    'const tell = async (work) => { try { await work(); console.log(JSON.stringify("done")); } catch ({ code, systemCode, message, path }) { console.log(JSON.stringify({ code, systemCode, message, path })); } };';
  const words = [...prefix, process.execPath, '--input-type=module', '-e', imports + report + program];
  const out = execFileSync(words[0]!, words.slice(1), { encoding: 'utf8', env: { ...process.env, ...env } });
  return JSON.parse(out.trim()) as string | Record<string, string>;
}

const TENSORS = '{ w: { shape: [2], data: new Float32Array(2) } }';

describe('what the system refuses', () => {
  test.skipIf(!isRoot)('names a folder in which this user can make no files', () => {
    const target = newPath();
    writeFileSync(target, 'before');
    chmodSync(target, 0o666);
    for (let at = target; at !== '/tmp' && at.length > 4; at = join(at, '..')) if (at !== target) chmodSync(at, 0o755);
    const found = child(
      `process.setgid(65534); process.setuid(65534); await tell(() => ct.saveFile(${TENSORS}, ${JSON.stringify(target)}));`,
    );
    expect(found).toMatchObject({ code: 'FileError', systemCode: 'EACCES', path: target });
    expect((found as { message: string }).message).toMatch(
      /make no files in the folder ".*", whatever the permissions/,
    );
    expect(readFileSync(target, 'latin1')).toBe('before');
  });

  test.skipIf(!isRoot || !canMount())('names a file that something is mounted on', () => {
    const [target, other] = [newPath(), newPath()];
    for (const path of [target, other]) writeFileSync(path, 'before');
    const found = child(`await tell(() => ct.saveFile(${TENSORS}, ${JSON.stringify(target)}));`, {
      prefix: ['unshare', '-m', 'sh', '-c', `mount --bind ${other} ${target} && exec "$@"`, 'sh'],
    });
    expect(found).toMatchObject({ code: 'FileError', systemCode: 'EBUSY', path: target });
    expect((found as { message: string }).message).toContain('mounted');
    expect(readdirSync(join(target, '..'))).toEqual(['target']);
  });

  test.skipIf(process.platform !== 'linux')(
    'a folder that cannot be flushed is passed over; one that fails is told of',
    () => {
      const shim = join(folder, 'shim.so');
      const source = join(folder, 'shim.c');
      writeFileSync(source, SHIM);
      execFileSync('cc', ['-shared', '-fPIC', '-o', shim, source, '-ldl']);
      const target = newPath();
      const save = `await tell(() => ct.saveFile(${TENSORS}, ${JSON.stringify(target)}));`;
      for (const errno of ['22', '95']) {
        rmSync(target, { force: true });
        expect(child(save, { env: { LD_PRELOAD: shim, FSYNC_FOLDER: errno } })).toBe('done');
        expect(existsSync(target)).toBe(true);
      }
      rmSync(target);
      const failed = child(save, { env: { LD_PRELOAD: shim, FSYNC_FOLDER: '5' } }) as Record<string, string>;
      expect(failed).toMatchObject({ code: 'FileError', systemCode: 'EIO', path: target });
      expect(failed.message).toContain('is written and stands under its name');
      expect(existsSync(target)).toBe(true);
      expect(readdirSync(join(target, '..'))).toEqual(['target']);
    },
  );

  test('has a name of its own, also where Node knows none', () => {
    const unknown = Object.assign(new Error('Unknown system error -122'), { errno: -122, code: 'Unknown system error -122', syscall: 'write' }); // prettier-ignore
    expect(fileError('/x', 'written', unknown)).toMatchObject({ code: 'FileError', systemCode: 'EDQUOT', path: '/x' });
    expect((fileError('/x', 'written', unknown) as Error).message).toContain('disk quota exceeded (EDQUOT)');
  });

  test('a clean-up that fails hides no cause', () => {
    const path = newPath();
    const write = (): unknown =>
      runSync(
        // eslint-disable-next-line require-yield -- nothing here takes long
        writeAtomically({ path, byteLength: 1, engine: getEngine() }, function* () {
          rmSync(join(path, '..'), { recursive: true });
          throw new Error('the cause');
        }),
      );
    expect(write).toThrow('the cause');
  });
});

function canMount(): boolean {
  try {
    execFileSync('unshare', ['-m', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const SHIM = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
int fsync(int fd) {
  static int (*real)(int);
  struct stat s;
  if (!real) real = dlsym(RTLD_NEXT, "fsync");
  if (fstat(fd, &s) == 0 && S_ISDIR(s.st_mode)) { errno = atoi(getenv("FSYNC_FOLDER")); return -1; }
  return real(fd);
}
`;

describe('what a killed process leaves', () => {
  const writer = fileURLToPath(new URL('writer-child.mjs', import.meta.url));

  test.skipIf(process.platform === 'win32')(
    'is removed by the next one that writes that target, and not before',
    async () => {
      const target = newPath();
      const at = join(target, '..');
      const other = spawn(process.execPath, [writer, target], { stdio: ['ignore', 'pipe', 'inherit'] });
      await once(other.stdout, 'data');
      const [temporary] = readdirSync(at);
      expect(temporary).toMatch(/^\.ct-[0-9a-f]{12}-[0-9a-f]{20}\.tmp$/);
      // Of another target, and of this one in another user's name.
      writeFileSync(join(at, `.ct-000000000000-${'0'.repeat(20)}.tmp`), '');
      if (isRoot) {
        const foreign = join(at, temporary!.replace(/.{20}\.tmp$/, `${'1'.repeat(20)}.tmp`));
        writeFileSync(foreign, '');
        chownSync(foreign, 65534, 65534);
      }
      const before = readdirSync(at);
      await saveFile(smallTensors(), target);
      expect(readdirSync(at).sort()).toEqual([...before, 'target'].sort());
      other.kill('SIGKILL');
      await once(other, 'close');
      await saveFile(smallTensors(), target);
      expect(readdirSync(at).sort()).toEqual([...before.filter((name) => name !== temporary), 'target'].sort());
      expect((await loadFile(target)).size).toBe(6);
    },
  );
});
