/** The report for people. The one for programs is the measurements themselves, as JSON. */
import type { Measurement } from './measurement.ts';

const HEAD = ['', 'unit', 'berth', 'peer', 'limit', 'of peer', 'of limit', 'runs'];

/** A table with one line for each measurement; `-` where something does not apply. Ends in a newline. */
export function table(measurements: readonly Measurement[]): string {
  const rows = [HEAD, ...measurements.map(cells)];
  const widths = HEAD.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}

function cells(row: Measurement): string[] {
  return [
    row.name,
    row.unit,
    value(row.berth),
    value(row.peer),
    value(row.limit),
    times(row.ratioPeer),
    times(row.ratioLimit),
    String(row.runs),
  ];
}

function value(number: number | null): string {
  if (number === null) return '-';
  return number >= 100 ? number.toFixed(0) : number.toFixed(number >= 10 ? 1 : 2);
}

function times(ratio: number | null): string {
  return ratio === null ? '-' : `${ratio.toFixed(2)}x`;
}
