import { withoutPrototype } from '../options.js';
export interface Column {
  title: string;
  align?: 'left' | 'right';
}

/** One long name must not push all other rows off the screen. */
const MAX_WIDTH = 60;

/** Rows as aligned lines under a title line. Cells beyond the columns are left out. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string[] {
  const lines = [columns.map(({ title }) => title), ...rows];
  const widths = columns.map((_, i) =>
    lines.reduce((width, line) => Math.max(width, Math.min(MAX_WIDTH, line[i]?.length ?? 0)), 0),
  );
  return lines.map((line) =>
    columns
      .map((column, i) =>
        withoutPrototype(column).align === 'right'
          ? (line[i] ?? '').padStart(widths[i]!)
          : (line[i] ?? '').padEnd(widths[i]!),
      )
      .join('  ')
      .trimEnd(),
  );
}
