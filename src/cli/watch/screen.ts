/** The live view as lines of exactly the terminal's size. Pure. */
import { printable } from '../table.ts';
import { COLUMNS, type Column, type Row, rowsOf, type WatchState } from './state.ts';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

const HEADER_LINES = 2;
const FOOTER_LINES = 1;
const GAP = 2;
/** For the mark of the selected row. */
const MARGIN = 2;
const KEYS = 'q quit  / filter  s sort  r reverse  f findings  arrows move';
const REVERSE = '\u001b[7m';
const BOLD = '\u001b[1m';
const PLAIN = '\u001b[0m';
const STATE_COLORS: Readonly<Record<string, string>> = {
  taken: '\u001b[36m',
  broken: '\u001b[31m',
  free: '\u001b[32m',
};

/** How many rows of devices fit. */
export function pageOf({ rows }: Size): number {
  return Math.max(1, rows - HEADER_LINES - FOOTER_LINES);
}

/** One line for each row of the terminal, none longer than it is wide. */
export function renderScreen(state: WatchState, size: Size, color: boolean): readonly string[] {
  const page = pageOf(size);
  const body = state.showsFindings ? findingLines(state, size) : deviceLines(state, size, color);
  const status = cut(statusText(state), size.columns);
  const [title = '', ...rows] = body;
  const lines = [
    color ? `${BOLD}${status}${PLAIN}` : status,
    color ? `${BOLD}${title}${PLAIN}` : title,
    ...Array.from({ length: page }, (_, index) => rows[index] ?? ''),
    cut(state.isTyping ? `/${printable(state.filter)}_` : KEYS, size.columns),
  ];
  return lines.slice(0, size.rows);
}

function statusText({ connection, document, filter, isReversed, sort }: WatchState): string {
  if (document === undefined) return `berth: ${connection}`;
  const devices = [...document.devices.values()].filter((device) => 'pf' in device);
  const count = (wanted: string) => devices.filter(({ state }) => state === wanted).length;
  const parts = [
    document.node.name,
    connection,
    `${devices.length} VFs: ${count('free')} free, ${count('taken')} taken, ${count('broken')} broken, ${count('unused')} unused`,
    `${document.findings.length} findings`,
    `by ${sort}${isReversed ? ' reversed' : ''}`,
    ...(filter === '' ? [] : [`filter "${filter}"`]),
  ];
  return printable(parts.join('  '));
}

function deviceLines(state: WatchState, { columns, rows: height }: Size, color: boolean): readonly string[] {
  const rows = rowsOf(state);
  const page = pageOf({ columns, rows: height });
  const top = Math.max(0, Math.min(state.selected - Math.floor(page / 2), rows.length - page));
  const shown = rows.slice(top, top + page);
  const titles = Object.fromEntries(COLUMNS.map((column) => [column, column.toUpperCase()])) as Row;
  const widths = new Map(
    COLUMNS.map((column) => [column, Math.max(...[titles, ...shown].map((row) => row[column].length))]),
  );
  const widthOf = (column: Column): number => widths.get(column) ?? 0;
  const fitting = fittingColumns(state.sort, widthOf, columns - MARGIN);
  const line = (row: Row): string =>
    cut(
      fitting.map((column) => printable(row[column]).padEnd(widthOf(column))).join(' '.repeat(GAP)),
      columns - MARGIN,
    );
  const body = shown.map((row, index) => {
    const text = line(row);
    if (top + index === state.selected) return color ? `${REVERSE}> ${text}${PLAIN}` : `> ${text}`;
    const begin = color ? (STATE_COLORS[row.state] ?? '') : '';
    return begin === '' ? `  ${text}` : `  ${begin}${text}${PLAIN}`;
  });
  return [`  ${line(titles)}`, ...(body.length === 0 ? ['  nothing matches'] : body)];
}

/** What is left out first where the terminal is narrow: what matters most is who has a device. */
const EXPENDABLE: readonly Column[] = ['numa', 'driver', 'link', 'pool', 'ifname'];

function fittingColumns(sort: Column, widthOf: (column: Column) => number, room: number): readonly Column[] {
  let fitting: readonly Column[] = COLUMNS;
  for (const column of EXPENDABLE) {
    const width = fitting.reduce((sum, each) => sum + widthOf(each) + GAP, -GAP);
    if (width <= room) break;
    // The order of the rows would be a riddle without it.
    if (column !== sort) fitting = fitting.filter((each) => each !== column);
  }
  return fitting;
}

function findingLines({ document, selected }: WatchState, { columns }: Size): readonly string[] {
  const findings = document?.findings ?? [];
  const lines = findings
    .slice(selected)
    .flatMap(({ severity, id, evidence, remedy }) => [`${severity} ${id}: ${evidence}`, `    ${remedy}`])
    .map((text) => cut(printable(text), columns));
  return [cut(`FINDINGS (${findings.length}), Esc goes back`, columns), ...lines];
}

function cut(text: string, columns: number): string {
  return text.length <= columns ? text.trimEnd() : `${text.slice(0, Math.max(0, columns - 1))}…`;
}
