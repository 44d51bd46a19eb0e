import { mkdirSync, rmSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { CryptoTensorsError, quote, quotePath } from '../errors.js';
import type { Twin } from '../twin.js';
import { flushFolder } from './atomic-write.js';
import { Folder } from './folder.js';
import { fileError, systemCodeOf } from './system-error.js';
import { openTarget, taken } from './target.js';
import type { Target } from './target.js';
import { temporaryName } from './temporary-name.js';

/** Permissions of a folder while it is being filled: nobody else looks in, or puts something in. */
const PRIVATE = 0o700;

/**
 * A folder that is filled beside its target and takes the target's name when it is complete: it is there wholly, or not at all. Made
 * in the order create, fill `path`, `claimTarget`, `release`; `release` removes what took no name.
 */
export class NewFolder {
  /** Where it is filled. */
  readonly path: string;
  readonly #target: Target;
  readonly #name: string;
  readonly #own: Folder;
  #isNamed = false;

  private constructor(target: Target, name: string, own: Folder) {
    this.path = own.path;
    this.#target = target;
    this.#name = name;
    this.#own = own;
  }

  /** @throws {CryptoTensorsError} `FileError`, with `EEXIST` where something stands under the name */
  static create(given: string): NewFolder {
    const target = openTarget(given, { last: 'refuse' });
    try {
      const name = temporaryName(target.name, 'folder');
      mkdirSync(target.folder.at(name), { mode: PRIVATE });
      return new NewFolder(target, name, Folder.open(join(target.folder.path, name)));
    } catch (error) {
      target.folder.close();
      throw fileError(given, 'written', error);
    }
  }

  /** Makes a folder in it, and those above that. @param name relative, with `/` */
  makeFolder(name: string): void {
    const path = join(this.path, name);
    try {
      mkdirSync(path, { recursive: true });
    } catch (error) {
      throw fileError(path, 'written', error);
    }
  }

  /**
   * Takes the target's name if nothing stands under it.
   *
   * @throws {CryptoTensorsError} `FileError`
   */
  *claimTarget(durable: boolean): Twin<void> {
    const { given, folder, name } = this.#target;
    try {
      this.#refuseImpostor(this.#name);
      if (folder.find(name) !== null) throw taken(given);
      this.#own.setMode(this.#usualMode());
      if (durable) yield* this.#own.flush();
      // Of what somebody made there in this moment it replaces an empty folder at the most.
      folder.rename(this.#name, name);
    } catch (error) {
      if (TAKEN.has(systemCodeOf(error) ?? '')) throw taken(given);
      throw fileError(given, 'written', error);
    }
    this.#isNamed = true;
    this.#refuseImpostor(name);
    if (durable) yield* flushFolder(this.#target);
  }

  /** Removes it with all that is in it, unless it took its name. Throws nothing: what brought us here says more. */
  release(): void {
    try {
      if (!this.#isNamed && this.#isAt(this.#name)) {
        rmSync(this.#target.folder.at(this.#name), { recursive: true, force: true });
      }
    } catch {
      // Somebody holds something in it open. It is hidden, and nobody else can look into it.
    } finally {
      this.#own.close();
      this.#target.folder.close();
    }
  }

  /** The permissions that a new folder gets here, by the umask and by the volume: those of one that is made to see. */
  #usualMode(): number {
    const name = temporaryName(this.#target.name, 'folder');
    mkdirSync(this.#own.at(name));
    const { mode } = this.#own.find(name)!;
    rmdirSync(this.#own.at(name));
    return Number(mode & 0o777n);
  }

  #isAt(name: string): boolean {
    const [held, found] = [this.#own.status(), this.#target.folder.find(name)];
    return found !== null && held.dev === found.dev && held.ino === found.ino;
  }

  #refuseImpostor(name: string): void {
    if (this.#isAt(name)) return;
    const { given, folder } = this.#target;
    throw new CryptoTensorsError(
      'FileError',
      `${quotePath(given)} could not be written: somebody else moved the new folder, in ${quote(folder.path)}, while it was being filled. Write to a folder where nobody else can`,
      { path: given },
    );
  }
}

/** What systems say of a name that is taken. */
const TAKEN = new Set(['EEXIST', 'ENOTEMPTY', 'ENOTDIR', 'EISDIR']);
