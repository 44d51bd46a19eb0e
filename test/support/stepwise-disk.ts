import { openDisk } from '#dist/files/disk.js';
import type { Storage, StorageFile } from '#dist/files/storage.js';

/** What a disk is about to do; of a write, a way to do half of it first. */
export type DiskStep =
  | { kind: 'create' | 'open' | 'openToRead' | 'link' | 'rename' | 'remove' | 'sync' }
  | { kind: 'write'; writeHalf: () => Promise<void> };

/** A disk that asks before each step. */
export function stepwiseDisk(before: (step: DiskStep) => void | Promise<void>): Storage {
  const disk = openDisk();
  const fileOf = (file: StorageFile): StorageFile => ({
    owner: file.owner,
    read: (position, length) => file.read(position, length),
    write: async (bytes, position) => {
      await before({ kind: 'write', writeHalf: () => file.write(bytes.subarray(0, bytes.length >> 1), position) });
      await file.write(bytes, position);
    },
    sync: async () => {
      await before({ kind: 'sync' });
      await file.sync();
    },
    isAt: (path) => file.isAt(path),
    close: () => file.close(),
  });
  return {
    ...disk,
    create: async (path) => {
      await before({ kind: 'create' });
      return fileOf(await disk.create(path));
    },
    open: async (path) => {
      await before({ kind: 'open' });
      const file = await disk.open(path);
      return file === null ? null : fileOf(file);
    },
    openToRead: async (path) => {
      await before({ kind: 'openToRead' });
      return disk.openToRead(path);
    },
    link: async (from, to) => {
      await before({ kind: 'link' });
      await disk.link(from, to);
    },
    rename: async (from, to) => {
      await before({ kind: 'rename' });
      await disk.rename(from, to);
    },
    remove: async (path) => {
      await before({ kind: 'remove' });
      await disk.remove(path);
    },
  };
}
