/** What the live view shows and how keys change it. Pure: a state and a key make the next state. */
import type { FeedDevice, FeedDocument } from '../../engine/feed/document.ts';
import type { Standing } from '../../engine/inventory-view.ts';
import { ownerText } from '../inventory-cells.ts';
import { linkState } from '../link-words.ts';
import type { Key } from './keys.ts';

export const COLUMNS = ['address', 'ifname', 'driver', 'link', 'numa', 'state', 'pool', 'owner'] as const;
export type Column = (typeof COLUMNS)[number];

export interface WatchState {
  readonly document: FeedDocument | undefined;
  /** `live`, or what is wrong. */
  readonly connection: string;
  readonly filter: string;
  /** Keys go into the filter. */
  readonly isTyping: boolean;
  readonly sort: Column;
  readonly isReversed: boolean;
  readonly showsFindings: boolean;
  /** Of the rows that are shown. */
  readonly selected: number;
  readonly isOver: boolean;
}

export const FIRST_STATE: WatchState = {
  document: undefined,
  connection: 'connecting',
  filter: '',
  isTyping: false,
  sort: 'address',
  isReversed: false,
  showsFindings: false,
  selected: 0,
  isOver: false,
};

/** `page` is how many rows fit. */
export function afterKey(state: WatchState, key: Key, page: number): WatchState {
  if (key.kind === 'quit') return { ...state, isOver: true };
  if (state.isTyping) return whileTyping(state, key);
  switch (key.kind) {
    case 'up':
      return moved(state, -1);
    case 'down':
      return moved(state, 1);
    case 'page-up':
      return moved(state, -page);
    case 'page-down':
      return moved(state, page);
    case 'home':
      return moved(state, -Infinity);
    case 'end':
      return moved(state, Infinity);
    case 'escape':
      return { ...state, filter: '', showsFindings: false, selected: 0 };
    case 'text':
      return afterLetter(state, key.text, page);
    case 'enter':
    case 'backspace':
      return state;
    default:
      return key.kind satisfies never;
  }
}

function whileTyping(state: WatchState, key: Key): WatchState {
  if (key.kind === 'text') return { ...state, filter: state.filter + key.text, selected: 0 };
  if (key.kind === 'backspace') return { ...state, filter: state.filter.slice(0, -1), selected: 0 };
  if (key.kind === 'escape') return { ...state, filter: '', isTyping: false, selected: 0 };
  return key.kind === 'enter' ? { ...state, isTyping: false } : state;
}

function afterLetter(state: WatchState, letter: string, page: number): WatchState {
  switch (letter) {
    case 'q':
      return { ...state, isOver: true };
    case '/':
      return { ...state, isTyping: true, showsFindings: false };
    case 's': {
      const next = COLUMNS[(COLUMNS.indexOf(state.sort) + 1) % COLUMNS.length] ?? 'address';
      return { ...state, sort: next, selected: 0 };
    }
    case 'r':
      return { ...state, isReversed: !state.isReversed };
    case 'f':
      return { ...state, showsFindings: !state.showsFindings, selected: 0 };
    case 'j':
      return moved(state, 1);
    case 'k':
      return moved(state, -1);
    case ' ':
      return moved(state, page);
    case 'g':
      return moved(state, -Infinity);
    case 'G':
      return moved(state, Infinity);
    default:
      return state;
  }
}

function moved(state: WatchState, by: number): WatchState {
  const count = state.showsFindings ? (state.document?.findings.length ?? 0) : rowsOf(state).length;
  return { ...state, selected: Math.max(0, Math.min(count - 1, state.selected + by)) };
}

/** Cells by column. */
export type Row = Readonly<Record<Column, string>>;

/** What matches, in order. By address VFs stand below their PF. */
export function rowsOf({ document, filter, isReversed, sort }: WatchState): readonly Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const rows = [...(document?.devices.values() ?? [])]
    .flatMap((device) => [
      { row: rowOf(device), mac: device.netdev?.mac ?? '' },
      ...scalableRowsOf(device).map((row) => ({ row, mac: '' })),
    ])
    .filter(({ mac, row }) => {
      const text = `${Object.values(row).join('\n')}\n${mac}`.toLowerCase();
      return words.every((word) => text.includes(word));
    })
    .map(({ row }) => row);
  if (sort !== 'address') {
    const compare = new Intl.Collator('en', { numeric: true }).compare;
    // What a device does not have comes last.
    rows.sort((one, other) => Number(one[sort] === '') - Number(other[sort] === '') || compare(one[sort], other[sort]));
  }
  return isReversed ? rows.reverse() : rows;
}

function rowOf(device: FeedDevice): Row {
  return {
    address: 'pf' in device ? `  ${device.address}` : device.address,
    ifname: device.ifname ?? ('pf' in device ? `#${device.index}` : ''),
    driver: device.driver ?? '',
    link: linkState(device.netdev),
    numa: device.numaNode === undefined ? '' : String(device.numaNode),
    ...standingCells(device),
  };
}

function scalableRowsOf(device: FeedDevice): readonly Row[] {
  if ('pf' in device) return [];
  return (device.scalable ?? []).map((sf) => ({
    address: `  ${sf.name}`,
    ifname: sf.ifname ?? `sf ${sf.sfnum}`,
    driver: sf.driver ?? '',
    link: '',
    numa: '',
    ...standingCells(sf),
  }));
}

function standingCells({ allocation, owner, pool, problem, state }: Standing): Pick<Row, 'state' | 'pool' | 'owner'> {
  return {
    state,
    pool: pool ?? '',
    owner: ownerText(owner, allocation) || (problem ?? ''),
  };
}
