/**
 * Structured cloning, by `postMessage` or `structuredClone`, copies an object's own fields and forgets the private ones: an object
 * would arrive without what it is for, and nobody would be told. A symbol among its own fields has it refused with a
 * `DataCloneError` that shows the symbol's text.
 */
export function notCloneable(advice: string): symbol {
  return Symbol(`cryptotensors: ${advice}`);
}

/** Name of the field. */
export const NOT_CLONEABLE = 'notCloneable';
