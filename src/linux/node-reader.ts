/**
 * Reads a node's inventory from a root: `/`, or a captured tree. It knows no events: a caller tells
 * it what to read again. To debug a device that is missing or wrong, look at the inventory's
 * `unread`, then at the same paths below the root.
 */
import { BerthError } from '../engine/errors.ts';
import type {
  Inventory,
  LinkCounters,
  Netdev,
  Nic,
  NodeFacts,
  PciFacts,
  Vf,
  VirtualLink,
} from '../engine/inventory/model.ts';
import type { ChangeHint, NodeReader, VfCountersAnswer, VfSettingsAnswer } from '../engine/inventory/port.ts';
import { shareInventory } from '../engine/inventory/share.ts';
import type { PciAddress } from '../engine/values.ts';
import { named } from './device-names.ts';
import type { MachineFacts } from './facts/machine.ts';
import { procDefaultRoutes } from './facts/proc-routes.ts';
import { FACTS_PATH, recordedFacts } from './facts/recorded.ts';
import type { DriverFacts, FactSource, LinkFacts, LinkRef, QueueFacts } from './facts/source.ts';
import { Reread } from './reread.ts';
import { readBuses } from './sysfs/buses.ts';
import { readGroupmates } from './sysfs/groupmates.ts';
import { type KnownLinks, readNetdev, readVirtualLink } from './sysfs/netdev.ts';
import { type NetdevHome, netdevHome, netdevHomes, netdevsBelow } from './sysfs/netdev-homes.ts';
import { readNic, readVf, splitNics } from './sysfs/nic.ts';
import { readNodeFacts } from './sysfs/node-facts.ts';
import { createPacer } from './sysfs/pacer.ts';
import {
  classOf,
  type FunctionPlace,
  functionPlace,
  isRelevantClass,
  pciAddresses,
  physfnOf,
  virtfnsOf,
} from './sysfs/pci.ts';
import { noPciNames, type PciNames } from './sysfs/pci-ids.ts';
import { Notes, type Scan } from './sysfs/scan.ts';
import { SlowSlots } from './sysfs/slow-reads.ts';
import { readLinkCounters } from './sysfs/statistics.ts';
import { openNodeTree, type Tree } from './sysfs/tree.ts';
import { parseVpd, type VitalProductData, VPD_LIMIT_BYTES } from './sysfs/vpd.ts';

/** What to read, and whom to ask for what files do not tell. */
export interface NodeReaderOptions {
  /** `/` or the folder of a captured tree. */
  readonly root: string;
  /** Kubelet's name of the node; the host name when absent. */
  readonly nodeName?: string;
  /** What sysfs does not tell; the tree's own record when absent. */
  readonly facts?: FactSource;
  readonly names?: PciNames;
  /** Asked once, for what the tree's files do not tell of the machine; not asked when absent. */
  readonly machine?: () => Promise<MachineFacts>;
  /** Read instead of the files below `root`. */
  readonly tree?: Tree;
}

/** How long one scan waits for files that ask firmware or locks, all of them together. */
const SLOW_READS_MS = { full: 2000, again: 30 } as const;

/** @throws BerthError `NotFound` or `Invalid` when the root is no tree. */
export function createNodeReader(options: NodeReaderOptions): NodeReader {
  return new TreeReader(options, options.tree ?? openNodeTree(options.root));
}

class TreeReader implements NodeReader {
  readonly #tree: Tree;
  readonly #facts: FactSource;
  readonly #names: PciNames;
  readonly #nodeName: string | undefined;
  readonly #machine: (() => Promise<MachineFacts>) | undefined;
  readonly #slots = new SlowSlots();
  #onLate: (hint: ChangeHint) => void = () => undefined;
  readonly #driversOwed = new Set<PciAddress>();
  #askedMachine: Promise<MachineFacts> | undefined;
  /** Vital product data by function and incarnation: the EEPROM is slow and does not change. */
  readonly #vpd = new Map<
    PciAddress,
    { readonly inode: string | undefined; readonly data: VitalProductData | undefined }
  >();

  constructor(options: NodeReaderOptions, tree: Tree) {
    this.#tree = tree;
    this.#facts = options.facts ?? recordedFacts(tree);
    this.#names = options.names ?? noPciNames;
    this.#nodeName = options.nodeName;
    this.#machine = options.machine;
  }

  async read(signal?: AbortSignal): Promise<Inventory> {
    const scan = this.#scan(SLOW_READS_MS.full, signal);
    const known = await this.#allLinks(scan);
    const homes = await netdevHomes(scan);
    const own = new Map(
      homes.flatMap((home) =>
        home.function === undefined || home.extra !== undefined ? [] : [[home.function, home] as const],
      ),
    );
    const functions = await this.#relevantFunctions(scan, own);
    const netdevs = await this.#netdevs(scan, own, functions, known);
    const found = splitNics(await this.#nics(scan, functions, netdevs));
    const links = homes.filter(
      (home) => home.function === undefined || home.extra !== undefined || !functions.has(home.function),
    );
    const virtual = await this.#virtual(scan, links, known);
    const node = await this.#node(scan);
    const groupmates = await readGroupmates(
      scan,
      groupsOf([...found.nics, ...(found.accelerators ?? [])]),
      new Set(functions.keys()),
    );
    this.#tree.forget();
    const inventory: Inventory = {
      node,
      ...found,
      ...(groupmates.length === 0 ? {} : { groupmates }),
      virtual,
      findings: [],
      unread: scan.notes.list(),
    };
    return await named(inventory, this.#names);
  }

  async reread(previous: Inventory, hints: readonly ChangeHint[], signal?: AbortSignal): Promise<Inventory> {
    if (hints.some((hint) => hint.kind === 'all')) return shareInventory(previous, await this.read(signal));
    const scan = this.#scan(SLOW_READS_MS.again, signal);
    const again = new Reread(scan, this.#facts, previous, this.#driversOwed);
    return shareInventory(previous, await named(await again.run(hints), this.#names));
  }

  onLate(listener: (hint: ChangeHint) => void): void {
    this.#onLate = listener;
  }

  async vfSettings(pf: LinkRef): Promise<VfSettingsAnswer> {
    return await this.#facts.vfSettings(pf);
  }

  async vfCounters(pf: LinkRef): Promise<VfCountersAnswer> {
    return await this.#facts.vfCounters(pf);
  }

  async linkCounters(links: readonly LinkRef[]): Promise<ReadonlyMap<string, LinkCounters>> {
    const scan = this.#scan(SLOW_READS_MS.again, undefined);
    const found = new Map<string, LinkCounters>();
    for (const link of links) {
      if (scan.pacer.due()) await scan.pacer.pause();
      setIfFound(found, link.ifname, readLinkCounters(scan, link));
    }
    return found;
  }

  #scan(slowMs: number, signal: AbortSignal | undefined): Scan {
    this.#tree.forget();
    const notes = new Notes();
    return {
      tree: this.#tree,
      notes,
      pacer: createPacer(signal),
      slow: this.#slots.scan(slowMs),
      late: (hint: ChangeHint) => this.#onLate(hint),
      buses: readBuses(this.#tree, notes),
    };
  }

  async #node(scan: Scan): Promise<NodeFacts> {
    const told = readNodeFacts(scan, this.#nodeName);
    if (this.#machine === undefined) return told;
    if (told.machine !== undefined && told.cpus !== undefined && told.memoryBytes !== undefined) return told;
    this.#askedMachine ??= this.#machine();
    const asked = this.#askedMachine;
    return { ...told, ...(await noted(scan, 'systeminformation', () => asked)), ...told };
  }

  async #allLinks(scan: Scan): Promise<KnownLinks> {
    const links = await noted(scan, 'netlink RTM_GETLINK', () => this.#facts.links());
    const routes = await noted(scan, 'netlink RTM_GETROUTE', () => this.#facts.defaultRoutes());
    const names =
      routes === undefined && !this.#tree.live
        ? await procDefaultRoutes(this.#tree, (source, error) => scan.notes.add(source, error))
        : undefined;
    return {
      facts: async (ifindex): Promise<LinkFacts | undefined> => links?.get(ifindex),
      hasDefaultRoute: ({ ifindex, ifname }) => routes?.has(ifindex) ?? names?.has(ifname) ?? false,
    };
  }

  /** Functions of network and accelerator classes, and any other that has a netdev. */
  async #relevantFunctions(
    scan: Scan,
    own: Map<PciAddress, NetdevHome>,
  ): Promise<ReadonlyMap<PciAddress, FunctionPlace>> {
    const found = new Map<PciAddress, FunctionPlace>();
    for (const address of pciAddresses(scan)) {
      if (scan.pacer.due()) await scan.pacer.pause();
      const place = functionPlace(scan, address);
      if (place === undefined || (!own.has(address) && !isRelevantClass(classOf(scan, place)))) continue;
      found.set(address, place);
      if (!own.has(address) && !this.#tree.live) setIfFound(own, address, netdevWithoutClass(scan, place));
    }
    return found;
  }

  async #netdevs(
    scan: Scan,
    own: ReadonlyMap<PciAddress, NetdevHome>,
    functions: ReadonlyMap<PciAddress, FunctionPlace>,
    known: KnownLinks,
  ): Promise<ReadonlyMap<PciAddress, Netdev>> {
    const netdevs = new Map<PciAddress, Netdev>();
    const reading: Promise<void>[] = [];
    for (const [address, home] of own) {
      if (!functions.has(address)) continue;
      if (scan.pacer.due()) await scan.pacer.pause();
      reading.push(readNetdev(scan, home, known).then((netdev) => setIfFound(netdevs, address, netdev)));
    }
    await Promise.all(reading);
    return netdevs;
  }

  async #nics(
    scan: Scan,
    functions: ReadonlyMap<PciAddress, FunctionPlace>,
    netdevs: ReadonlyMap<PciAddress, Netdev>,
  ): Promise<readonly Nic[]> {
    const pfOf = new Map<PciAddress, PciAddress>();
    for (const [address, place] of functions) {
      if (scan.pacer.due()) await scan.pacer.pause();
      const pf = physfnOf(scan, place);
      if (pf !== undefined && functions.has(pf)) pfOf.set(address, pf);
    }
    const queues = pfOf.size === 0 ? undefined : this.#queues(scan);
    const reading = [...functions.values()]
      .filter((place) => !pfOf.has(place.address))
      .map((place) => this.#nic(scan, place, functions, netdevs, queues));
    const nics = (await Promise.all(reading)).filter((nic) => nic !== undefined);
    const listed = new Set(nics.flatMap((nic) => nic.vfs.map((vf) => vf.address)));
    const known = new Set(nics.map((nic) => nic.address));
    for (const [address, pf] of pfOf) {
      const lost = functions.get(address);
      if (known.has(pf) && !listed.has(address) && lost !== undefined && this.#tree.inode(lost.home) !== undefined) {
        scan.notes.add(`${lost.name}/physfn`, `${pf} has no link to it`);
      }
    }
    return nics;
  }

  async #nic(
    scan: Scan,
    place: FunctionPlace,
    functions: ReadonlyMap<PciAddress, FunctionPlace>,
    netdevs: ReadonlyMap<PciAddress, Netdev>,
    asked: Promise<ReadonlyMap<number, QueueFacts> | undefined> | undefined,
  ): Promise<Nic | undefined> {
    if (scan.pacer.due()) await scan.pacer.pause();
    const netdev = netdevs.get(place.address);
    const virtfns = virtfnsOf(scan, place);
    const [settings, driver, vpd, queues] = await Promise.all([
      netdev === undefined || virtfns.length === 0 ? undefined : this.#settings(scan, netdev),
      this.#driver(scan, place, netdev),
      this.#vitalProductData(scan, place),
      virtfns.length === 0 ? undefined : asked,
    ]);
    const vfs: Vf[] = [];
    for (const { index, address } of virtfns) {
      if (scan.pacer.due()) await scan.pacer.pause();
      const vfPlace = functions.get(address) ?? functionPlace(scan, address);
      const own = netdevs.get(address);
      const vf =
        vfPlace &&
        readVf(
          scan,
          vfPlace,
          { index, pf: place.address },
          {
            netdev: own,
            settings: typeof settings === 'object' ? settings.settings.get(index) : undefined,
            queues: own === undefined ? undefined : queues?.get(own.ifindex),
          },
        );
      if (vf !== undefined) vfs.push(vf);
    }
    if (scan.pacer.due()) await scan.pacer.pause();
    const vfSettings = settings === undefined ? undefined : settings !== 'none';
    return readNic(scan, place, {
      vfs,
      listedVfs: virtfns.length,
      ...(netdev === undefined ? {} : { netdev }),
      ...(driver === undefined ? {} : { driver }),
      ...(vpd === undefined ? {} : { vpd }),
      ...(vfSettings === undefined ? {} : { vfSettings }),
    });
  }

  async #settings(scan: Scan, pf: LinkRef): Promise<VfSettingsAnswer> {
    return await noted(scan, `netlink IFLA_VFINFO_LIST ${pf.ifname}`, async () => {
      const answer = await this.#facts.vfSettings(pf);
      if (typeof answer === 'object') noteMissing(scan.notes, pf, answer.missing);
      return answer;
    });
  }

  async #driver(scan: Scan, { address }: FunctionPlace, netdev: LinkRef | undefined): Promise<DriverFacts | undefined> {
    const source = `driver facts of ${address}`;
    return await noted(scan, source, () => scan.slow.read(source, () => this.#facts.driver(address, netdev)));
  }

  /** Of all links at once: VFs are too many to be asked one by one. */
  async #queues(scan: Scan): Promise<ReadonlyMap<number, QueueFacts> | undefined> {
    const source = 'queues and rings of all links';
    return await noted(scan, source, () => scan.slow.read(source, () => this.#facts.queues()));
  }

  async #vitalProductData(scan: Scan, place: FunctionPlace): Promise<VitalProductData | undefined> {
    const path = `${place.home}/vpd`;
    return await noted(scan, `${place.name}/vpd`, async () => {
      const inode = this.#tree.inode(place.home);
      const before = this.#vpd.get(place.address);
      if (this.#tree.live && before !== undefined && before.inode === inode) return before.data;
      return await scan.slow.read(path, async () => {
        const bytes = await this.#tree.bytesLater(path, VPD_LIMIT_BYTES);
        const data = bytes === undefined ? undefined : parseVpd(bytes);
        this.#vpd.set(place.address, { inode, data });
        return data;
      });
    });
  }

  async #virtual(scan: Scan, homes: readonly NetdevHome[], known: KnownLinks): Promise<readonly VirtualLink[]> {
    const reading: Promise<VirtualLink | undefined>[] = [];
    for (const home of homes) {
      if (scan.pacer.due()) await scan.pacer.pause();
      reading.push(readVirtualLink(scan, home, known));
    }
    return (await Promise.all(reading))
      .filter((link) => link !== undefined)
      .sort((one, other) => (one.ifname < other.ifname ? -1 : 1));
  }
}

function groupsOf(nics: readonly Nic[]): ReadonlySet<number> {
  const devices = nics.flatMap((nic): readonly PciFacts[] => [nic, ...nic.vfs]);
  return new Set(devices.flatMap(({ iommuGroup }) => iommuGroup ?? []));
}

function noteMissing(notes: Notes, pf: LinkRef, missing: readonly number[]): void {
  if (missing.length > 0)
    notes.add(`netlink IFLA_VFINFO_LIST ${pf.ifname}`, `settings of VFs ${missing.join(', ')} do not fit`);
}

/** The answer, or `undefined` with a note when asking failed. */
async function noted<T>(scan: Scan, source: string, ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask();
  } catch (error) {
    // One file answers many questions: when it is bad, that is said once.
    const isFactsFile = error instanceof BerthError && error.reason === 'facts-invalid';
    if (isFactsFile) scan.notes.add(FACTS_PATH, error.message.replace(`${FACTS_PATH}: `, ''));
    else scan.notes.add(source, error);
    return undefined;
  }
}

/** For trees that have a function's netdev but not the link in class/net. */
function netdevWithoutClass(scan: Scan, place: FunctionPlace): NetdevHome | undefined {
  const first = netdevsBelow(scan, place.home)[0];
  if (first === undefined) return undefined;
  return netdevHome(scan, first.ifname) ?? { ...first, name: first.home, function: place.address };
}

function setIfFound<K, V>(map: Map<K, V>, key: K, value: V | undefined): void {
  if (value !== undefined) map.set(key, value);
}
