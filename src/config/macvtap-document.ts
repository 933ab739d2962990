/**
 * The configuration of macvtap-cni's device plugin: a JSON list of resources, which that plugin takes
 * from the environment variable `DP_MACVTAP_CONF`. An empty list is one resource on each uplink. As
 * with the other peer, what the plugin ignores is a warning.
 */
import { z } from 'zod';
import { DEFAULT_HEALTH } from '../engine/pools/health.ts';
import type { SlotPoolSpec } from '../engine/pools/model.ts';
import { DEFAULT_CAPACITY } from '../engine/pools/zero-config.ts';
import { isError } from '../engine/view.ts';
import type { LocatedDocument } from './document.ts';
import { interfaceName, text } from './fields.ts';
import { MAX_CAPACITY } from './pool-schema.ts';
import type { ConfigProblem } from './problem.ts';
import { nameProblem } from './resource-name.ts';
import { schemaProblems, valueAt } from './schema-problems.ts';
import { tidyKeys } from './sdp-tidy.ts';

/** Prefix of the plugin's resources; it has no option for another. */
export const MACVTAP_PREFIX = 'macvtap.network.kubevirt.io';

const resourceSchema = z.object({
  name: text(nameProblem),
  lowerDevice: interfaceName,
  mode: z.enum(['bridge', 'private', 'vepa']).optional(),
  capacity: z.int().max(MAX_CAPACITY).optional(),
});
const macvtapSchema = z.array(resourceSchema);
const KEYS = Object.keys(resourceSchema.shape);

/** What a list gives, or why there is nothing. */
export interface MacvtapResult {
  readonly pools?: readonly SlotPoolSpec[];
  readonly problems: readonly ConfigProblem[];
}

/** The document is the plugin's: a list of mappings, which no other form of the file is. */
export function isMacvtapDocument({ value }: LocatedDocument): boolean {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'object' && entry !== null);
}

/** `name` is the file's or the variable's, for the pools' origin. */
export function readMacvtapDocument(document: LocatedDocument, name: string): MacvtapResult {
  const problems: ConfigProblem[] = [];
  const tidy = tidyDocument(document, problems);
  const parsed = macvtapSchema.safeParse(tidy.value);
  if (!parsed.success) problems.push(...schemaProblems(macvtapSchema, tidy, parsed.error.issues));
  problems.push(...repeatedNames(tidy));
  const sorted = problems.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  if (!parsed.success || problems.some(isError)) return { problems: sorted };
  const base = { kind: 'macvtap', excludeTopology: false, health: DEFAULT_HEALTH, slotIds: 'macvtap-cni' } as const;
  if (parsed.data.length === 0) {
    const resource = `${MACVTAP_PREFIX}/{uplink}`;
    const pool = { ...base, resource, origin: name, uplinks: [], capacity: DEFAULT_CAPACITY, perUplink: true };
    return { pools: [pool], problems: sorted };
  }
  const pools = new Map(
    parsed.data.map((entry, at): [string, SlotPoolSpec] => [
      entry.name,
      {
        ...base,
        resource: `${MACVTAP_PREFIX}/${entry.name}`,
        origin: `${name}:${document.problem([at], '').line}`,
        uplinks: [{ names: [entry.lowerDevice] }],
        // The plugin takes everything below 1 for its default.
        capacity: entry.capacity === undefined || entry.capacity < 1 ? DEFAULT_CAPACITY : entry.capacity,
        mode: entry.mode ?? 'bridge',
      },
    ]),
  );
  return { pools: [...pools.values()], problems: sorted };
}

function tidyDocument(document: LocatedDocument, problems: ConfigProblem[]): LocatedDocument {
  if (!Array.isArray(document.value)) return document;
  const value = document.value.map((entry: unknown, at) => {
    const tidy = tidyKeys(document, [at], entry, KEYS, problems);
    if (valueAt(tidy, ['mode']) !== '') return tidy;
    const { mode: _empty, ...rest } = tidy as Record<string, unknown>;
    return rest;
  });
  return { ...document, value };
}

/** The plugin keeps the last one. */
function repeatedNames(document: LocatedDocument): readonly ConfigProblem[] {
  if (!Array.isArray(document.value)) return [];
  const seen = new Map<string, number | undefined>();
  return document.value.flatMap((entry: unknown, at): readonly ConfigProblem[] => {
    const name = valueAt(entry, ['name']);
    if (typeof name !== 'string') return [];
    const here = document.problem([at, 'name'], '');
    const before = seen.get(name);
    const isRepeated = seen.has(name);
    seen.set(name, here.line);
    if (!isRepeated) return [];
    const message = `the resource ${name} is there already, on line ${before}; the last one counts`;
    return [{ ...here, message, hint: 'give one of them another name', severity: 'warning' }];
  });
}
