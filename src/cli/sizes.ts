import { InvalidArgumentError } from 'commander';

const UNITS: Readonly<Record<string, number>> = { '': 1, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** Parses `2MiB`, `64KiB`, `1GiB` or a number of bytes. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15})\s?(|B|KiB|MiB|GiB)$/.exec(text);
  if (match === null)
    throw new InvalidArgumentError('Give a number of bytes, or one with KiB, MiB or GiB, such as 2MiB.');
  return Number(match[1]) * UNITS[match[2]!]!;
}

/** Parses a whole number; its range is the library's to check. */
export function parseInteger(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Give a whole number.');
  return Number(text);
}

/** `90.9 MB`: decimal units, as disks and downloads count. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${units[unit]!}`;
}

/** `2 MiB` where the number is a whole count of such units, as chunk sizes are; else plain bytes. */
export function formatChunkSize(bytes: number): string {
  for (const unit of ['GiB', 'MiB', 'KiB']) {
    const units = bytes / UNITS[unit]!;
    if (units >= 1 && Number.isInteger(units)) return `${units} ${unit}`;
  }
  return `${bytes} B`;
}

/** `1 tensor`, `104 tensors`. */
export function count(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? '' : 's'}`;
}
