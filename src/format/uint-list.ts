/**
 * Unsigned 64-bit integers as numbers, with the exact value beside those that are no safe integer. Headers have hundreds of
 * thousands of integers, and hardly ever a large one.
 *
 * Values go in and out as a number where it is safe, else as a bigint, so equal values are `===`; `<` and `>` compare exactly.
 */
export class UintList {
  private readonly values: number[] = [];
  private readonly exact = new Map<number, bigint>();

  get length(): number {
    return this.values.length;
  }

  push(value: number | bigint): void {
    if (typeof value === 'bigint') this.exact.set(this.values.length, value);
    this.values.push(Number(value));
  }

  at(index: number): number | bigint {
    const value = this.values[index]!;
    return this.exact.size === 0 ? value : (this.exact.get(index) ?? value);
  }

  slice(start: number, end: number): (number | bigint)[] {
    const values = this.values.slice(start, end);
    return this.exact.size === 0 ? values : values.map((value, i) => this.exact.get(start + i) ?? value);
  }
}
