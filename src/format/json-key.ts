const encoder = new TextEncoder();

/** A key that a parser looks for. */
export class JsonKey {
  readonly utf8: Uint8Array;
  /** With quotes and colon, as compact JSON. */
  readonly compact: Uint8Array;
  /** The same within a JSON string. */
  readonly nested: Uint8Array;

  /** @param name ASCII that needs no escapes. */
  constructor(readonly name: string) {
    this.utf8 = encoder.encode(name);
    this.compact = encoder.encode(`"${name}":`);
    this.nested = encoder.encode(`\\"${name}\\":`);
  }
}
