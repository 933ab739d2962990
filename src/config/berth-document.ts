/** Berth's own configuration file: from a document to a {@link Config}, with every problem at once. */
import type { z } from 'zod';
import { DEFAULT_HEALTH } from '../engine/pools/health.ts';
import type { HealthPolicy, PoolSpec, UplinkSelector, VfSelector } from '../engine/pools/model.ts';
import { DEFAULT_CAPACITY, DEFAULT_PREFIX, zeroConfigPools } from '../engine/pools/zero-config.ts';
import { asPciAddress } from '../engine/values.ts';
import { DEFAULT_CNI } from './cni.ts';
import { compact } from './compact.ts';
import type { Config, ConfigResult } from './config.ts';
import type { LocatedDocument } from './document.ts';
import type { ConfigProblem } from './problem.ts';
import { configSchema, type poolSchema } from './schema.ts';
import { schemaProblems, valueAt } from './schema-problems.ts';

type PoolEntry = z.output<typeof poolSchema>;

/** `name` is the file's, for the pools' origin; `prefix` comes before the one in the file. */
export function readBerthDocument(document: LocatedDocument, name: string, prefix: string | undefined): ConfigResult {
  const parsed = configSchema.safeParse(document.value);
  const problems = [
    ...(parsed.success ? [] : schemaProblems(configSchema, document, parsed.error.issues)),
    ...poolsTogether(document),
  ].toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  if (!parsed.success || problems.length > 0) return { problems };
  const { pools, cni, kubelet, paths } = parsed.data;
  const resourcePrefix = prefix ?? parsed.data.resourcePrefix ?? DEFAULT_PREFIX;
  const config: Config = {
    pools:
      pools?.map((pool, at) => specOf(pool, resourcePrefix, `${name}:${document.problem(['pools', at], '').line}`)) ??
      zeroConfigPools(resourcePrefix),
    registration: kubelet?.registration ?? 'auto',
    cdi: kubelet?.cdi ?? false,
    cni: {
      allocation: cni?.allocation ?? DEFAULT_CNI.allocation,
      statusFailsOn: cni?.statusFailsOn ?? DEFAULT_CNI.statusFailsOn,
      ...(cni?.logDir === undefined ? {} : { logDir: cni.logDir }),
    },
    paths: {
      ...(paths?.kubeletDir === undefined ? {} : { kubeletDir: paths.kubeletDir }),
      ...(paths?.deviceInfoDir === undefined ? {} : { deviceInfoDir: paths.deviceInfoDir }),
      ...(paths?.cdiDir === undefined ? {} : { cdiDir: paths.cdiDir }),
      ...(paths?.runDir === undefined ? {} : { runDir: paths.runDir }),
      ...(paths?.stateDir === undefined ? {} : { stateDir: paths.stateDir }),
    },
  };
  return { config, problems };
}

function healthOf({ holdDownSeconds, ...policies }: NonNullable<PoolEntry['health']>): HealthPolicy {
  return {
    ...DEFAULT_HEALTH,
    ...compact<Partial<HealthPolicy>>(policies),
    ...(holdDownSeconds === undefined ? {} : { holdDownS: holdDownSeconds }),
  };
}

function specOf(pool: PoolEntry, prefix: string, origin: string): PoolSpec {
  const base = {
    resource: `${prefix}/${pool.name}`,
    origin,
    excludeTopology: pool.excludeTopology ?? false,
    ...(pool.namespaces === undefined ? {} : { namespaces: pool.namespaces }),
    ...(pool.allocation === undefined ? {} : { allocation: pool.allocation }),
    health: healthOf(pool.health ?? {}),
  };
  if (pool.kind === 'vf') {
    const additionalInfo = Object.fromEntries(
      Object.entries(pool.additionalInfo ?? {}).map(([key, value]) => [asPciAddress(key) ?? key, value]),
    );
    return { ...base, kind: 'vf', selectors: (pool.selectors ?? []).map(compact<VfSelector>), additionalInfo };
  }
  return {
    ...base,
    kind: pool.kind,
    uplinks: (pool.uplinks ?? []).map(compact<UplinkSelector>),
    capacity: pool.capacity ?? DEFAULT_CAPACITY,
  };
}

/**
 * What the schema cannot see: keys that do not fit the kind, names that meet. It looks at the raw
 * value, so that problems elsewhere in the file do not hide these.
 */
function poolsTogether(document: LocatedDocument): readonly ConfigProblem[] {
  const pools = valueAt(document.value, ['pools']);
  if (!Array.isArray(pools)) return [];
  const problems: ConfigProblem[] = [];
  const names = new Map<string, { readonly name: string; readonly line: number | undefined }>();
  pools.forEach((pool: unknown, at) => {
    const path = ['pools', at];
    problems.push(...misplacedKeys(document, path, pool), ...additionalInfoKeys(document, path, pool));
    const name = valueAt(pool, ['name']);
    if (typeof name !== 'string') return;
    const variable = name.toUpperCase().replaceAll(/[-.]/g, '_');
    const before = names.get(variable);
    if (before !== undefined) {
      const message =
        before.name === name
          ? `the pool ${name} is there already, on line ${before.line}`
          : `${name} and ${before.name} (line ${before.line}) give containers the same environment variable, ${variable}`;
      problems.push(document.problem([...path, 'name'], message, 'give one of them another name'));
    } else {
      names.set(variable, { name, line: document.problem([...path, 'name'], '').line });
    }
  });
  return problems;
}

const KEYS_OF_KIND = { vf: ['selectors', 'additionalInfo'], slots: ['uplinks', 'capacity'] } as const;

function misplacedKeys(
  document: LocatedDocument,
  path: readonly (string | number)[],
  pool: unknown,
): readonly ConfigProblem[] {
  const kind = valueAt(pool, ['kind']);
  if (kind !== 'vf' && kind !== 'macvlan' && kind !== 'ipvlan') return [];
  const wrong = kind === 'vf' ? KEYS_OF_KIND.slots : KEYS_OF_KIND.vf;
  const right = kind === 'vf' ? 'selectors' : 'uplinks';
  return wrong
    .filter((key) => valueAt(pool, [key]) !== undefined)
    .map((key) =>
      document.problem([...path, key], `${key} does not apply to kind ${kind}`, `${kind} pools have ${right}`, true),
    );
}

function additionalInfoKeys(
  document: LocatedDocument,
  path: readonly (string | number)[],
  pool: unknown,
): readonly ConfigProblem[] {
  const info = valueAt(pool, ['additionalInfo']);
  if (typeof info !== 'object' || info === null || Array.isArray(info)) return [];
  return Object.keys(info)
    .filter((key) => key !== '*' && asPciAddress(key) === undefined)
    .map((key) =>
      document.problem(
        [...path, 'additionalInfo', key],
        `${JSON.stringify(key)} is neither "*" nor a full PCI address, as in 0000:41:10.0`,
        undefined,
        true,
      ),
    );
}
