/** The first bytes of a file: its header with its length, as a detached header holds it. */
export function headerOf(file: Uint8Array): Uint8Array {
  // A copy: of a Buffer, slice() would be a view.
  return Uint8Array.from(file.subarray(0, 8 + lengthOf(file)));
}

/** The data section of a file. */
export function dataOf(file: Uint8Array): Uint8Array {
  return Uint8Array.from(file.subarray(8 + lengthOf(file)));
}

/** Header text with its length before it, padded with spaces. */
export function headerFrom(text: Uint8Array, padding = 0): Uint8Array {
  const bytes = new Uint8Array(8 + text.length + padding).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length + padding), true);
  bytes.set(text, 8);
  return bytes;
}

function lengthOf(file: Uint8Array): number {
  return Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
}
