/** Text of `berth inventory`. Pure: data in, text out. */
import type { Finding, LinkCounters, Nic, Unread, VirtualLink } from '../engine/inventory/model.ts';
import type { InventoryView } from '../engine/view.ts';
import {
  type Column,
  LONG,
  LONG_OWNERSHIP,
  OWNERSHIP,
  rowsOf,
  SHORT,
  type TableContext,
  tableContext,
} from './inventory-columns.ts';
import type { Counted } from './inventory-document.ts';
import { linkState } from './link-words.ts';
import { printable, renderTable } from './table.ts';

/** NICs with their VFs below them, accelerators likewise, then virtual uplinks. `table` fits 100 columns; `wide` leaves nothing out. Of a part of the node (`isPart`) a missing kind of device is no news. */
export function renderInventory(
  view: InventoryView,
  format: 'table' | 'wide',
  color: boolean,
  now: Date,
  isPart = false,
): string {
  const { inventory } = view;
  const context = tableContext(view, now);
  const { nics, accelerators = [] } = inventory;
  const links = inventory.virtual.filter((link) => link.kind !== 'loopback');
  return [
    ...(nics.length > 0 ? [renderFunctions(nics, 'ADDRESS', context, format, color)] : []),
    ...(nics.length === 0 && !isPart ? ['No PCI network functions.\n'] : []),
    ...(accelerators.length === 0 ? [] : [renderFunctions(accelerators, 'ACCELERATOR', context, format, color)]),
    ...(links.length === 0 ? [] : [emphasized(renderLinks(links, format), color)]),
    ...(inventory.findings.length === 0 ? [] : [renderFindings(inventory.findings, color)]),
  ].join('\n');
}

function renderFunctions(
  nics: readonly Nic[],
  title: string,
  context: TableContext,
  format: 'table' | 'wide',
  color: boolean,
): string {
  const { allocations = {}, inventory, owners, pools } = context.view;
  const isOffered = Object.keys(pools).length + Object.keys(owners).length > 0;
  const columns: readonly Column[] =
    format === 'wide'
      ? [...SHORT, ...LONG, ...(isOffered ? LONG_OWNERSHIP : [])]
      : [...SHORT, ...(isOffered ? OWNERSHIP : [])];
  const rows = rowsOf(nics, inventory);
  const cells = rows.map((row) => columns.map((column) => column.of(row, context)));
  const titles = [title, ...columns.slice(1).map((column) => column.title)];
  const table = renderTable(titles, format === 'wide' ? cells : fitLast(cells, titles));
  return emphasized(
    table,
    color,
    (index) => (owners[rows[index]?.id ?? ''] ?? allocations[rows[index]?.id ?? '']) !== undefined,
  );
}

const SEVERITY_COLORS = { error: '\u001b[31m', warning: '\u001b[33m', info: '' } as const;

/** Two or three lines for each: what, and what to do about it. */
function renderFindings(findings: readonly Finding[], color: boolean): string {
  const lines = findings.map(({ severity, id, evidence, remedy, reference }) => {
    const begin = color ? SEVERITY_COLORS[severity] : '';
    const weight = begin === '' ? severity : `${begin}${severity}${PLAIN}`;
    const more = reference === undefined ? '' : ` (${reference})`;
    return `${weight} ${id}: ${printable(evidence)}\n  ${printable(remedy)}${more}`;
  });
  const title = `FINDINGS (${findings.length})`;
  return `${[color ? `${BOLD}${title}${PLAIN}` : title, ...lines].join('\n')}\n`;
}

const TABLE_WIDTH = 100;
const GAP = 3;
const LEAST_LAST = 18;

/** Shortens the last column, where long names of pods are, so that the table keeps its width. */
function fitLast(rows: readonly (readonly string[])[], titles: readonly string[]): readonly (readonly string[])[] {
  const last = titles.length - 1;
  const widths = titles
    .slice(0, last)
    .map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const room = Math.max(LEAST_LAST, TABLE_WIDTH - widths.reduce((sum, width) => sum + width + GAP, 0));
  return rows.map((row) => row.with(last, shortened(row[last] ?? '', room)));
}

/** The end of a pod's name tells it from its siblings: the middle goes. */
function shortened(text: string, room: number): string {
  if (text.length <= room) return text;
  const tail = Math.floor((room - 1) / 2);
  return `${text.slice(0, room - 1 - tail)}…${text.slice(text.length - tail)}`;
}

function renderLinks(links: readonly VirtualLink[], format: 'table' | 'wide'): string {
  const header = [
    'VIRTUAL',
    'KIND',
    'STATE',
    'ON',
    'MASTER',
    'ADDRESSES',
    ...(format === 'wide' ? ['MAC', 'MTU', 'ALTNAMES'] : []),
  ];
  const rows = links.map((link) => [
    link.ifname,
    link.kind,
    linkState(link),
    link.lowers.join(','),
    link.master ?? '',
    link.addresses.join(','),
    ...(format === 'wide' ? [link.mac ?? '', String(link.mtuBytes ?? ''), link.altnames.join(',')] : []),
  ]);
  return renderTable(header, rows);
}

const COUNTED = ['RX BYTES', 'RX PACKETS', 'RX DROPPED', 'TX BYTES', 'TX PACKETS', 'TX DROPPED'] as const;

/** What PFs counted of their VFs (RX is what the VF received), then what interfaces on the node counted themselves. */
export function renderCounters({ inventory }: InventoryView, { byPf, own }: Counted): string {
  const ofVfs = inventory.nics.flatMap((nic) =>
    nic.vfs.flatMap(({ address, index }) => {
      const told = byPf[address];
      return told === undefined ? [] : [[address, `#${index} of ${nic.ifname ?? nic.address}`, ...countedCells(told)]];
    }),
  );
  const ofInterfaces = inventory.nics
    .flatMap((nic) => [nic, ...nic.vfs])
    .flatMap(({ address, ifname }) => {
      const told = ifname === undefined ? undefined : own.get(ifname);
      if (ifname === undefined || told === undefined) return [];
      return [[ifname, address, ...countedCells(told), String(told.rxErrors), String(told.txErrors)]];
    });
  return [
    ofVfs.length === 0 ? 'No PF told counters of its VFs.\n' : renderTable(['COUNTERS', 'VF', ...COUNTED], ofVfs),
    ...(ofInterfaces.length === 0
      ? []
      : [renderTable(['INTERFACE', 'ADDRESS', ...COUNTED, 'RX ERRORS', 'TX ERRORS'], ofInterfaces)]),
  ].join('\n');
}

function countedCells(counters: Omit<LinkCounters, 'rxErrors' | 'txErrors'>): readonly string[] {
  const { rxBytes, rxDropped, rxPackets, txBytes, txDropped, txPackets } = counters;
  return [rxBytes, rxPackets, rxDropped, txBytes, txPackets, txDropped].map(String);
}

/** More warnings than this nobody reads; the document has all of them. */
const MOST_WARNINGS = 20;

/** What could not be read, one warning a line, for stderr. */
export function renderUnread(unread: readonly Unread[]): string {
  const lines = unread
    .slice(0, MOST_WARNINGS)
    .map(({ source, reason }) => `warning: ${printable(source)}: ${printable(reason)}\n`);
  const more = unread.length - lines.length;
  return `${lines.join('')}${more > 0 ? `warning: and ${more} more, in \`unread\` of -o json\n` : ''}`;
}

const BOLD = '\u001b[1m';
const CYAN = '\u001b[36m';
const PLAIN = '\u001b[0m';

/** Whole lines, after the table is made: escape sequences have no width, and no cell can hold one. */
function emphasized(table: string, color: boolean, isTaken: (row: number) => boolean = () => false): string {
  if (!color) return table;
  return table
    .trimEnd()
    .split('\n')
    .map((text, index) => {
      if (index === 0) return `${BOLD}${text}${PLAIN}`;
      return isTaken(index - 1) ? `${CYAN}${text}${PLAIN}` : text;
    })
    .join('\n')
    .concat('\n');
}
