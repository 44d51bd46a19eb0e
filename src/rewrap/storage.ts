import { open, readFile, rename, stat, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';

/**
 * Everything that a rewrap does to files where they stand, one system call per step. The tests put something else in its place
 * that dies in the middle of a step.
 */
export interface Storage {
  /** Creates a file that was not there (`O_EXCL`). */
  create(path: string): Promise<StorageFile>;
  /** Opens a file that is there, to overwrite parts of it. */
  open(path: string): Promise<StorageFile>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, if it is there. */
  remove(path: string): Promise<void>;
  /** Makes what was created, renamed and removed in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** All of a file; null if it is not there. */
  read(path: string): Promise<Uint8Array | null>;
  /** The first bytes of a file, fewer if it is shorter; null if it is not there. */
  readStart(path: string, length: number): Promise<Uint8Array | null>;
  size(path: string): Promise<number>;
}

export interface StorageFile {
  write(bytes: Uint8Array, position: number): Promise<void>;
  sync(): Promise<void>;
  /** Whether it is still what is found under this path. */
  isAt(path: string): Promise<boolean>;
  close(): Promise<void>;
}

export const disk: Storage = {
  create: async (path) => fileOf(await open(path, 'wx')),
  open: async (path) => fileOf(await open(path, 'r+')),
  rename,
  remove: async (path) => {
    await ifThere(unlink(path));
  },
  syncFolder: async (path) => {
    // Folders cannot be opened on Windows, where changes of them are journalled by the system.
    if (process.platform === 'win32') return;
    await using folder = await open(path, 'r');
    await folder.sync();
  },
  read: (path) => ifThere(readFile(path)),
  readStart: async (path, length) => {
    const handle = await ifThere(open(path, 'r'));
    if (handle === null) return null;
    await using file = handle;
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const { bytesRead } = await file.read(bytes, filled, length - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  },
  size: async (path) => (await stat(path)).size,
};

function fileOf(handle: FileHandle): StorageFile {
  return {
    write: async (bytes, position) => {
      for (let done = 0; done < bytes.length;) {
        const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
        done += bytesWritten;
      }
    },
    sync: () => handle.sync(),
    isAt: async (path) => {
      const [own, found] = [await handle.stat({ bigint: true }), await ifThere(stat(path, { bigint: true }))];
      return found !== null && own.ino === found.ino && own.dev === found.dev;
    },
    close: () => handle.close(),
  };
}

async function ifThere<Result>(work: Promise<Result>): Promise<Result | null> {
  try {
    return await work;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
