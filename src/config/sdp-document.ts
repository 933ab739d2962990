/**
 * The SR-IOV network device plugin's configuration file, as it is: a document with `resourceList`.
 * Beside it the sections of Berth that are not about pools may stand, which the plugin ignores.
 * What the plugin accepts is accepted; what it ignores is a warning; what it refuses, crashes on or
 * can match nothing with is an error. What users of the plugin notice: docs/migrating.md.
 */
import { FOREIGN_CNI_HEALTH } from '../engine/pools/health.ts';
import type { VfPoolSpec, VfSelector } from '../engine/pools/model.ts';
import { suggest } from '../engine/suggest.ts';
import { asPciAddress } from '../engine/values.ts';
import { isError } from '../engine/view.ts';
import { compact } from './compact.ts';
import type { ConfigResult } from './config.ts';
import type { LocatedDocument } from './document.ts';
import { nodeSchema, nodeSettings } from './node-settings.ts';
import type { ConfigProblem } from './problem.ts';
import { configSchema } from './schema.ts';
import { schemaProblems, valueAt } from './schema-problems.ts';
import { type SdpDeviceType, type SdpResource, sdpSchema } from './sdp-schema.ts';
import { tidySdp } from './sdp-tidy.ts';
import { exclusiveKeys } from './selector-keys.ts';

/** The plugin's own default of `-resource-prefix`. */
export const SDP_PREFIX = 'intel.com';

/** The document is the plugin's, whatever else is wrong with it. */
export function isSdpDocument(document: LocatedDocument): boolean {
  return valueAt(document.value, ['resourceList']) !== undefined;
}

/** `name` is the file's, for the pools' origin; `prefix` that of resources which have none. */
export function readSdpDocument(document: LocatedDocument, name: string, prefix: string): ConfigResult {
  const tidy = tidySdp(document);
  const parsed = sdpSchema.safeParse(tidy.document.value);
  const settings = nodeSchema.safeParse(document.value);
  const problems = [
    ...otherKeys(document),
    ...tidy.problems,
    ...(settings.success ? [] : schemaProblems(nodeSchema, document, settings.error.issues)),
    ...(parsed.success ? [] : schemaProblems(sdpSchema, tidy.document, parsed.error.issues)),
    ...resourcesTogether(tidy.document, prefix),
  ].toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  if (!parsed.success || !settings.success || problems.some(isError)) return { problems };
  const pools = parsed.data.resourceList.map((resource, at) =>
    specOf(resource, prefix, `${name}:${document.problem(['resourceList', at], '').line}`),
  );
  return { config: { pools, ...nodeSettings(settings.data) }, problems };
}

function specOf(resource: SdpResource, prefix: string, origin: string): VfPoolSpec {
  const { additionalInfo = {}, deviceType = 'netDevice', excludeTopology = false, resourceName, selectors } = resource;
  const { resourcePrefix = prefix } = resource;
  return {
    kind: 'vf',
    resource: `${resourcePrefix}/${resourceName}`,
    origin,
    candidates: CANDIDATES[deviceType],
    hyphens: 'kept',
    excludeTopology,
    health: FOREIGN_CNI_HEALTH,
    selectors: selectors.map((selector) => selectorOf(deviceType, selector)),
    additionalInfo: Object.fromEntries(
      Object.entries(additionalInfo).map(([key, value]) => [asPciAddress(key) ?? key, value]),
    ),
  };
}

const CANDIDATES = { netDevice: 'functions', accelerator: 'accelerators', auxNetDevice: 'scalable' } as const;

/** The plugin's accelerators are of PCI base class 12 only. Its auxiliary devices are all scalable functions. */
function selectorOf(
  deviceType: SdpDeviceType,
  { auxTypes: _auxTypes, ...selector }: SdpResource['selectors'][number],
): VfSelector {
  return { ...(deviceType === 'accelerator' ? { classes: ['12'] } : {}), ...compact<VfSelector>(selector) };
}

function otherKeys(document: LocatedDocument): readonly ConfigProblem[] {
  const own = Object.keys(configSchema.shape);
  return Object.keys(document.value ?? {}).flatMap((key): readonly ConfigProblem[] => {
    if (key === 'resourceList' || key === '$schema' || key in nodeSchema.shape) return [];
    if (own.includes(key)) {
      const message = `${key} is about pools, which Berth's own form of the file has instead of resourceList`;
      return [document.problem([key], message, 'write pools instead of resourceList to use it', true)];
    }
    const message = `unknown key ${JSON.stringify(key)}, which is ignored`;
    return [{ ...document.problem([key], message, suggest(key, ['resourceList']), true), severity: 'warning' }];
  });
}

/** What the schema cannot see: types of devices, names that meet, keys that are addresses. */
function resourcesTogether(document: LocatedDocument, defaultPrefix: string): readonly ConfigProblem[] {
  const list = valueAt(document.value, ['resourceList']);
  if (!Array.isArray(list)) return [];
  const seen = new Map<string, { readonly resource: string; readonly line: number | undefined }>();
  return list.flatMap((entry: unknown, at): readonly ConfigProblem[] => {
    const path = ['resourceList', at];
    const problems = [...selectorsTogether(document, path, entry), ...additionalInfoKeys(document, path, entry)];
    const name = valueAt(entry, ['resourceName']);
    if (typeof name !== 'string') return problems;
    const resource = `${valueAt(entry, ['resourcePrefix']) ?? defaultPrefix}/${name}`;
    const variable = resource.toUpperCase().replaceAll('.', '_');
    const before = seen.get(variable);
    const here = document.problem([...path, 'resourceName'], '');
    if (before === undefined) {
      seen.set(variable, { resource, line: here.line });
    } else if (before.resource === resource) {
      const message = `the resource ${resource} is there already, on line ${before.line}`;
      problems.push({ ...here, message, hint: 'write its selectors as a list in one resource' });
    } else {
      const message = `${resource} and ${before.resource} (line ${before.line}) give containers the same environment variable; one that asks for both sees only one`;
      problems.push({ ...here, message, hint: 'give one of them another name', severity: 'warning' });
    }
    return problems;
  });
}

/** What the plugin refuses of a selector as a whole. */
function selectorsTogether(
  document: LocatedDocument,
  path: readonly (string | number)[],
  entry: unknown,
): readonly ConfigProblem[] {
  const selectors = valueAt(entry, ['selectors']);
  if (!Array.isArray(selectors)) return [];
  const isAuxiliary = valueAt(entry, ['deviceType']) === 'auxNetDevice';
  return selectors.flatMap((selector: unknown, index): readonly ConfigProblem[] => {
    const at = [...path, 'selectors', index];
    const problems = exclusiveKeys(document, at, selector);
    if (!isAuxiliary || valueAt(selector, ['auxTypes']) !== undefined) return problems;
    return [...problems, document.problem(at, 'required for deviceType auxNetDevice: auxTypes', 'it is ["sf"]')];
  });
}

/** The plugin takes any key here, and finds no device for it. */
function additionalInfoKeys(
  document: LocatedDocument,
  path: readonly (string | number)[],
  entry: unknown,
): readonly ConfigProblem[] {
  const info = valueAt(entry, ['additionalInfo']);
  if (typeof info !== 'object' || info === null || Array.isArray(info)) return [];
  return Object.keys(info)
    .filter((key) => key !== '*' && asPciAddress(key) === undefined)
    .map((key) => {
      const message = `${JSON.stringify(key)} is neither "*" nor a full PCI address, and applies to no device`;
      return { ...document.problem([...path, 'additionalInfo', key], message, undefined, true), severity: 'warning' };
    });
}
