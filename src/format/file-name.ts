/** Names of the files of a model: relative paths that mean the same on every system (docs/format.md). */

const MAX_PATH_BYTES = 1024;
const MAX_SEGMENT_BYTES = 255;
/** What Windows takes for a device, with or without an extension. */
const DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i;
const encoder = new TextEncoder();

/**
 * Why a text is no name of a model's file; null if it is one. A name is a relative path, its segments separated by `/`.
 */
export function problemOfFileName(name: string): string | null {
  if (name === '') return 'it is empty';
  if (!name.isWellFormed()) return 'it holds half of a surrogate pair';
  if (encoder.encode(name).length > MAX_PATH_BYTES) return `it has more than ${MAX_PATH_BYTES} bytes`;
  for (const segment of name.split('/')) {
    const problem = problemOfSegment(segment);
    if (problem !== null) return problem;
  }
  return null;
}

function problemOfSegment(segment: string): string | null {
  if (segment === '') return 'it is absolute, or has an empty segment';
  if (segment === '.' || segment === '..') return `it has the segment "${segment}"`;
  // eslint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f"*:<>?\\|]/.test(segment)) {
    return 'it has a character that some systems do not take in a name: a control character, or one of " * : < > ? \\ |';
  }
  if (segment.endsWith('.') || segment.endsWith(' ')) return 'a segment of it ends in a dot or a space';
  if (DEVICE.test(segment)) return 'a segment of it is the name of a device on Windows';
  if (encoder.encode(segment).length > MAX_SEGMENT_BYTES)
    return `a segment of it has more than ${MAX_SEGMENT_BYTES} bytes`;
  return null;
}

/** What is the same for two names that are one file on a file system that is blind to case or to Unicode's forms. */
export function foldedFileName(name: string): string {
  // Upper case first: it takes apart what lower case alone leaves different, such as the long s.
  return name.normalize('NFKC').toUpperCase().toLowerCase().normalize('NFKC');
}
