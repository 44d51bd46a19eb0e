import { closeSync, openSync, readSync } from 'node:fs';

/** Longer than the headers of any program, which name the loader. */
const HEAD_BYTES = 16 * 1024;
const PT_INTERP = 3;
const MAGIC = 0x7f454c46;

/**
 * Which C library this process runs on. Files built for glibc do not load under musl, nor the other way round, and a system can
 * have both; so the program itself is asked, which names the loader that it was started by.
 *
 * @returns undefined where that cannot be read
 */
export function libc(): 'gnu' | 'musl' | undefined {
  try {
    const loader = interpreter(headOf('/proc/self/exe'));
    if (loader === undefined) return undefined;
    return loader.includes('musl') ? 'musl' : 'gnu';
  } catch {
    return undefined;
  }
}

function headOf(file: string): DataView {
  const head = new Uint8Array(HEAD_BYTES);
  const descriptor = openSync(file, 'r');
  try {
    return new DataView(head.buffer, 0, readSync(descriptor, head, 0, HEAD_BYTES, 0));
  } finally {
    closeSync(descriptor);
  }
}

/** Of a 64-bit ELF file; all platforms with an addon are little-endian. */
function interpreter(head: DataView): string | undefined {
  if (head.getUint32(0) !== MAGIC) return undefined;
  const start = Number(head.getBigUint64(32, true));
  const size = head.getUint16(54, true);
  const count = head.getUint16(56, true);
  for (let at = start; at < start + count * size; at += size) {
    if (head.getUint32(at, true) !== PT_INTERP) continue;
    const offset = Number(head.getBigUint64(at + 8, true));
    const length = Number(head.getBigUint64(at + 32, true));
    return new TextDecoder().decode(new Uint8Array(head.buffer, offset, length - 1));
  }
  return undefined;
}
