import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareUtf8 } from '#dist/format/canonical.js';
import { halfSipHash, randomHashKey } from '#dist/format/half-sip-hash.js';
import { NameTable } from '#dist/format/name-table.js';
import { runSync } from '#dist/twin.js';
import { trickyString } from './headers.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('a table of names', () => {
  it('finds what a Map finds', () => {
    fc.assert(
      fc.property(fc.array(trickyString, { maxLength: 50 }), trickyString, (names, other) => {
        const table = new NameTable();
        const map = new Map<string, number>();
        for (const name of names) {
          expect(table.add(utf8(name)), name).toBe(!map.has(name));
          if (!map.has(name)) map.set(name, map.size);
        }
        expect(runSync(table.strings())).toEqual([...map.keys()]);
        for (const name of [...names, other]) {
          expect(table.indexOf(name)).toBe(map.get(name) ?? -1);
          const within = utf8(`xx${name}yyy`);
          expect(table.indexOfBytes(within, 2, within.length - 3)).toBe(map.get(name) ?? -1);
        }
      }),
    );
  });

  it('holds many', () => {
    const table = new NameTable();
    const names = Array.from(
      { length: 20_000 },
      (_, i) => `model.layers.${i % 100}.block.${Math.floor(i / 100)}.weight`,
    );
    for (const name of names) expect(table.add(utf8(name))).toBe(true);
    expect(runSync(table.strings())).toEqual(names);
    expect(names.map((name) => table.indexOf(name))).toEqual(names.map((_, i) => i));
    expect(table.indexOf('model.layers.100.block.0.weight')).toBe(-1);
  });

  it('takes names whose differences cancel out in a mix of words, whatever its seed', () => {
    // Bits that cancelled out two words later under multiply and fold: twelve such pairs made 4,096 names of one hash.
    const pair = [
      [0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61],
      [0x61, 0x61, 0x61, 0xe1, 0x61, 0x61, 0x60, 0xe1],
    ];
    const bits = Array.from({ length: 12 }, (_, bit) => bit);
    const names = Array.from({ length: 4096 }, (_, i) => Uint8Array.from(bits.flatMap((bit) => pair[(i >> bit) & 1]!)));
    const table = new NameTable();
    for (const name of names) expect(table.add(name)).toBe(true);
    expect(names.map((name) => table.indexOfBytes(name))).toEqual(names.map((_, i) => i));
    // And nothing else collides: their hashes are as different as those of any names.
    const key = randomHashKey();
    const hashes = new Set(names.map((name) => halfSipHash(key, name, 0, name.length)));
    expect(hashes.size).toBeGreaterThan(4080);
  });

  it('knows whether the last name is in order', () => {
    fc.assert(
      fc.property(trickyString, trickyString, (first, second) => {
        const table = new NameTable();
        table.add(utf8(first));
        if (table.add(utf8(second))) expect(table.lastIsOutOfOrder).toBe(compareUtf8(first, second) > 0);
      }),
    );
  });
});

describe('HalfSipHash-1-3', () => {
  it('is what the Linux kernel has test vectors of', () => {
    const bytes = Uint8Array.from({ length: 64 }, (_, i) => i);
    const hashes = [...Array(8).keys(), 15, 16, 17, 62, 63].map((length) =>
      (halfSipHash({ k0: 0x03020100, k1: 0x07060504 }, bytes, 0, length) >>> 0).toString(16).padStart(8, '0'),
    );
    expect(hashes).toEqual([
      '5814c896', 'e7e864ca', 'bc4b0e30', '01539939', '7e059ea6', '88e3d89b', 'a0080b65', '9d38d9d6',
      'd0257b04', '8b31d501', '2b1cd04b', '74c1ebf8', '87178304',
    ]); // prettier-ignore
  });

  it('has a key of its own each time', () => {
    expect(randomHashKey()).not.toEqual(randomHashKey());
  });
});
