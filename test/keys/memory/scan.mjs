// @ts-check
// Looks for secrets in this process's own memory, by /proc/self/maps and /proc/self/mem. Linux only.
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

/**
 * What is looked for must not be found because somebody looks for it: it is here, and in the memory that is searched, XORed with
 * this only.
 */
export const MASK = 0x5a;
const MASK_WORD = 0x5a5a5a5a;
const WINDOW = 4 * 1024 * 1024;
/** Longer than any needle. */
const OVERLAP = 64;

const window = Buffer.from(new ArrayBuffer(WINDOW + OVERLAP));
const words = new Uint32Array(window.buffer);

/**
 * @typedef {{ needle: string, at: number, region: string, flags: string[] }} Hit
 * @param {Record<string, string>} needles by name, masked, in hex
 * @returns {Hit[]}
 */
export function scan(needles) {
  const masked = Object.entries(needles).map(([name, hex]) => ({ name, bytes: Buffer.from(hex, 'hex') }));
  /** @type {Hit[]} */
  const hits = [];
  const memory = openSync('/proc/self/mem', 'r');
  try {
    for (const { start, end, region, flags } of readableRegions()) {
      for (let at = start; at < end; at += WINDOW) {
        const length = readMasked(memory, at, Math.min(end - at, WINDOW + OVERLAP));
        for (const { name, bytes } of masked) {
          let found = window.subarray(0, length).indexOf(bytes);
          while (found >= 0 && found < WINDOW) {
            hits.push({ needle: name, at: at + found, region, flags });
            found = window.subarray(0, length).indexOf(bytes, found + 1);
          }
        }
      }
    }
  } finally {
    closeSync(memory);
    window.fill(0);
  }
  return hits;
}

/** Fills the window and masks it. Returns how much could be read. */
function readMasked(/** @type {number} */ memory, /** @type {number} */ at, /** @type {number} */ length) {
  let read = 0;
  // Else the window would be found in itself, masked twice.
  window.fill(0);
  try {
    while (read < length) {
      const more = readSync(memory, window, read, length - read, at + read);
      if (more === 0) break;
      read += more;
    }
  } catch {
    // Pages of devices cannot be read, though they are said to be readable.
  }
  for (let i = 0; i < Math.ceil(read / 4); i++) words[i] = /** @type {number} */ (words[i]) ^ MASK_WORD;
  return read;
}

function readableRegions() {
  const regions = [];
  for (const line of readFileSync('/proc/self/smaps', 'latin1').split('\n')) {
    const head = /^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line);
    if (head !== null) {
      const [, start, end, permissions, name] = /** @type {[string, string, string, string, string]} */ (
        /** @type {unknown} */ (head)
      );
      regions.push({
        start: parseInt(start, 16),
        end: parseInt(end, 16),
        permissions,
        region: name === '' ? 'anonymous' : name,
        flags: /** @type {string[]} */ ([]),
      });
    }
    const flags = /^VmFlags: (.*?) *$/.exec(line);
    if (flags !== null) regions.at(-1)?.flags.push(.../** @type {string} */ (flags[1]).split(' '));
  }
  return regions.filter(({ permissions, region }) => permissions.startsWith('r') && region !== '[vsyscall]');
}
