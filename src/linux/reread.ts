/**
 * Reads again what hints name, on top of an inventory. A hint is only a reason to look: what the
 * files say counts. One change touches few devices, but it may be seen from both sides (a NIC that
 * joins a bond, a VF that appears below its PF), so every device that is read again names the
 * neighbours that must be too.
 */
import type { Inventory, Netdev, Nic, Unread, Vf, VirtualLink } from '../engine/inventory/model.ts';
import type { ChangeHint } from '../engine/inventory/port.ts';
import type { PciAddress } from '../engine/values.ts';
import type { DriverFacts, FactSource, LinkFacts, QueueFacts } from './facts/source.ts';
import { type KnownLinks, readNetdev, readVirtualLink } from './sysfs/netdev.ts';
import { functionOf, markExtra, type NetdevHome, netdevHome, netdevsBelow } from './sysfs/netdev-homes.ts';
import { readNic, readVf, splitNics } from './sysfs/nic.ts';
import {
  classOf,
  type FunctionPlace,
  functionPlace,
  isRelevantClass,
  PCI_DEVICES,
  physfnOf,
  virtfnsOf,
} from './sysfs/pci.ts';
import type { Scan } from './sysfs/scan.ts';
import { SlowReadError } from './sysfs/slow-reads.ts';
import { Worklist } from './worklist.ts';

/** One re-read; used once. */
export class Reread {
  readonly #scan: Scan;
  readonly #facts: FactSource;
  readonly #previous: Inventory;
  readonly #nics: Map<PciAddress, Nic>;
  readonly #vfs: Map<PciAddress, Vf>;
  readonly #virtual: Map<string, VirtualLink>;
  /** VFs of the PFs whose list was read again. */
  readonly #lists = new Map<PciAddress, ReadonlySet<PciAddress>>();
  readonly #functionWork = new Worklist<PciAddress>();
  readonly #linkWork = new Worklist<string>();
  readonly #driversOwed: Set<PciAddress>;
  readonly #driversAsked = new Set<PciAddress>();
  #known: KnownLinks;

  /** `driversOwed`: functions whose driver has not answered in time; kept from one re-read to the next. */
  constructor(scan: Scan, facts: FactSource, previous: Inventory, driversOwed: Set<PciAddress> = new Set()) {
    this.#scan = scan;
    this.#facts = facts;
    this.#driversOwed = driversOwed;
    this.#previous = previous;
    const nics = [...previous.nics, ...(previous.accelerators ?? [])];
    this.#nics = new Map(nics.map((nic) => [nic.address, nic]));
    this.#vfs = new Map(nics.flatMap((nic) => nic.vfs.map((vf) => [vf.address, vf])));
    this.#virtual = new Map(previous.virtual.map((link) => [link.ifname, link]));
    this.#known = this.#knownBefore();
  }

  async run(hints: readonly ChangeHint[]): Promise<Inventory> {
    for (const hint of hints) this.#take(hint);
    if (hints.some((hint) => this.#mayChangeRoutes(hint))) await this.#readRoutes();
    while (!this.#functionWork.isEmpty || !this.#linkWork.isEmpty) {
      if (this.#scan.pacer.due()) await this.#scan.pacer.pause();
      for (const name of this.#linkWork.take()) await this.#readLink(name);
      for (const address of this.#functionWork.take()) await this.#readFunction(address);
    }
    return this.#result();
  }

  #take(hint: ChangeHint): void {
    switch (hint.kind) {
      case 'pci':
        this.#wantFunction(hint.address);
        // A VF comes and goes in its PF's list too.
        this.#wantFunction(this.#vfs.get(hint.address)?.pf);
        return;
      case 'link':
        this.#wantHolder(hint.ifindex);
        this.#linkWork.want(hint.ifname);
        return;
      case 'address':
        this.#wantHolder(hint.ifindex);
        return;
      case 'module':
        this.#wantFunction(functionOf(hint.devpath));
        this.#wantGroup(hint.devpath);
        return;
      case 'route':
      case 'all':
        return;
      default:
        hint satisfies never;
    }
  }

  #wantFunction(address: PciAddress | undefined): void {
    if (address !== undefined) this.#functionWork.want(address);
  }

  /** Who has the interface index until now; its name may be another one since. */
  #wantHolder(ifindex: number): void {
    for (const device of this.#functions()) if (device.netdev?.ifindex === ifindex) this.#wantFunction(device.address);
    for (const link of this.#virtual.values()) {
      if (link.ifindex !== ifindex) continue;
      this.#linkWork.want(link.ifname);
      this.#wantParent(link.ifname);
    }
  }

  /** A scalable function's netdev is listed with its parent's functions too. */
  #wantParent(ifname: string): void {
    for (const nic of this.#nics.values())
      if (nic.scalable?.some((sf) => sf.ifname === ifname) === true) this.#wantFunction(nic.address);
  }

  /** `/devices/virtual/vfio/12`: whoever is in that IOMMU group got or lost its character device. */
  #wantGroup(devpath: string): void {
    const group = /\/vfio\/(?:noiommu-)?([0-9]{1,9})$/.exec(devpath)?.[1];
    if (group === undefined) return;
    for (const device of this.#functions()) if (device.iommuGroup === Number(group)) this.#wantFunction(device.address);
  }

  *#functions(): Generator<Nic | Vf> {
    yield* this.#nics.values();
    yield* this.#vfs.values();
  }

  *#netdevs(): Generator<Netdev> {
    for (const device of this.#functions()) if (device.netdev !== undefined) yield device.netdev;
    yield* this.#virtual.values();
  }

  /** The kernel drops IPv4 routes without a word when their link goes down or away. */
  #mayChangeRoutes(hint: ChangeHint): boolean {
    if (hint.kind === 'route') return true;
    if (hint.kind !== 'link') return false;
    for (const netdev of this.#netdevs()) if (netdev.ifindex === hint.ifindex) return netdev.defaultRoute;
    return false;
  }

  async #readRoutes(): Promise<void> {
    try {
      const routes = await this.#facts.defaultRoutes();
      if (routes === undefined) return;
      const before = this.#known;
      this.#known = { ...before, hasDefaultRoute: ({ ifindex }) => routes.has(ifindex) };
      for (const netdev of this.#netdevs())
        if (routes.has(netdev.ifindex) !== netdev.defaultRoute) this.#wantHolder(netdev.ifindex);
    } catch (error) {
      this.#scan.notes.add('netlink RTM_GETROUTE', error);
    }
  }

  #knownBefore(): KnownLinks {
    const routes = new Set<number>();
    for (const netdev of this.#netdevs()) if (netdev.defaultRoute) routes.add(netdev.ifindex);
    const asked = new Map<number, Promise<LinkFacts | undefined>>();
    return {
      facts: (ifindex) => {
        const answer = asked.get(ifindex) ?? this.#askLink(ifindex);
        asked.set(ifindex, answer);
        return answer;
      },
      hasDefaultRoute: ({ ifindex }) => routes.has(ifindex),
    };
  }

  async #askLink(ifindex: number): Promise<LinkFacts | undefined> {
    try {
      return await this.#facts.link(ifindex);
    } catch (error) {
      this.#scan.notes.add(`netlink RTM_GETLINK ${ifindex}`, error);
      return undefined;
    }
  }

  async #readLink(name: string): Promise<void> {
    this.#linkWork.begin(name);
    const before = this.#virtual.get(name);
    const home = netdevHome(this.#scan, name);
    const role = home === undefined ? undefined : this.#role(home);
    if (role?.function !== undefined && role.extra === undefined) this.#wantFunction(role.function);
    const isOwn =
      role?.function !== undefined &&
      role.extra === undefined &&
      (this.#isKnown(role.function) || this.#isThere(role.function));
    const link = role === undefined || isOwn ? undefined : await readVirtualLink(this.#scan, role, this.#known);
    for (const [other, holder] of this.#virtual)
      if (holder.ifindex === link?.ifindex && other !== name) this.#linkWork.want(other);
    if (link === undefined) this.#virtual.delete(name);
    else this.#virtual.set(name, link);
    if (role?.extra === 'sf') this.#wantFunction(role.function);
    this.#wantNeighbours(before, link);
    for (const device of this.#functions())
      if (device.ifname === name && device.address !== role?.function) this.#wantFunction(device.address);
  }

  #isKnown(address: PciAddress): boolean {
    return this.#nics.has(address) || this.#vfs.has(address);
  }

  /** Enough for the function of a netdev to be a NIC, whatever its class. */
  #isThere(address: PciAddress): boolean {
    return functionPlace(this.#scan, address) !== undefined;
  }

  #role(home: NetdevHome): NetdevHome {
    if (home.function === undefined) return home;
    return this.#homesOf(home.function, home).find((sibling) => sibling.ifname === home.ifname) ?? home;
  }

  #homesOf(address: PciAddress, also?: NetdevHome): readonly NetdevHome[] {
    const place = functionPlace(this.#scan, address);
    const names = place === undefined ? [] : netdevsBelow(this.#scan, place.home).map((below) => below.ifname);
    const homes = new Map(names.map((name) => [name, netdevHome(this.#scan, name)]));
    if (also !== undefined) homes.set(also.ifname, also);
    const found = [...homes.values()].filter((home) => home !== undefined);
    return markExtra(
      this.#scan,
      found.filter((home) => home.function === address),
    );
  }

  async #readFunction(address: PciAddress): Promise<void> {
    this.#functionWork.begin(address);
    const place = functionPlace(this.#scan, address);
    const before = this.#nics.get(address) ?? this.#vfs.get(address);
    const homes = place === undefined ? [] : this.#homesOf(address);
    const own = homes.find((home) => home.extra === undefined);
    for (const home of homes) if (home.extra !== undefined) this.#linkWork.want(home.ifname);
    this.#nics.delete(address);
    this.#vfs.delete(address);
    const netdev = own === undefined ? undefined : await readNetdev(this.#scan, own, this.#known);
    if (place !== undefined && (netdev !== undefined || isRelevantClass(classOf(this.#scan, place)))) {
      await this.#readRole(place, netdev, before);
    }
    this.#forgetVirtualTwin(netdev);
    this.#wantNeighbours(before?.netdev, netdev);
  }

  /** A link that was seen before its function was is not a virtual one after all. */
  #forgetVirtualTwin(netdev: Netdev | undefined): void {
    if (netdev !== undefined) this.#virtual.delete(netdev.ifname);
  }

  async #readRole(place: FunctionPlace, netdev: Netdev | undefined, before: Nic | Vf | undefined): Promise<void> {
    const pf = physfnOf(this.#scan, place);
    if (pf !== undefined && (this.#nics.has(pf) || this.#isRelevantFunction(pf))) {
      await this.#readVf(place, pf, netdev, before);
      return;
    }
    const listedVfs = this.#listVfs(place);
    const old = before !== undefined && 'vfs' in before ? before : undefined;
    const driver = (await this.#driver(place, netdev, old, listedVfs)) ?? old;
    const vfSettings = old?.sriov?.vfSettings;
    const nic = readNic(this.#scan, place, {
      vfs: old?.vfs ?? [],
      listedVfs,
      ...(netdev === undefined ? {} : { netdev }),
      ...(driver === undefined ? {} : { driver }),
      ...(old === undefined ? {} : { vpd: old }),
      ...(vfSettings === undefined ? {} : { vfSettings }),
    });
    if (nic !== undefined) this.#nics.set(nic.address, nic);
  }

  #isRelevantFunction(address: PciAddress): boolean {
    const place = functionPlace(this.#scan, address);
    return place !== undefined && isRelevantClass(classOf(this.#scan, place));
  }

  async #readVf(
    place: FunctionPlace,
    pf: PciAddress,
    netdev: Netdev | undefined,
    before: Nic | Vf | undefined,
  ): Promise<void> {
    const pfPlace = functionPlace(this.#scan, pf);
    const old = before !== undefined && 'pf' in before ? before : undefined;
    const index =
      old?.index ?? (pfPlace && virtfnsOf(this.#scan, pfPlace).find((vf) => vf.address === place.address)?.index);
    if (old === undefined) this.#wantFunction(pf);
    if (index === undefined) return;
    const queues = netdev === undefined ? undefined : await this.#queues(place.address, netdev, old);
    const vf = readVf(this.#scan, place, { index, pf }, { netdev, settings: old?.settings, queues });
    if (vf !== undefined) this.#vfs.set(vf.address, vf);
  }

  /** Asked of an interface that has come; one whose driver answers late announces itself, and is asked again then. */
  async #queues(address: PciAddress, netdev: Netdev, old: Vf | undefined): Promise<QueueFacts | undefined> {
    if (old?.netdev?.ifindex === netdev.ifindex && !this.#driversOwed.has(address)) {
      const { queues, rings } = old;
      return { ...(queues === undefined ? {} : { queues }), ...(rings === undefined ? {} : { rings }) };
    }
    const source = `queues and rings of ${netdev.ifname}`;
    try {
      const again = () => this.#scan.late({ kind: 'pci', address, action: 'change' });
      const answer = await this.#scan.slow.read(source, () => this.#facts.queuesOf(netdev), again);
      this.#driversOwed.delete(address);
      return answer;
    } catch (error) {
      if (error instanceof SlowReadError) this.#driversOwed.add(address);
      else this.#scan.notes.add(source, error);
      return undefined;
    }
  }

  /** Notes the PF's VFs of now; those that are new are read too. */
  #listVfs(place: FunctionPlace): number {
    const listed = virtfnsOf(this.#scan, place);
    this.#lists.set(place.address, new Set(listed.map((vf) => vf.address)));
    for (const { address, index } of listed) if (this.#vfs.get(address)?.index !== index) this.#wantFunction(address);
    return listed.length;
  }

  /**
   * Asked of a NIC that is new, or whose number of VFs is another: drivers share queues between PF and
   * VFs. `undefined`: what was known stands, for now or for good.
   */
  async #driver(
    place: FunctionPlace,
    netdev: Netdev | undefined,
    old: Nic | undefined,
    listedVfs: number,
  ): Promise<DriverFacts | undefined> {
    const { address } = place;
    if (old !== undefined && old.vfs.length === listedVfs && !this.#driversOwed.has(address)) return undefined;
    const source = driverSource(address);
    this.#driversAsked.add(address);
    try {
      const again = () => this.#scan.late({ kind: 'pci', address, action: 'change' });
      const answer = await this.#scan.slow.read(source, () => this.#facts.driver(address, netdev), again);
      this.#driversOwed.delete(address);
      return answer;
    } catch (error) {
      // One that is only late announces itself, and is asked for again then.
      if (error instanceof SlowReadError) this.#driversOwed.add(address);
      if (!(error instanceof SlowReadError) || old === undefined) this.#scan.notes.add(source, error);
      return undefined;
    }
  }

  /** Whoever is above, below or master on one side only has changed with it. */
  #wantNeighbours(before: Netdev | undefined, after: Netdev | undefined): void {
    const old = neighbours(before);
    const now = neighbours(after);
    // A rename shows in the lists of all neighbours.
    const isRenamed = before?.ifname !== after?.ifname;
    for (const name of new Set([...old, ...now]))
      if (isRenamed || old.has(name) !== now.has(name)) this.#wantNamed(name);
  }

  #wantNamed(name: string): void {
    for (const device of this.#functions()) if (device.ifname === name) this.#wantFunction(device.address);
    this.#linkWork.want(name);
  }

  #result(): Inventory {
    const byPf = Map.groupBy(this.#vfs.values(), (vf) => vf.pf);
    const nics = [...this.#nics.values()].map((nic) => this.#withVfs(nic, byPf.get(nic.address) ?? []));
    const { accelerators: _before, ...previous } = this.#previous;
    return {
      ...previous,
      ...splitNics(nics.sort((one, other) => (one.address < other.address ? -1 : 1))),
      virtual: [...this.#virtual.values()].sort((one, other) => (one.ifname < other.ifname ? -1 : 1)),
      unread: this.#unread(),
    };
  }

  #withVfs(nic: Nic, found: readonly Vf[]): Nic {
    const list = this.#lists.get(nic.address);
    const listed = list === undefined ? found : found.filter((vf) => list.has(vf.address));
    const vfs = listed.toSorted((one, other) => one.index - other.index);
    if (vfs.length === nic.vfs.length && vfs.every((vf, index) => vf === nic.vfs[index])) return nic;
    if (nic.sriov === undefined || list !== undefined) return { ...nic, vfs };
    return { ...nic, sriov: { ...nic.sriov, numVfs: vfs.length }, vfs };
  }

  /** Notes of devices that were read again are replaced; the others stand. */
  #unread(): readonly Unread[] {
    const again = [
      ...[...this.#functionWork.begun].map((address) => `${PCI_DEVICES}/${address}/`),
      ...[...this.#linkWork.begun].map((name) => `sys/class/net/${name}/`),
      ...[...this.#driversAsked].map(driverSource),
    ];
    const fresh = this.#scan.notes.list();
    const kept = this.#previous.unread.filter(({ source }) => !again.some((prefix) => source.startsWith(prefix)));
    const told = new Set(kept.map(({ source }) => source));
    return [...kept, ...fresh.filter(({ source }) => !told.has(source))];
  }
}

/** What notes about a driver's answer name. */
function driverSource(address: PciAddress): string {
  return `driver facts of ${address}`;
}

function neighbours(netdev: Netdev | undefined): ReadonlySet<string> {
  if (netdev === undefined) return new Set();
  return new Set([...netdev.uppers, ...netdev.lowers, ...(netdev.master === undefined ? [] : [netdev.master])]);
}
