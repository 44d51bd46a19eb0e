import { constants, lstatSync } from 'node:fs';
import { lstat, open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { CryptoTensorsError, quotePath } from '../errors.js';
import { runAsync } from '../twin.js';
import { Folder } from './folder.js';
import { FOUND_AS_IT_IS, isLink, openRegular, refuseOther } from './regular-file.js';
import type { Storage, StorageFile } from './storage.js';
import { fileError, isMissing } from './system-error.js';

const { O_RDWR, O_CREAT, O_EXCL } = constants;

/** The files of this machine. Each folder is held from when it is first needed (`Folder`). */
export function openDisk(): Storage {
  const folders = new Map<string, Folder>();

  const folderOf = (path: string): Folder => {
    let folder = folders.get(path);
    if (folder === undefined) {
      folder = Folder.open(path);
      folders.set(path, folder);
    }
    return folder;
  };
  const at = (path: string): string => folderOf(dirname(path)).at(basename(path));
  /** Work of a moment, by the names in one folder. */
  const doing = (what: string, path: string, work: (folder: Folder) => void): Promise<void> =>
    new Promise((resolve) => {
      try {
        work(folderOf(dirname(path)));
      } catch (error) {
        throw fileError(path, what, error);
      }
      resolve();
    });
  const openAs = async (path: string, flags: number): Promise<StorageFile> => {
    const handle = await open(at(path), flags | FOUND_AS_IT_IS, 0o666);
    try {
      const status = await handle.stat({ bigint: true });
      refuseOther(path, status);
      return new DiskFile(path, handle, Number(status.uid), at);
    } catch (error) {
      await handle.close();
      throw error;
    }
  };

  return {
    at,
    create: async (path) => {
      try {
        return await openAs(path, O_RDWR | O_CREAT | O_EXCL);
      } catch (error) {
        throw fileError(path, 'created', error);
      }
    },
    open: async (path) => {
      try {
        // Where links cannot be refused by the opening itself.
        if (process.platform === 'win32') refuseOther(path, await lstat(path, { bigint: true }));
        return await openAs(path, O_RDWR);
      } catch (error) {
        if (isMissing(error)) return null;
        if (isLink(error)) refuseOther(path, lstatSync(at(path), { bigint: true }));
        throw fileError(path, 'opened', error);
      }
    },
    openToRead: async (path) => runAsync(openRegular(path, at(path))),
    link: (from, to) => doing('made', to, (folder) => folder.link(basename(from), basename(to))),
    rename: (from, to) => doing('replaced', to, (folder) => folder.rename(basename(from), basename(to))),
    remove: (path) => doing('removed', path, (folder) => folder.remove(basename(path))),
    syncFolder: async (path) => {
      try {
        await runAsync(folderOf(path).flush());
      } catch (error) {
        throw fileError(path, 'flushed to disk', error);
      }
    },
    list: async (path) => {
      try {
        return await runAsync(folderOf(path).names());
      } catch (error) {
        throw fileError(path, 'read', error);
      }
    },
    close: () => {
      for (const folder of folders.values()) folder.close();
      folders.clear();
    },
  };
}

class DiskFile implements StorageFile {
  readonly owner: number;
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #at: Storage['at'];

  constructor(path: string, handle: FileHandle, owner: number, at: Storage['at']) {
    this.#path = path;
    this.#handle = handle;
    this.owner = owner;
    this.#at = at;
  }

  async read(position: number, length: number): Promise<Uint8Array> {
    const { size } = await this.#doing('read', () => this.#handle.stat());
    const bytes = new Uint8Array(Math.max(0, Math.min(length, size - position)));
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await this.#doing('read', () =>
        this.#handle.read(bytes, filled, bytes.length - filled, position + filled),
      );
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, filled);
  }

  async write(bytes: Uint8Array, position: number): Promise<void> {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await this.#doing('written', () =>
        this.#handle.write(bytes, done, bytes.length - done, position + done),
      );
      if (bytesWritten === 0) throw noProgress(this.#path);
      done += bytesWritten;
    }
  }

  async sync(): Promise<void> {
    await this.#doing('flushed to disk', () => this.#handle.sync());
  }

  async isAt(path: string): Promise<boolean> {
    const own = await this.#handle.stat({ bigint: true });
    const found = await lstat(this.#at(path), { bigint: true }).catch(() => null);
    return found !== null && own.ino === found.ino && own.dev === found.dev;
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }

  async #doing<Result>(what: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      throw fileError(this.#path, what, error);
    }
  }
}

function noProgress(path: string): CryptoTensorsError {
  return new CryptoTensorsError(
    'FileError',
    `${quotePath(path)} could not be written: the volume takes no more bytes`,
    {
      path,
      systemCode: 'ENOSPC',
    },
  );
}
