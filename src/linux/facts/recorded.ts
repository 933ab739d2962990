/**
 * Facts of a captured tree: `berth/facts.json`, written by `berth capture`. Without the file they
 * are unknown. The file comes from a bug report: it is bounded, and validated before it is believed.
 */
import { z } from 'zod';
import { BerthError } from '../../engine/errors.ts';
import type { VfCountersAnswer, VfSettingsAnswer } from '../../engine/inventory/port.ts';
import { asPrefix } from '../../engine/ipam/ip.ts';
import { asMacAddress, asPciAddress } from '../../engine/values.ts';
import { reasonOf, type Tree } from '../sysfs/tree.ts';
import type { DriverFacts, FactSource, LinkFacts, QueueFacts } from './source.ts';

/** Below the root of the tree. */
export const FACTS_PATH = 'berth/facts.json';
/** 2,048 VFs with all their settings and links make 1 MB. */
const LIMIT_BYTES = 16 * 2 ** 20;

const text = z.string().max(256);
const mac = z.string().transform((value, context) => {
  const parsed = asMacAddress(value);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: 'not a hardware address' });
  return z.NEVER;
});
/** `address/length`, as the kernel's are read. */
const prefix = text.refine((value) => asPrefix(value) !== undefined, 'not an address with its length');
const guid = z.string().regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){7}$/);
const mbps = z.int().min(0).max(0xffffffff);

const vfSettings = z.strictObject({
  adminMac: mac.optional(),
  vlan: z.int().min(0).max(4095).optional(),
  vlanQos: z.int().min(0).max(7).optional(),
  vlanProto: z.enum(['802.1q', '802.1ad']).optional(),
  minTxRateMbps: mbps.optional(),
  maxTxRateMbps: mbps.optional(),
  spoofCheck: z.boolean().optional(),
  trust: z.boolean().optional(),
  linkState: z.enum(['auto', 'enable', 'disable']).optional(),
  nodeGuid: guid.optional(),
  portGuid: guid.optional(),
});

const counted = z.int().min(0);
const vfCounters = z.strictObject({
  rxBytes: counted,
  txBytes: counted,
  rxPackets: counted,
  txPackets: counted,
  broadcast: counted,
  multicast: counted,
  rxDropped: counted,
  txDropped: counted,
});

const byIndex = z.string().regex(/^[0-9]{1,5}$/);
const hexDigits = z.string().regex(/^[0-9a-f]{0,64}$/);

const many = z.int().min(0).max(0xffffffff).optional();
const queues = z
  .strictObject({ combined: many, rx: many, tx: many, combinedMax: many, rxMax: many, txMax: many })
  .transform(withoutUndefined);
const rings = z.strictObject({ rx: many, tx: many, rxMax: many, txMax: many }).transform(withoutUndefined);

const link = z.strictObject({
  ifindex: z.int().min(1),
  altnames: z.array(text).max(256),
  permanentMac: mac.optional(),
  carrier: z.boolean().optional(),
  kind: text.optional(),
  addresses: z.array(prefix).max(4096),
  defaultRoute: z.boolean(),
  /** `none`: the driver lists no VFs. */
  vfs: z.union([z.literal('none'), z.record(byIndex, vfSettings)]).optional(),
  vfCounters: z.record(byIndex, vfCounters).optional(),
  queues: queues.optional(),
  rings: rings.optional(),
  physPortId: hexDigits.optional(),
  physPortName: text.optional(),
  physSwitchId: hexDigits.optional(),
});

const driver = z.strictObject({
  driverVersion: text.optional(),
  firmware: text.optional(),
  firmwareStored: text.optional(),
  serial: text.optional(),
  partNumber: text.optional(),
  ddpProfile: text.optional(),
  eswitchMode: z.enum(['legacy', 'switchdev']).optional(),
  queues: queues.optional(),
  rings: rings.optional(),
  offloads: z.array(text).max(128).optional(),
});

const document = z.strictObject({
  /** Additions that old readers cannot ignore raise it. */
  schema: z.literal(1),
  links: z.array(link).max(65_536),
  functions: z.record(
    z.string().refine((key) => asPciAddress(key) !== undefined, 'not a PCI address'),
    driver,
  ),
});

/** What capture writes. */
export type FactsDocument = z.input<typeof document>;

/** Reads the file at the first question, once. Throws `Invalid` when it is not what capture writes. */
export function recordedFacts(tree: Tree): FactSource {
  let loaded: Promise<Recorded | undefined> | undefined;
  const recorded = () => {
    loaded ??= load(tree);
    return loaded;
  };
  return {
    links: async () => (await recorded())?.links,
    link: async (ifindex) => (await recorded())?.links.get(ifindex),
    defaultRoutes: async () => (await recorded())?.defaultRoutes,
    vfSettings: async (pf) => (await recorded())?.settings.get(pf.ifindex),
    vfCounters: async (pf) => (await recorded())?.counters.get(pf.ifindex),
    queues: async () => (await recorded())?.queues,
    queuesOf: async ({ ifindex }) => (await recorded())?.queues.get(ifindex),
    driver: async (address) => (await recorded())?.functions.get(address),
  };
}

interface Recorded {
  readonly links: ReadonlyMap<number, LinkFacts>;
  readonly defaultRoutes: ReadonlySet<number>;
  readonly settings: ReadonlyMap<number, VfSettingsAnswer>;
  readonly counters: ReadonlyMap<number, VfCountersAnswer>;
  readonly queues: ReadonlyMap<number, QueueFacts>;
  readonly functions: ReadonlyMap<string, DriverFacts>;
}

async function load(tree: Tree): Promise<Recorded | undefined> {
  const bytes = await readDocument(tree);
  if (bytes === undefined) return undefined;
  const parsed = document.safeParse(parseJson(bytes.toString('utf8')));
  if (!parsed.success) throw invalid(mistakesIn(parsed.error));
  const { links, functions } = parsed.data;
  return {
    links: new Map(links.map((entry) => [entry.ifindex, linkFacts(entry)])),
    defaultRoutes: new Set(links.filter((entry) => entry.defaultRoute).map((entry) => entry.ifindex)),
    settings: new Map(links.map((entry) => [entry.ifindex, settingsOf(entry.vfs)])),
    counters: new Map(links.map((entry) => [entry.ifindex, countersOf(entry.vfCounters)])),
    queues: new Map(
      links.map((entry) => [entry.ifindex, withoutUndefined({ queues: entry.queues, rings: entry.rings })]),
    ),
    functions: new Map(
      Object.entries(functions).map(([address, facts]) => [address.toLowerCase(), withoutUndefined(facts)]),
    ),
  };
}

const MOST_MISTAKES = 3;

/** `links.0.ifindex: Invalid input: expected int, received string`. */
function mistakesIn({ issues }: z.ZodError): string {
  const told = issues
    .slice(0, MOST_MISTAKES)
    .map(({ message, path }) => `${path.join('.') || 'all of it'}: ${message}`);
  const more = issues.length > told.length ? [`${issues.length - told.length} more`] : [];
  return [...told, ...more].join('; ');
}

async function readDocument(tree: Tree): Promise<Buffer | undefined> {
  try {
    return await tree.bytesLater(FACTS_PATH, LIMIT_BYTES);
  } catch (error) {
    throw invalid(reasonOf(error));
  }
}

function parseJson(source: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    throw invalid(reasonOf(error));
  }
}

function invalid(why: string): BerthError {
  return new BerthError({
    code: 'Invalid',
    reason: 'facts-invalid',
    message: `${FACTS_PATH}: ${why}`,
    remedy: 'Capture the node again, or remove the file to read the tree without these facts.',
  });
}

function linkFacts({
  defaultRoute: _route,
  vfs: _vfs,
  vfCounters: _counters,
  queues: _queues,
  rings: _rings,
  ...facts
}: z.output<typeof link>): LinkFacts {
  return withoutUndefined(facts);
}

function countersOf(counters: z.output<typeof link>['vfCounters']): VfCountersAnswer {
  return counters && new Map(Object.entries(counters).map(([index, counted]) => [Number(index), counted]));
}

function settingsOf(vfs: z.output<typeof link>['vfs']): VfSettingsAnswer {
  if (vfs === undefined || vfs === 'none') return vfs;
  const settings = new Map(Object.entries(vfs).map(([index, told]) => [Number(index), withoutUndefined(told)]));
  return { settings, missing: [] };
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};

/** Optional fields that are absent, instead of present and `undefined`. */
function withoutUndefined<T extends object>(value: T): Defined<T> {
  return Object.fromEntries(Object.entries(value).filter(([, field]) => field !== undefined)) as Defined<T>;
}
