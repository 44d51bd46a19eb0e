import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NameTable } from '#dist/format/name-table.js';
import { trickyString } from './headers.js';
import { refusal } from './refusal.js';

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
        expect(table.strings()).toEqual([...map.keys()]);
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
    expect(table.strings()).toEqual(names);
    expect(names.map((name) => table.indexOf(name))).toEqual(names.map((_, i) => i));
    expect(table.indexOf('model.layers.100.block.0.weight')).toBe(-1);
  });

  it('refuses names that were chosen to collide', () => {
    // Bits that cancel out two words later, whatever the seed is: eleven such pairs make 2,048 names of one hash.
    const pair = [
      [0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61],
      [0x61, 0x61, 0x61, 0xe1, 0x61, 0x61, 0x60, 0xe1],
    ];
    const bits = Array.from({ length: 11 }, (_, bit) => bit);
    const table = new NameTable();
    refusal('InvalidHeaderDeserialization', () => {
      for (let i = 0; i < 2048; i++) table.add(Uint8Array.from(bits.flatMap((bit) => pair[(i >> bit) & 1]!)));
    });
  });
});
