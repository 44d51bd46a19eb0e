/** Base64 of keys (FORMAT.md §3): lenient, and in a time that does not tell what is in them. */

const PADDING = 0x3d;

/**
 * Decodes the text of a key straight into memory from `allocate`, or returns null (that memory wiped) where it is not base64:
 * the standard or the URL-safe alphabet but not both, padding optional but right if there, trailing bits zero. No branch and
 * no table look-up depends on a character.
 */
export function decodeKeyBase64<Memory extends Uint8Array>(
  text: Uint8Array,
  allocate: (byteLength: number) => Memory,
): Memory | null {
  const digits = text.byteLength - paddingOf(text);
  if (digits % 4 === 1) return null;
  const bytes = allocate(Math.floor((digits * 3) / 4));
  let wrong = 0;
  let standard = 0;
  let urlSafe = 0;
  let bits = 0;
  let held = 0;
  let length = 0;
  for (let i = 0; i < digits; i++) {
    const c = text[i]!;
    const upper = within(c, 0x41, 0x5a);
    const lower = within(c, 0x61, 0x7a);
    const digit = within(c, 0x30, 0x39);
    const plus = within(c, 0x2b, 0x2b);
    const slash = within(c, 0x2f, 0x2f);
    const minus = within(c, 0x2d, 0x2d);
    const underscore = within(c, 0x5f, 0x5f);
    standard |= plus | slash;
    urlSafe |= minus | underscore;
    wrong |= ~(upper | lower | digit | plus | slash | minus | underscore);
    const value =
      (upper & (c - 0x41)) |
      (lower & (c - 0x61 + 26)) |
      (digit & (c - 0x30 + 52)) |
      ((plus | minus) & 62) |
      ((slash | underscore) & 63);
    bits = (bits << 6) | value;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[length++] = bits >> held;
      bits &= (1 << held) - 1;
    }
  }
  if ((wrong | (standard & urlSafe) | bits) === 0) return bytes;
  bytes.fill(0);
  return null;
}

/** All ones if `low <= c <= high`, else 0. */
function within(c: number, low: number, high: number): number {
  return ((low - 1 - c) & (c - high - 1)) >> 31;
}

/** Padding characters at the end of text that is as long as padded text must be. */
function paddingOf(text: Uint8Array): number {
  if (text.byteLength === 0 || text.byteLength % 4 !== 0 || text.at(-1) !== PADDING) return 0;
  return text.at(-2) === PADDING ? 2 : 1;
}
