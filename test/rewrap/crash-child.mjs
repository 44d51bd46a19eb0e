// @ts-check
// A process that rewraps and dies at it, for scripts/crash-test.mjs. Takes one argument, the task as JSON, and tells on standard
// output what it does: one JSON line.
import { argv, kill, pid, stdout } from 'node:process';
import { rewrap } from '#dist/rewrap/rewrap-file.js';
import { openDisk } from '#dist/files/disk.js';

/** @import { Storage } from '#dist/files/storage.js' */
/** @import { ChildTask } from '../../scripts/crash-test.mjs' */

/** @type {ChildTask} */
const task = JSON.parse(argv[2] ?? '{}');
const { path, keys } = task;
const disk = openDisk();

if (task.kind === 'loop') {
  stdout.write('"ready"\n');
  for (let i = 0; ; i++) {
    const [from, to] = i % 2 === 0 ? keys : [keys[1], keys[0]];
    await rewrap({ path, target: null }, { keys: from, to: { keys: to } }, disk);
  }
} else {
  /** @type {{ name: string, bytes: number }[]} */
  const steps = [];
  await rewrap({ path, target: null }, { keys: keys[0], to: { keys: keys[1] } }, counted(steps, task.death));
  stdout.write(`${JSON.stringify(steps)}\n`);
}

/**
 * The disk, but each step that changes something is counted, and before one of them, or in the middle of it, the process dies.
 *
 * @param {{ name: string, bytes: number }[]} steps
 * @param {{ step: number, bytes: number } | null} death
 * @returns {Storage}
 */
function counted(steps, death) {
  /** @type {<Result>(name: string, work: () => Promise<Result>, bytes?: number, part?: (n: number) => Promise<void>) => Promise<Result>} */
  const step = async (name, work, bytes = 0, part) => {
    steps.push({ name, bytes });
    if (death !== null && steps.length === death.step) {
      if (death.bytes > 0) await part?.(death.bytes);
      kill(pid, 'SIGKILL');
      await new Promise(() => undefined);
    }
    return work();
  };
  /** @param {Promise<import('#dist/files/storage.js').StorageFile>} opened */
  const file = async (opened) => {
    const inner = await opened;
    return {
      /** @type {(bytes: Uint8Array, position: number) => Promise<void>} */
      write: (bytes, position) =>
        step(
          'write',
          () => inner.write(bytes, position),
          bytes.length,
          (n) => inner.write(bytes.subarray(0, n), position),
        ),
      read: (/** @type {number} */ position, /** @type {number} */ length) => inner.read(position, length),
      sync: () => step('sync', () => inner.sync()),
      isAt: (/** @type {string} */ at) => inner.isAt(at),
      close: () => inner.close(),
    };
  };
  return {
    ...disk,
    create: (at) => step('create', () => file(disk.create(at))),
    open: async (at) => {
      const opened = await disk.open(at);
      return opened === null ? null : file(Promise.resolve(opened));
    },
    link: (from, to) => step('link', () => disk.link(from, to)),
    rename: (from, to) => step('rename', () => disk.rename(from, to)),
    remove: (at) => step('remove', () => disk.remove(at)),
    syncFolder: (at) => step('syncFolder', () => disk.syncFolder(at)),
  };
}
