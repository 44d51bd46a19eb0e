import { CryptoTensorsError, quote } from '../errors.js';
import type { Engine, FileStatus, Sink } from '../engine/types.js';
import { fileStatusOf, isSameFile } from './status.js';
import { fileError, systemCodeOf } from './system-error.js';
import { taken } from './target.js';
import type { Target } from './target.js';
import { temporaryName } from './temporary-name.js';
import type { TemporaryKind } from './temporary-name.js';
import { withoutPrototype } from '../options.js';

/** So many names that nobody can foresee are not taken by chance. */
const MAX_NAMES = 16;

/**
 * A file that is made beside its target and takes the target's name when it is complete. All that is done to it is done by the
 * descriptor of its sink; only taking the name goes by names, in the folder's descriptor, and afterwards what stands under the
 * name must be this file.
 *
 * Made in the order create, fill `sink`, `replaceTarget` or `claimTarget`, `release`; `release` removes what took no name.
 */
export class TemporaryFile {
  readonly target: Target;
  /** In the target's folder. */
  readonly name: string;
  readonly sink: Sink;
  /** What it is known by; null where the system does not tell. */
  readonly #identity: FileStatus | null;
  readonly #engine: Engine;
  #isNamed = false;

  private constructor(target: Target, engine: Engine, name: string, sink: Sink) {
    this.target = target;
    this.#engine = engine;
    this.name = name;
    this.sink = sink;
    this.#identity = sink.status();
  }

  /**
   * @param mode as in open(2): the umask applies
   * @throws {CryptoTensorsError} `FileError`
   */
  static create(target: Target, engine: Engine, options: { mode: number; kind?: TemporaryKind }): TemporaryFile {
    const { mode, kind } = withoutPrototype(options);
    for (let attempt = 1; ; attempt++) {
      const name = temporaryName(target.name, kind ?? (engine.locksFiles ? 'tmp' : 'part'));
      try {
        return new TemporaryFile(target, engine, name, engine.createFile(target.folder.at(name), mode));
      } catch (error) {
        if (systemCodeOf(error) === 'EEXIST' && attempt < MAX_NAMES) continue;
        throw fileError(target.given, 'written', error, adviceOnFolder(error, target));
      }
    }
  }

  /**
   * Takes the target's name, whatever stands under it.
   *
   * @throws {CryptoTensorsError} `FileError`; the target is as it was, unless the error says that somebody else put something there
   */
  replaceTarget(): void {
    const { folder, name, given } = this.target;
    this.#refuseImpostor(this.name, 'Nothing was replaced');
    try {
      folder.rename(this.name, name);
    } catch (error) {
      throw fileError(given, 'replaced', error, adviceOnTarget(error, this.target));
    }
    this.#isNamed = true;
    this.#refuseImpostor(name, 'What was written is not there any more');
  }

  /**
   * Takes the target's name if nothing stands under it.
   *
   * @throws {CryptoTensorsError} `FileError`, with `EEXIST` if the name is taken
   */
  claimTarget(): void {
    const { folder, name, given } = this.target;
    this.#refuseImpostor(this.name, 'Nothing was written');
    try {
      folder.link(this.name, name);
    } catch (error) {
      const code = systemCodeOf(error) ?? '';
      if (code === 'EEXIST') throw taken(given);
      if (!KNOWS_NO_LINKS.has(code)) throw fileError(given, 'written', error);
      this.#claimByRename();
      return;
    }
    this.#refuseImpostor(name, 'What was written is not there');
    this.#isNamed = true;
    // The name that is left over harms nobody; the next writer removes it.
    quietly(() => folder.remove(this.name));
  }

  /** Where a volume knows no second names: an empty file holds the name until this one takes it. */
  #claimByRename(): void {
    const { folder, name } = this.target;
    const holder = this.#hold();
    try {
      folder.rename(this.name, name);
    } catch (error) {
      quietly(() => folder.remove(name));
      throw fileError(this.target.given, 'written', error);
    } finally {
      holder.close();
    }
    this.#isNamed = true;
    this.#refuseImpostor(name, 'What was written is not there any more');
  }

  #hold(): Sink {
    const { folder, name, given } = this.target;
    try {
      return this.#engine.createFile(folder.at(name), 0o600);
    } catch (error) {
      throw systemCodeOf(error) === 'EEXIST' ? taken(given) : fileError(given, 'written', error);
    }
  }

  /** Whether this file is what stands under a name of the folder; true where the system does not tell. */
  isAt(name: string): boolean {
    if (this.#identity === null) return true;
    const found = this.target.folder.find(name);
    return found !== null && isSameFile(fileStatusOf(found), this.#identity);
  }

  /** Gives the target's name back, if it still stands for this file: when what the file was a part of failed. Throws nothing. */
  giveUpName(): void {
    quietly(() => {
      if (this.#isNamed && this.isAt(this.target.name)) this.target.folder.remove(this.target.name);
    });
  }

  /** Closes the file. Removes it, unless it took a name. A clean-up that fails hides no other error: it throws nothing. */
  release(): void {
    quietly(() => this.sink.close());
    if (!this.#isNamed) quietly(() => this.#remove());
  }

  #remove(): void {
    // Somebody else's file is not ours to remove.
    if (this.isAt(this.name)) this.target.folder.remove(this.name);
  }

  #refuseImpostor(name: string, outcome: string): void {
    if (this.isAt(name)) return;
    const { given, folder } = this.target;
    throw new CryptoTensorsError(
      'FileError',
      `${quote(given)} could not be written: somebody else put something else in the place of the new file, in the folder ${quote(folder.path)}, while it was being written. ${outcome}. Write to a folder where nobody else can`,
      { path: given },
    );
  }
}

/** What volumes say that know no hard links (FAT, some network and user-space ones). */
const KNOWS_NO_LINKS = new Set(['EPERM', 'EACCES', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL', 'EXDEV']);

function adviceOnFolder(error: unknown, { folder, existing, given }: Target): string {
  if (!['EACCES', 'EPERM', 'EROFS'].includes(systemCodeOf(error) ?? '')) return '';
  const why =
    existing === null
      ? `This user can make no files in the folder ${quote(folder.path)}`
      : `A file is replaced by a new one made beside it, and this user can make no files in the folder ${quote(folder.path)}, whatever the permissions of ${quote(given)}`;
  return `${why}. Have the folder made writable, or write to another one`;
}

function adviceOnTarget(error: unknown, { folder, given }: Target): string {
  switch (systemCodeOf(error)) {
    case 'EBUSY':
      return `A file system is mounted on ${quote(given)} itself, as containers do with single files, and what is mounted cannot be replaced. Mount its folder instead, or write to another path and copy it over`;
    case 'EACCES':
    case 'EPERM':
      return `In the folder ${quote(folder.path)} this user may not replace that file: it belongs to another user, or is locked against changes. Write to another path`;
    default:
      return '';
  }
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // Whatever brought us here says more than this would.
  }
}
