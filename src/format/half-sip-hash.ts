/**
 * HalfSipHash-1-3 (Aumasson and Bernstein): a keyed hash of 32 bits for tables whose keys somebody else chooses. Who does not know
 * the key cannot choose names that collide. It works on 32-bit words, which is what JavaScript is fast at.
 */
export interface HashKey {
  readonly k0: number;
  readonly k1: number;
}

/** A key that is this process's own. */
export function randomHashKey(): HashKey {
  const [k0, k1] = crypto.getRandomValues(new Int32Array(2));
  return { k0: k0!, k1: k1! };
}

/** Hash of `bytes[start, end)`, as a signed integer. */
export function halfSipHash({ k0, k1 }: HashKey, bytes: Uint8Array, start: number, end: number): number {
  let v0 = k0;
  let v1 = k1;
  let v2 = k0 ^ 0x6c796765;
  let v3 = k1 ^ 0x74656462;
  const whole = end - ((end - start) & 3);
  // The last word is what is left, with the length in its highest byte; three rounds without a word end it.
  let p = start;
  for (let extra = 0; extra < 4;) {
    let word = 0;
    if (p < whole) {
      word = bytes[p]! | (bytes[p + 1]! << 8) | (bytes[p + 2]! << 16) | (bytes[p + 3]! << 24);
      p += 4;
    } else if (extra++ === 0) {
      word = (end - start) << 24;
      for (let shift = 0; p < end; shift += 8) word |= bytes[p++]! << shift;
    }
    v3 ^= word;
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    v0 ^= word;
    if (extra === 1) v2 ^= 0xff;
  }
  return v1 ^ v3;
}
