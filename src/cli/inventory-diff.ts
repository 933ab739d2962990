/** `berth inventory diff`: two saved inventories, or captured trees, side by side. */
import { compareInventories, type FieldChange, type InventoryDifference } from '../engine/inventory/compare.ts';
import { indexRanges } from '../engine/inventory/index-ranges.ts';
import { documentText } from './document.ts';
import type { ProgramDeps } from './port.ts';
import { printable } from './table.ts';

interface DiffQuery {
  readonly output: string;
  readonly exitCode?: boolean;
}

/** Resolves with 0; with 1 when something differs and `--exit-code` asks for it. */
export function inventoryDiffCommand(deps: ProgramDeps) {
  return async (before: string, after: string, { exitCode, output }: DiffQuery): Promise<number> => {
    const [old, now] = await Promise.all([deps.node.saved(before), deps.node.saved(after)]);
    const differences = compareInventories(old, now);
    const document = documentText({ differences }, output);
    if (document !== undefined) deps.output.out(document);
    else if (differences.length === 0) deps.output.err('no difference\n');
    else deps.output.out(renderDifferences(differences, deps.output.color));
    return exitCode === true && differences.length > 0 ? 1 : 0;
  };
}

const SIGNS = { added: '+', removed: '-', changed: '~' } as const;
const COLORS = { added: '\u001b[32m', removed: '\u001b[31m', changed: '\u001b[33m' } as const;
const PLAIN = '\u001b[0m';

/** One block for each difference; VFs to which the same happened share one. */
export function renderDifferences(differences: readonly InventoryDifference[], color: boolean): string {
  const groups = Map.groupBy(differences, (difference) =>
    difference.kind === 'vf'
      ? JSON.stringify([pfOf(difference.name), difference.change, difference.fields])
      : difference,
  );
  const blocks = [...groups.values()].map((group) => {
    const [first] = group;
    if (first === undefined) return '';
    const name = group.length === 1 ? first.name : `${rangeOf(group)} of ${pfOf(first.name)}`;
    const head = `${SIGNS[first.change]} ${first.kind === 'finding' ? 'finding ' : ''}${printable(name)}`;
    const lines = first.fields.map((field) => `    ${fieldText(field)}`);
    return [color ? `${COLORS[first.change]}${head}${PLAIN}` : head, ...lines].join('\n');
  });
  return `${blocks.join('\n')}\n`;
}

function pfOf(name: string): string {
  return /^VF [0-9]+ of (.*) \(/.exec(name)?.[1] ?? '';
}

function rangeOf(group: readonly InventoryDifference[]): string {
  const indexes = group.map(({ name }) => Number(/^VF ([0-9]+)/.exec(name)?.[1]));
  return `VFs ${indexRanges(indexes).join(', ')}`;
}

function fieldText({ after, before, field }: FieldChange): string {
  if (before === undefined) return printable(`${field}: ${valueText(after)} (was unknown)`);
  if (after === undefined) return printable(`${field}: ${valueText(before)}, now unknown`);
  return printable(`${field}: ${valueText(before)} -> ${valueText(after)}`);
}

function valueText(value: unknown): string {
  if (typeof value === 'string') return value;
  return (typeof value === 'object' && value !== null ? nameOf(value) : undefined) ?? JSON.stringify(value);
}

/** A whole interface, or who has a device, by its name: what else it has is in `-o json`. */
function nameOf(value: object): string | undefined {
  const { ifname, pod } = value as { readonly ifname?: unknown; readonly pod?: unknown };
  const names = [pod, ifname].filter((part) => typeof part === 'string');
  return names.length === 0 ? undefined : names.join(' ');
}
