/**
 * Attachments that sriov-cni made before the switch to Berth, taken over: its cache holds the VF's
 * state from before its ADD, which is a baseline, so that a record can be made of it. From then on
 * the attachment is like any other; when it is restored, the plugin's files go too.
 *
 * The owner of a VF is the newest cache that names it: older ones are what failed DELs have left.
 * Debug: `cat /var/lib/cni/sriov/<container id>-<interface>`, `cat /var/lib/cni/sriov/pci/<address>`.
 */
import { z } from 'zod';
import { toBerthError } from '../../errors.ts';
import { type AddressPlace, DEFAULT_DATA_DIR } from '../../ipam/model.ts';
import { type LinkState, marksOf } from '../../links/index.ts';
import { isUserspaceDriver } from '../../links/userspace-driver.ts';
import { asIfName, asMacAddress, asNetworkName, asPciAddress, type PciAddress } from '../../values.ts';
import type { AttachmentContext } from '../context.ts';
import type { AttachmentKey } from '../model.ts';
import type { Link, Namespace, PciFunction } from '../port.ts';
import { type AttachmentRecord, RECORD_SCHEMA } from '../record.ts';
import { keyText } from '../record-book.ts';
import type { Predecessor, SriovCniCache } from './port.ts';

const LOCK_MS = 30_000;

const number = z.int().min(0).nullish();
/** VfState and NetConf of sriov-cni's pkg/types, as far as releasing a VF needs them. */
const cacheContent = z.looseObject({
  name: z.string().optional(),
  deviceID: z.string(),
  ipam: z.looseObject({ type: z.string().optional() }).nullish(),
  vlan: number,
  vlanQoS: number,
  min_tx_rate: number,
  max_tx_rate: number,
  spoofchk: z.string().optional(),
  trust: z.string().optional(),
  link_state: z.string().optional(),
  OrigVfState: z.looseObject({
    HostIFName: z.string(),
    SpoofChk: z.boolean().optional(),
    Trust: z.boolean().optional(),
    AdminMAC: z.string().optional(),
    EffectiveMAC: z.string().optional(),
    Vlan: number,
    VlanQoS: number,
    VlanProto: number,
    MinTxRate: number,
    MaxTxRate: number,
    /** IFLA_VF_LINK_STATE_* of linux/if_link.h. */
    LinkState: number,
    MTU: number,
  }),
});
type CacheContent = z.output<typeof cacheContent>;

const LINK_STATES = ['auto', 'enable', 'disable'] as const;
/** ETH_P_8021AD; the plugin writes the protocol in host byte order. */
const ETH_P_8021AD = 0x88a8;

/**
 * Makes records of every VF that sriov-cni has given to a sandbox; those whose VF has come home
 * without DEL are to be restored. What cannot be judged stays as it is. Answers which. Never throws.
 */
export async function adoptSriovCni(context: AttachmentContext): Promise<readonly string[]> {
  const adopted: string[] = [];
  try {
    for (const cache of newestByDevice(context.sriovCni.caches())) {
      if (await adoptCache(context, cache)) adopted.push(keyText(cache.key));
    }
  } catch (error) {
    context.log.warn({ problem: toBerthError(error).message }, 'the state of sriov-cni could not be read');
  }
  return adopted;
}

/**
 * For a DEL or CHECK of an attachment without record: makes one of the plugin's cache, if it has
 * one. `given` is the runtime's sandbox. True when there is a record now.
 */
export async function adoptForCall(
  context: AttachmentContext,
  key: AttachmentKey,
  given: Namespace | undefined,
  predecessor: Predecessor | undefined,
): Promise<boolean> {
  const cache = context.sriovCni.cache(key);
  if (cache === undefined) return false;
  const content = cacheContent.safeParse(cache.json).data;
  const device = content === undefined ? undefined : asPciAddress(content.deviceID);
  if (content === undefined || device === undefined) return false;
  const isOwner = newestByDevice(context.sriovCni.caches()).some((each) => keyText(each.key) === keyText(key));
  const record = isOwner ? await recordOf(context, cache, content, device, given, predecessor) : undefined;
  if (record !== undefined) {
    context.records.put(record);
    return true;
  }
  // Another pod's by now: the VF is not looked at again, and the cache of an earlier owner is worth nothing.
  if (!isOwner || context.records.holderOf(device) !== undefined) context.sriovCni.removeCache(key);
  return false;
}

/** Removes what the plugin wrote for an attachment that is restored now. */
export function forgetSriovCni(context: AttachmentContext, record: AttachmentRecord): void {
  if (record.madeBy !== 'sriov-cni') return;
  context.sriovCni.removeCache(record.key);
  const device = asPciAddress(record.device);
  if (device !== undefined) context.sriovCni.removeClaim(device, record.sandbox.path);
}

async function adoptCache(context: AttachmentContext, cache: SriovCniCache): Promise<boolean> {
  const content = cacheContent.safeParse(cache.json).data;
  const device = content === undefined ? undefined : asPciAddress(content.deviceID);
  if (content === undefined || device === undefined) {
    context.log.warn({ attachment: keyText(cache.key) }, 'a cache of sriov-cni cannot be understood and is left alone');
    return false;
  }
  const signal = AbortSignal.timeout(LOCK_MS);
  return context.attachmentLocks.run(keyText(cache.key), signal, async () => {
    if (context.records.get(cache.key) !== undefined || context.records.holderOf(device) !== undefined) return false;
    const record = await recordOf(context, cache, content, device, undefined, undefined);
    if (record === undefined) return false;
    context.records.put(record);
    context.log.info({ attachment: keyText(record.key), device }, 'taken over from sriov-cni');
    return true;
  });
}

/**
 * The record that the cache amounts to, or `undefined` when nothing proves that the VF is still this
 * attachment's: it is in the sandbox, or at home under the interface's name.
 */
async function recordOf(
  context: AttachmentContext,
  cache: SriovCniCache,
  content: CacheContent,
  device: PciAddress,
  given: Namespace | undefined,
  predecessor: Predecessor | undefined,
): Promise<AttachmentRecord | undefined> {
  const { key } = cache;
  const holder = context.records.holderOf(device);
  const fn = await context.kernel.pciFunction(device);
  const path = context.sriovCni.claim(device) ?? '';
  if (holder !== undefined || fn === undefined || fn.vfIndex === undefined) return undefined;
  const opened = given ?? (path === '' ? undefined : await context.kernel.open(path));
  try {
    const inside = opened === undefined || opened.isHost ? undefined : await linkOf(opened, device);
    const isUserspace = isUserspaceDriver(fn.driver);
    const isHome = fn.ifname !== undefined && fn.ifname === key.ifname && fn.ifname !== content.OrigVfState.HostIFName;
    if (inside === undefined && !isHome && !(isUserspace && opened !== undefined)) return undefined;
    const home = fn.ifname === undefined ? undefined : await context.kernel.host.link({ name: fn.ifname });
    const network = predecessor?.network ?? asNetworkName(content.name ?? '');
    if (network === undefined) return undefined;
    const now = context.clock.now().toISOString();
    const addresses = predecessor?.addresses ?? placeOf(content);
    return {
      schema: RECORD_SCHEMA,
      key,
      network,
      requestId: 'sriov-cni',
      bootId: context.bootId,
      createdAt: new Date(cache.writtenAtMs).toISOString(),
      since: now,
      sandbox: {
        path,
        cookie: opened?.id.cookie ?? '',
        nsid: opened === undefined ? NO_NSID : await context.kernel.nsid(opened),
      },
      phase: isHome ? 'restoring' : 'attached',
      device,
      lockKey: device,
      exclusive: true,
      steps: [],
      madeBy: 'sriov-cni',
      link: stateOf(key, content, device, fn, inside ?? home),
      ...(addresses === undefined ? {} : { addresses }),
      result: {
        ifname: key.ifname,
        hasNetdev: !isUserspace,
        pci: device,
        addresses:
          opened === undefined || inside === undefined
            ? []
            : (await opened.addresses(inside.index))
                .filter((entry) => entry.scope === 'global')
                .map((entry) => ({ address: entry.address })),
        routes: [],
        dns: {},
        ...(inside?.mac === undefined ? {} : { mac: inside.mac }),
      },
    };
  } finally {
    if (opened !== given) opened?.close();
  }
}

/** No namespace has it: whoever asks is told that the sandbox is gone. */
const NO_NSID = -1;

function stateOf(
  key: AttachmentKey,
  content: CacheContent,
  device: PciAddress,
  fn: PciFunction,
  link: Link | undefined,
): LinkState {
  const was = content.OrigVfState;
  const ifname = asIfName(was.HostIFName);
  const mac = asMacAddress(was.EffectiveMAC ?? '');
  const admin = asMacAddress(was.AdminMAC ?? '');
  const linkState = LINK_STATES[was.LinkState ?? 0];
  return {
    kind: 'vf',
    device,
    driver: fn.driver ?? '',
    incarnation: fn.incarnation,
    vfIndex: fn.vfIndex ?? 0,
    ...marksOf(key),
    baseline: {
      ...(ifname === undefined || isUserspaceDriver(fn.driver)
        ? {}
        : {
            netdev: {
              ifname,
              mtu: was.MTU === undefined || was.MTU === null || was.MTU === 0 ? (link?.mtu ?? 1500) : was.MTU,
              // The plugin takes a VF as it is and leaves it down.
              up: false,
              ...(mac === undefined ? {} : { mac }),
            },
          }),
      settings: {
        ...(admin === undefined ? {} : { mac: admin }),
        vlan: was.Vlan ?? 0,
        vlanQos: was.VlanQoS ?? 0,
        ...(was.VlanProto === ETH_P_8021AD ? { vlanProto: '802.1ad' as const } : {}),
        ...(was.MinTxRate === undefined || was.MinTxRate === null ? {} : { minTxRateMbps: was.MinTxRate }),
        ...(was.MaxTxRate === undefined || was.MaxTxRate === null ? {} : { maxTxRateMbps: was.MaxTxRate }),
        ...(was.SpoofChk === undefined ? {} : { spoofCheck: was.SpoofChk }),
        ...(was.Trust === undefined ? {} : { trust: was.Trust }),
        ...(linkState === undefined ? {} : { linkState }),
      },
    },
    wanted: {
      ...(content.vlan === undefined || content.vlan === null ? {} : { vlan: content.vlan }),
      ...(content.vlanQoS === undefined || content.vlanQoS === null ? {} : { vlanQos: content.vlanQoS }),
      ...(content.max_tx_rate === undefined || content.max_tx_rate === null
        ? {}
        : { maxTxRateMbps: content.max_tx_rate }),
      ...onOff('spoofCheck', content.spoofchk),
      ...onOff('trust', content.trust),
    },
  };
}

function onOff<K extends string>(field: K, text: string | undefined): { readonly [P in K]?: boolean } {
  return text === 'on' || text === 'off' ? ({ [field]: text === 'on' } as { readonly [P in K]?: boolean }) : {};
}

/** The cache says the plugin's name and nothing of its configuration: only host-local's usual folder can be known. */
function placeOf(content: CacheContent): AddressPlace | undefined {
  return content.ipam?.type === 'host-local' ? { type: 'host-local', dataDir: DEFAULT_DATA_DIR } : undefined;
}

async function linkOf(sandbox: Namespace, device: PciAddress): Promise<Link | undefined> {
  return (await sandbox.links()).find((link) => link.pci === device);
}

function newestByDevice(caches: readonly SriovCniCache[]): readonly SriovCniCache[] {
  const newest = new Map<string, SriovCniCache>();
  for (const cache of caches) {
    const device = cacheContent.safeParse(cache.json).data?.deviceID ?? keyText(cache.key);
    const known = newest.get(device);
    if (known === undefined || known.writtenAtMs < cache.writtenAtMs) newest.set(device, cache);
  }
  return [...newest.values()];
}
