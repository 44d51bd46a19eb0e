import type { RegularFile } from './regular-file.js';

/**
 * Everything that a rewrap does to files where they stand, one system call per step. The tests put something else in its place
 * that dies in the middle of a step. What fails is a `FileError` with the path and `systemCode`.
 */
export interface Storage {
  /**
   * How to get to a file by its folder's descriptor, where the system has that: for others who do something with it (engines).
   * Never for messages.
   */
  at(path: string): string;
  /** Creates a file that was not there (`O_EXCL`). */
  create(path: string): Promise<StorageFile>;
  /** Opens a regular file that is there, to read it and to overwrite parts of it; null if nothing is there. */
  open(path: string): Promise<StorageFile | null>;
  /** The same, only to read it. */
  openToRead(path: string): Promise<RegularFile | null>;
  /** Gives a file a second name, which must not be there. */
  link(from: string, to: string): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Removes a file, if it is there. */
  remove(path: string): Promise<void>;
  /** Makes what was created, linked, renamed and removed in a folder durable. */
  syncFolder(path: string): Promise<void>;
  /** The names in a folder. */
  list(folder: string): Promise<readonly string[]>;
  /** Lets go of the folders. */
  close(): void;
}

export interface StorageFile {
  /** The user whose it is. */
  readonly owner: number;
  /** The bytes from `position`; fewer than `length` where the file ends. */
  read(position: number, length: number): Promise<Uint8Array>;
  write(bytes: Uint8Array, position: number): Promise<void>;
  sync(): Promise<void>;
  /** Whether it is still what is found under this path. */
  isAt(path: string): Promise<boolean>;
  close(): Promise<void>;
}
