/** From a judged entry of `pools` to what the engine evaluates: names of groups become the groups. */
import type { z } from 'zod';
import { isGlob } from '../engine/pools/glob.ts';
import { DEFAULT_HEALTH } from '../engine/pools/health.ts';
import type {
  HealthPolicy,
  PerPf,
  PoolSpec,
  PortInfo,
  SlotKind,
  SlotPoolSpec,
  UplinkGroup,
  UplinkSelector,
  VfPoolSpec,
  VfRange,
  VfSelector,
} from '../engine/pools/model.ts';
import { DEFAULT_CAPACITY } from '../engine/pools/zero-config.ts';
import { compact } from './compact.ts';
import { infoTarget } from './info-target.ts';
import { type FUNCTION_KINDS, type poolSchema, SLOT_KINDS, type uplinkGroupsSchema } from './pool-schema.ts';

type PoolEntry = z.output<typeof poolSchema>;
type GroupEntries = z.output<typeof uplinkGroupsSchema>;
type SelectorEntry = NonNullable<PoolEntry['selectors']>[number];
type UplinkEntry = NonNullable<PoolEntry['uplinks']>[number];

/** What the file says besides the pool. */
export interface PoolSurroundings {
  readonly prefix: string;
  readonly origin: string;
  readonly uplinkGroups: GroupEntries | undefined;
  readonly keepBack: readonly VfRange[] | undefined;
}

const CANDIDATES: Readonly<Record<(typeof FUNCTION_KINDS)[number], NonNullable<VfPoolSpec['candidates']>>> = {
  vf: 'vfs',
  function: 'functions',
  accelerator: 'accelerators',
  sf: 'scalable',
};

/** The groups that it names are there: `poolProblems` has seen to that. */
export function poolSpec(pool: PoolEntry, { prefix, origin, uplinkGroups, keepBack }: PoolSurroundings): PoolSpec {
  const base = {
    resource: `${prefix}/${pool.name}`,
    origin,
    excludeTopology: pool.excludeTopology ?? false,
    ...(pool.namespaces === undefined ? {} : { namespaces: pool.namespaces }),
    ...(pool.allocation === undefined ? {} : { allocation: pool.allocation }),
    health: healthOf(pool.health ?? {}),
  };
  const groups = groupsOf(uplinkGroups ?? {});
  const { kind } = pool;
  if (isSlotKind(kind)) return { ...base, ...slotFields(pool, kind, groups) };
  const candidates = CANDIDATES[kind];
  return {
    ...base,
    kind: 'vf',
    ...(candidates === 'vfs' ? {} : { candidates }),
    selectors: (pool.selectors ?? []).map((selector) => vfSelector(selector, groups)),
    ...(pool.perPf === undefined ? {} : { perPf: compact<PerPf>(pool.perPf) }),
    ...(keepBack === undefined ? {} : { keptBack: keepBack }),
    ...infoOf(pool.additionalInfo ?? {}),
  };
}

function infoOf(entries: NonNullable<PoolEntry['additionalInfo']>): Pick<VfPoolSpec, 'additionalInfo' | 'infoByPort'> {
  const additionalInfo: Record<string, Readonly<Record<string, string>>> = {};
  const infoByPort: PortInfo[] = [];
  for (const [key, info] of Object.entries(entries)) {
    const target = infoTarget(key);
    // `poolProblems` has told what is no target.
    if (typeof target === 'string') continue;
    if ('id' in target) additionalInfo[target.id] = info;
    else infoByPort.push({ port: target.port, info });
  }
  return { additionalInfo, ...(infoByPort.length === 0 ? {} : { infoByPort }) };
}

function isSlotKind(kind: PoolEntry['kind']): kind is SlotKind {
  return (SLOT_KINDS as readonly string[]).includes(kind);
}

function slotFields(
  pool: PoolEntry,
  kind: SlotKind,
  groups: ReadonlyMap<string, UplinkGroup>,
): Pick<SlotPoolSpec, 'kind' | 'uplinks' | 'capacity' | 'mode' | 'perUplink'> {
  return {
    kind,
    uplinks: (pool.uplinks ?? []).map((selector) => uplinkSelector(selector, groups)),
    capacity: pool.capacity ?? DEFAULT_CAPACITY,
    ...(pool.mode === undefined ? {} : { mode: pool.mode }),
    ...(pool.name.includes('{uplink}') ? { perUplink: true } : {}),
  };
}

function healthOf({ holdDownSeconds, ...policies }: NonNullable<PoolEntry['health']>): HealthPolicy {
  return {
    ...DEFAULT_HEALTH,
    ...compact<Partial<HealthPolicy>>(policies),
    ...(holdDownSeconds === undefined ? {} : { holdDownS: holdDownSeconds }),
  };
}

function groupsOf(entries: GroupEntries): ReadonlyMap<string, UplinkGroup> {
  return new Map(
    Object.entries(entries).map(([name, uplinks]) => [
      name,
      { name, uplinks: uplinks.map((selector) => uplinkSelector(selector, new Map())) },
    ]),
  );
}

function vfSelector({ pfGroups, ...fields }: SelectorEntry, groups: ReadonlyMap<string, UplinkGroup>): VfSelector {
  return {
    ...compact<VfSelector>(fields),
    ...(pfGroups === undefined ? {} : { pfGroups: named(pfGroups, groups) }),
  };
}

/** Patterns among the names are told apart here: a name that is written out asks for that very link. */
function uplinkSelector(
  { groups: groupNames, names, ...fields }: UplinkEntry,
  groups: ReadonlyMap<string, UplinkGroup>,
): UplinkSelector {
  const patterns = names?.filter(isGlob) ?? [];
  const literal = names?.filter((name) => !isGlob(name)) ?? [];
  return {
    ...(literal.length === 0 ? {} : { names: literal }),
    ...(patterns.length === 0 ? {} : { namePatterns: patterns }),
    ...compact<UplinkSelector>(fields),
    ...(groupNames === undefined ? {} : { groups: named(groupNames, groups) }),
  };
}

function named(names: readonly string[], groups: ReadonlyMap<string, UplinkGroup>): readonly UplinkGroup[] {
  return names.flatMap((name) => groups.get(name) ?? []);
}
