/**
 * Text from a file must not steer the terminal that it is shown on: control characters can move the cursor, change
 * colours or rewrite what stands above; bidirectional overrides can make a name read as another.
 */

/** C0 and C1 controls, DEL, line separators, bidirectional controls, invisible joiners and the byte order mark. */
// eslint-disable-next-line no-control-regex -- control characters are exactly what is to be made visible
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\p{Cs}]/gu;

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** The text with everything that a terminal would obey made visible as `\u001b`. Line breaks too. */
export function visible(text: string): string {
  return text.replace(UNSAFE, escape);
}

/** The same for text of several lines: line breaks stay. */
export function visibleLines(text: string): string {
  return text.split(/\r?\n/).map(visible).join('\n');
}

/** A name as it is, if it could not be mistaken for anything else; otherwise quoted, with escapes. */
export function visibleName(name: string): string {
  const plain = name !== '' && !/[\s"\\]/u.test(name) && visible(name) === name;
  return plain ? name : visible(JSON.stringify(name));
}

/** A text as it is, if nothing in it is hidden or could be taken for an escape; otherwise quoted, with escapes. */
export function visibleValue(text: string): string {
  return visible(text) === text && !text.includes('\\') ? text : visible(JSON.stringify(text));
}

/** JSON text that is safe to show: what JSON itself leaves raw is escaped too. It parses to the same value. */
export function visibleJson(value: unknown): string {
  const text = JSON.stringify(value, (_key, item: unknown) => (typeof item === 'bigint' ? item.toString() : item), 2);
  return visibleLines(text);
}
