export const OPERATION_NAMES: readonly string[];
export function race(
  operation: string,
  tries: number,
): Promise<{
  tries: number;
  succeeded: number;
  refused: Record<string, number>;
  changed: string[];
  attacks: number;
}>;
