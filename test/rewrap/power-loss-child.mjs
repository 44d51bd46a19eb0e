// @ts-check
// Rewraps models on a disk that loses power, and exits: see power-loss.test.ts. Takes the tasks on standard input and writes the
// number of steps of each to standard output, both as JSON.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { dirname } from 'node:path';
import { stdin, stdout } from 'node:process';
import { rewrap } from '#dist/rewrap/rewrap-file.js';
import { openDisk } from '#dist/files/disk.js';

/** @import { Storage, StorageFile } from '#dist/files/storage.js' */

const SECTOR = 512;
const disk = openDisk();

class PowerLoss extends Error {}

/**
 * Remembers what was not flushed. When the power goes, each sector of an unflushed write is the old one or the new one, and of the
 * unflushed changes of a folder (names created, removed, renamed) the last ones are lost.
 *
 * @implements {Storage}
 */
class FragileDisk {
  steps = 0;
  /** @type {Map<string, (() => void)[]>} how to take back what was not flushed, by file */
  #writes = new Map();
  /** @type {Map<string, (() => void)[]>} the same by folder */
  #names = new Map();
  /** @type {Map<string, string>} the second name that a file was given, by its first */
  #linked = new Map();
  #opened = 0;
  #lossAt;
  #random;

  /**
   * @param {number} lossAt
   * @param {number} seed
   */
  constructor(lossAt, seed) {
    this.#lossAt = lossAt;
    this.#random = seed * 7919 + lossAt + 1;
  }

  /** Whether or not, the same in every run (mulberry32). */
  #toss() {
    this.#random = (this.#random + 0x6d2b79f5) >>> 0;
    let t = this.#random;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) & 1) === 1;
  }

  #step() {
    // Once it is gone it stays away: nothing is cleaned up.
    if (++this.steps >= this.#lossAt && this.#lossAt > 0) throw new PowerLoss();
  }

  /** @type {(map: Map<string, (() => void)[]>, place: string, undo: () => void) => void} */
  #note(map, place, undo) {
    map.set(place, [...(map.get(place) ?? []), undo]);
  }

  /** @type {Storage['create']} */
  async create(path) {
    this.#step();
    const file = await disk.create(path);
    this.#note(this.#names, dirname(path), () => rmSync(path, { force: true }));
    return this.#file(path, file);
  }

  /** @type {Storage['open']} */
  async open(path) {
    const file = await disk.open(path);
    return file === null ? null : this.#file(path, file);
  }

  /** @type {(path: string, file: StorageFile) => StorageFile} */
  #file(path, file) {
    const key = `${path} ${this.#opened++}`;
    // The name by which it is found later, if it gets another one.
    const now = () => this.#linked.get(path) ?? path;
    return {
      write: async (bytes, position) => {
        this.#step();
        const before = readFileSync(now());
        await file.write(bytes, position);
        this.#note(this.#writes, key, () => this.#loseWrite(now(), before));
      },
      sync: async () => {
        this.#step();
        await file.sync();
        this.#writes.delete(key);
      },
      read: (position, length) => file.read(position, length),
      isAt: (at) => file.isAt(at),
      close: () => file.close(),
    };
  }

  /** @type {(path: string, before: Buffer) => void} */
  #loseWrite(path, before) {
    if (!existsSync(path)) return;
    const found = readFileSync(path);
    for (let at = 0; at < found.length; at += SECTOR) {
      if (!this.#toss()) continue;
      found.subarray(at, at + SECTOR).fill(0);
      found.set(before.subarray(at, at + SECTOR), at);
    }
    const length = this.#toss() ? found.length : Math.max(before.length, found.length >> 1);
    writeFileSync(path, found.subarray(0, length));
  }

  /** @type {Storage['rename']} */
  async rename(from, to) {
    this.#step();
    const before = readFileSync(to);
    await disk.rename(from, to);
    this.#note(this.#names, dirname(to), () => {
      renameSync(to, from);
      writeFileSync(to, before);
    });
  }

  /** @type {Storage['remove']} */
  async remove(path) {
    this.#step();
    const before = existsSync(path) ? readFileSync(path) : null;
    await disk.remove(path);
    if (before !== null) this.#note(this.#names, dirname(path), () => writeFileSync(path, before));
  }

  /** @type {Storage['syncFolder']} */
  async syncFolder(path) {
    this.#step();
    await disk.syncFolder(path);
    this.#names.delete(path);
  }

  /** @type {Storage['link']} */
  async link(from, to) {
    this.#step();
    await disk.link(from, to);
    this.#linked.set(from, to);
    this.#note(this.#names, dirname(to), () => rmSync(to, { force: true }));
  }

  at = disk.at;
  openToRead = disk.openToRead;
  list = disk.list;
  close = disk.close;

  lose() {
    for (const undo of this.#writes.values()) for (const step of undo.reverse()) step();
    for (const undo of this.#names.values()) {
      // A file system keeps the changes of a folder in their order.
      for (const step of undo.reverse()) {
        if (!this.#toss()) break;
        step();
      }
    }
  }
}

/** @type {{ path: string, keys: [import('#dist/index.js').JwkSet, import('#dist/index.js').JwkSet], lossAt: number, seed: number }[]} */
const tasks = JSON.parse(await text(stdin));
const steps = [];
for (const { path, keys, lossAt, seed } of tasks) {
  const fragile = new FragileDisk(lossAt, seed);
  try {
    await rewrap({ path, target: null }, { keys: keys[0], to: { keys: keys[1] } }, fragile);
  } catch (error) {
    // What throws on the way out, because the power is gone, is of no interest.
    if (fragile.steps < lossAt) throw error;
  }
  fragile.lose();
  steps.push(fragile.steps);
}
stdout.write(JSON.stringify(steps));
