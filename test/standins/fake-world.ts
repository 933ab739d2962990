/**
 * A node's network in memory: namespaces, links, an SR-IOV NIC, and the rules of the kernel that
 * attachments run into. It knows no port; `fake-kernel.ts` is its face.
 */

import { isDeepStrictEqual } from 'node:util';
import type { Link, LinkAddress, LinkOperation, Route, VfState } from '../../src/engine/attachments/port.ts';
import { BerthError, type ErrorCode } from '../../src/engine/errors.ts';
import { addressFamily, asIp, asPrefix, contains, sameAddress, sameNetwork } from '../../src/engine/ipam/ip.ts';
import { asIfName, type IfName, type MacAddress, type PciAddress } from '../../src/engine/values.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface WorldLink extends Mutable<Link> {
  readonly parent?: WorldLink;
  master?: WorldLink;
  arpNotify: boolean;
  /** uid and gid of the character device of a macvtap. */
  tapOwner?: string;
  /** Somebody removed its character device. */
  tapGone?: true;
  addresses: LinkAddress[];
  routes: Route[];
}

export interface WorldNamespace {
  readonly cookie: string;
  readonly links: Map<number, WorldLink>;
  readonly sysctls: Map<string, string>;
  readonly announced: string[];
  nextIndex: number;
  nsid?: number;
  alive: boolean;
}

export interface WorldVf {
  readonly address: PciAddress;
  readonly pf: WorldLink;
  readonly pfAddress: PciAddress;
  readonly index: number;
  driver: string;
  incarnation: string;
  link?: WorldLink;
  /** What the PF lists; absent for a driver without such settings. */
  settings?: Mutable<VfState>;
  /** The PF set the MAC: the VF may not change it itself any more. */
  macLocked: boolean;
  /** It was up once; from then on igb enforces the lock. */
  used: boolean;
}

const CODES: Readonly<Record<string, ErrorCode>> = {
  EBUSY: 'Busy',
  EEXIST: 'Busy',
  ENODEV: 'NotFound',
  EINVAL: 'Invalid',
  ENETUNREACH: 'Invalid',
  ENETDOWN: 'Invalid',
  EADDRNOTAVAIL: 'Invalid',
  EOPNOTSUPP: 'Unsupported',
  EPERM: 'Denied',
};

/** The VF's link; throws where a userspace driver left none. */
export function linkOf(vf: WorldVf): WorldLink {
  if (vf.link === undefined) throw new Error(`${vf.address} has no link`);
  return vf.link;
}

/** What the PF lists for the VF; throws where its driver lists nothing. */
export function settingsOf(vf: WorldVf): Mutable<VfState> {
  if (vf.settings === undefined) throw new Error(`${vf.address} has no settings`);
  return vf.settings;
}

export function kernelError(op: string, errno: string, extack?: string): BerthError {
  return new BerthError({
    code: CODES[errno] ?? 'Io',
    reason: `kernel-${errno.toLowerCase()}`,
    message: `${op}: ${errno}${extack === undefined ? '' : ` (${extack})`}`,
    op,
    errno,
    ...(extack === undefined ? {} : { extack }),
  });
}

/** macvlan and macvtap stand beside each other on one uplink. */
function lowerOf(kind: string | undefined): string | undefined {
  return kind === 'macvtap' ? 'macvlan' : kind;
}

export class World {
  /** Where address probes were sent from: `node` or `sandbox`, and the interface. */
  readonly probed: string[] = [];
  readonly host: WorldNamespace;
  readonly paths = new Map<string, WorldNamespace>();
  readonly vfs = new Map<PciAddress, WorldVf>();
  /** RDMA devices: whose they are, and where they are now. */
  readonly rdma = new Map<string, { readonly pci: PciAddress; at: WorldNamespace }>();
  rdmaMode: 'shared' | 'exclusive' | undefined;
  /** Links by the path of their device in sysfs. */
  readonly devicePaths = new Map<string, WorldLink>();
  /** Settings that the NIC's driver refuses. */
  readonly refusedSettings = new Set<keyof VfState>();
  /** Settings that it accepts and does not apply. */
  readonly ignoredSettings = new Set<keyof VfState>();
  /** IPv6 addresses that a neighbour has. */
  readonly neighbours = new Set<string>();
  #cookies = 4096n;
  #macs = 0;

  constructor() {
    this.host = this.#newNamespace();
    this.addLink(this.host, { name: 'lo' });
  }

  /** A sandbox at a path, as a runtime makes it. */
  addSandbox(path: string): WorldNamespace {
    const namespace = this.#newNamespace();
    this.addLink(namespace, { name: 'lo' });
    this.paths.set(path, namespace);
    return namespace;
  }

  /** Ends a namespace: virtual links die, physical ones come home, down and with the name they had. Answers the nsid it had. */
  destroySandbox(path: string): number | undefined {
    const namespace = this.paths.get(path);
    if (namespace === undefined) throw new Error(`no sandbox at ${path}`);
    this.paths.delete(path);
    return this.destroy(namespace);
  }

  destroy(namespace: WorldNamespace): number | undefined {
    namespace.alive = false;
    for (const link of [...namespace.links.values()]) {
      namespace.links.delete(link.index);
      if (link.kind !== undefined || link.name === 'lo') continue;
      if (this.byName(this.host, link.name) !== undefined) link.name = this.#devName(this.host);
      this.#place(this.host, link);
    }
    for (const device of this.rdma.values()) if (device.at === namespace) device.at = this.host;
    const { nsid } = namespace;
    delete namespace.nsid;
    return nsid;
  }

  addLink(namespace: WorldNamespace, fields: { name: string } & Partial<Omit<WorldLink, 'name' | 'index'>>): WorldLink {
    const link: WorldLink = {
      altnames: [],
      mtu: 1500,
      up: false,
      mac: this.newMac(),
      arpNotify: false,
      addresses: [],
      routes: [],
      ...fields,
      index: namespace.nextIndex,
      name: fields.name as IfName,
    };
    namespace.nextIndex += 1;
    namespace.links.set(link.index, link);
    return link;
  }

  /** A PF and its VFs; the addresses follow the PF's bus. */
  addNic(
    name: string,
    bus: string,
    vfs: number,
    options: { driver?: string; withSettings?: boolean; addresses?: readonly string[] } = {},
  ): WorldVf[] {
    const pfAddress = `0000:${bus}:00.0` as PciAddress;
    const pf = this.addLink(this.host, { name, up: true, carrier: true, pci: pfAddress, numVfs: vfs });
    return Array.from({ length: vfs }, (_none, index) => {
      const address = (options.addresses?.[index] ??
        `0000:${bus}:${(16 + (index >> 2)).toString(16)}.${(index & 3) * 2}`) as PciAddress;
      const link = this.addLink(this.host, { name: `${name}v${index}`, pci: address, carrier: false });
      const vf: WorldVf = {
        address,
        pf,
        pfAddress,
        index,
        driver: options.driver ?? 'igbvf',
        incarnation: `${bus}-${index}`,
        link,
        macLocked: false,
        used: false,
      };
      if (options.withSettings !== false) {
        vf.settings = {
          mac: '00:00:00:00:00:00' as MacAddress,
          vlan: 0,
          vlanQos: 0,
          minTxRateMbps: 0,
          maxTxRateMbps: 0,
          spoofCheck: true,
          trust: false,
          linkState: 'auto',
        };
      }
      this.vfs.set(address, vf);
      return vf;
    });
  }

  /** The driver lets go of the VF and takes it again: another netdev, with the GUID that the PF lists. */
  rebind(address: PciAddress, driver: string): void {
    const vf = this.vfs.get(address);
    if (vf === undefined) throw kernelError('rebind', 'ENODEV');
    if (vf.link !== undefined) this.host.links.delete(vf.link.index);
    vf.driver = driver;
    const guid = vf.settings?.portGuid;
    const mac = guid === undefined ? this.newMac() : (`00:00:01:07:fe:80:00:00:00:00:00:00:${guid}` as MacAddress);
    vf.link = this.addLink(this.host, { name: this.#devName(this.host), pci: address, carrier: false, mac });
    vf.macLocked = false;
  }

  newMac(): MacAddress {
    this.#macs += 1;
    return `02:00:00:00:${(this.#macs >> 8).toString(16).padStart(2, '0')}:${(this.#macs & 255).toString(16).padStart(2, '0')}` as MacAddress;
  }

  byName(namespace: WorldNamespace, name: string): WorldLink | undefined {
    for (const link of namespace.links.values()) if (link.name === name || link.altnames.includes(name)) return link;
    return undefined;
  }

  /** The macvtap whose character device has that index, wherever the link is. */
  tapLink(index: number): WorldLink | undefined {
    const everywhere = [this.host, ...this.paths.values()].flatMap((each) => [...each.links.values()]);
    return everywhere.find((link) => link.kind === 'macvtap' && link.index === index && link.tapGone !== true);
  }

  namespaceOf(link: WorldLink): WorldNamespace | undefined {
    return [this.host, ...this.paths.values()].find((namespace) => namespace.links.get(link.index) === link);
  }

  /** `net/<family>/conf/<interface>/<name>`, the only sysctls there are; `undefined` when it does not exist. */
  sysctl(namespace: WorldNamespace, path: readonly string[]): string | undefined {
    const [family, conf, ifname = '', name = '', ...rest] = path;
    const link = ['all', 'default'].includes(ifname) ? undefined : this.byName(namespace, ifname);
    if (conf !== 'conf' || rest.length > 0 || (link === undefined && !['all', 'default'].includes(ifname)))
      return undefined;
    if (family === 'ipv4' && name === 'arp_notify') return link?.arpNotify === true ? '1' : '0';
    if (family !== 'ipv6' || !['accept_dad', 'disable_ipv6', 'keep_addr_on_down', 'ndisc_notify'].includes(name))
      return undefined;
    return namespace.sysctls.get(path.join('/')) ?? '0';
  }

  assignNsid(namespace: WorldNamespace): number {
    if (namespace.nsid !== undefined) return namespace.nsid;
    const taken = new Set([...this.paths.values()].map((other) => other.nsid));
    let nsid = 0;
    while (taken.has(nsid)) nsid += 1;
    namespace.nsid = nsid;
    return nsid;
  }

  perform(namespace: WorldNamespace, operation: LinkOperation, target: WorldNamespace | undefined): void {
    switch (operation.op) {
      case 'link.create':
        this.#create(namespace, operation, target ?? namespace);
        return;
      case 'link.set':
        this.#set(namespace, operation, target);
        return;
      case 'link.delete': {
        const link = this.#require(namespace, operation.index, 'link.delete');
        if (link.kind === undefined) throw kernelError('link.delete', 'EOPNOTSUPP');
        this.#delete(namespace, link);
        return;
      }
      case 'altname.delete': {
        const link = this.#require(namespace, operation.index, 'altname.delete');
        if (!link.altnames.includes(operation.name)) throw kernelError('altname.delete', 'EINVAL');
        link.altnames = link.altnames.filter((name) => name !== operation.name);
        return;
      }
      case 'vf.set':
        this.#setVf(namespace, operation);
        return;
      case 'address.add':
      case 'address.delete':
        this.#address(namespace, operation);
        return;
      case 'route.add':
      case 'route.delete':
        this.#route(namespace, operation);
        return;
      default:
        operation satisfies never;
    }
  }

  #renumber(namespace: WorldNamespace, link: WorldLink, index: number): void {
    namespace.links.delete(link.index);
    link.index = index;
    namespace.links.set(index, link);
  }

  /** With a link go those that stand on it, wherever they are. */
  #delete(namespace: WorldNamespace, link: WorldLink): void {
    namespace.links.delete(link.index);
    for (const each of [this.host, ...this.paths.values()])
      for (const upper of [...each.links.values()]) if (upper.parent === link) this.#delete(each, upper);
  }

  #newNamespace(): WorldNamespace {
    this.#cookies += 1n;
    return {
      cookie: String(this.#cookies),
      links: new Map(),
      sysctls: new Map(),
      announced: [],
      nextIndex: 1,
      alive: true,
    };
  }

  #require(namespace: WorldNamespace, index: number, op: string): WorldLink {
    const link = namespace.links.get(index);
    if (link === undefined) throw kernelError(op, 'ENODEV');
    return link;
  }

  #devName(namespace: WorldNamespace): IfName {
    return this.#freeName(namespace, 'dev%d');
  }

  /** What the kernel makes of a name with `%d`: the lowest number that is free. */
  #freeName(namespace: WorldNamespace, pattern: string): IfName {
    let number = 0;
    while (this.byName(namespace, pattern.replace('%d', String(number))) !== undefined) number += 1;
    return pattern.replace('%d', String(number)) as IfName;
  }

  #place(namespace: WorldNamespace, link: WorldLink): void {
    link.up = false;
    link.addresses = [];
    link.routes = [];
    if (namespace.links.has(link.index)) {
      link.index = namespace.nextIndex;
      namespace.nextIndex += 1;
    }
    if (link.index < 0x1000_0000) namespace.nextIndex = Math.max(namespace.nextIndex, link.index + 1);
    namespace.links.set(link.index, link);
  }

  #create(
    namespace: WorldNamespace,
    operation: Extract<LinkOperation, { op: 'link.create' }>,
    into: WorldNamespace,
  ): void {
    const op = `link.create ${operation.kind}`;
    const parent = this.#require(namespace, operation.parentIndex, op);
    if (asIfName(operation.name) === undefined) throw kernelError(op, 'EINVAL');
    if ('index' in operation && operation.index !== undefined && into.links.has(operation.index))
      throw kernelError(op, 'EEXIST');
    if (this.byName(into, operation.name) !== undefined) throw kernelError(op, 'EEXIST');
    if ((operation.mtu ?? 0) > parent.mtu) throw kernelError(op, 'EINVAL', 'mtu greater than device maximum');
    const users = [this.host, ...this.paths.values()]
      .flatMap((each) => [...each.links.values()])
      .filter((link) => link.parent === parent);
    if (operation.kind === 'vlan') {
      if (users.some(({ vlan }) => vlan?.id === operation.id && vlan.protocol === operation.protocol))
        throw kernelError(op, 'EEXIST', 'VLAN device already exists');
    } else if (users.some((link) => link.kind !== 'vlan' && lowerOf(link.kind) !== lowerOf(operation.kind)))
      throw kernelError(op, 'EBUSY', 'Device or resource busy');
    const common = {
      name: operation.name,
      ...(operation.group === undefined ? {} : { group: operation.group }),
      mtu: operation.mtu ?? parent.mtu,
      parent,
      parentIndex: parent.index,
      carrier: parent.up,
      ...(into === namespace ? {} : { parentNsid: 0 }),
    };
    if (operation.kind === 'vlan') {
      const { id, protocol } = operation;
      const mac = parent.mac === undefined ? {} : { mac: parent.mac };
      this.addLink(into, { ...common, kind: 'vlan', ...mac, vlan: { id, protocol } });
      return;
    }
    if (operation.kind !== 'ipvlan') {
      if (
        users.some((link) => link.macvlan?.mode === 'passthru') ||
        (operation.mode === 'passthru' && users.some((link) => link.macvlan !== undefined))
      )
        throw kernelError(op, 'EINVAL');
      const made = this.addLink(into, {
        ...common,
        kind: operation.kind,
        mac: operation.mac ?? this.newMac(),
        macvlan: {
          mode: operation.mode,
          ...(operation.bcQueueLength === undefined ? {} : { bcQueueLength: operation.bcQueueLength }),
        },
      });
      if (operation.index !== undefined) this.#renumber(into, made, operation.index);
      return;
    }
    const ipvlan = { mode: operation.mode, flag: operation.flag };
    for (const link of users) if (link.kind === 'ipvlan') link.ipvlan = ipvlan;
    this.addLink(into, { ...common, kind: 'ipvlan', ...(parent.mac === undefined ? {} : { mac: parent.mac }), ipvlan });
  }

  #set(
    namespace: WorldNamespace,
    operation: Extract<LinkOperation, { op: 'link.set' }>,
    target: WorldNamespace | undefined,
  ): void {
    const op = 'link.set';
    const link = this.#require(namespace, operation.index, op);
    let at = namespace;
    if (target !== undefined) {
      const old = link.name;
      namespace.links.delete(link.index);
      if (this.byName(target, old) !== undefined) link.name = this.#devName(target);
      this.#place(target, link);
      at = target;
    }
    if (operation.mac !== undefined) this.#setOwnMac(link, operation.mac);
    if (operation.mtu !== undefined) {
      if (operation.mtu < 68 || operation.mtu > 9216)
        throw kernelError(op, 'EINVAL', 'mtu greater than device maximum');
      link.mtu = operation.mtu;
      this.#tellPfItsMac(link);
    }
    if (operation.name !== undefined && operation.name !== link.name) {
      const name = operation.name.includes('%d') ? this.#freeName(at, operation.name) : operation.name;
      const holder = this.byName(at, name);
      // The move, if there was one, has happened: that is what the kernel does.
      if (holder !== undefined && (holder !== link || link.altnames.includes(name))) throw kernelError(op, 'EEXIST');
      if (link.up) throw kernelError(op, 'EBUSY');
      link.name = name;
    }
    if (operation.alias !== undefined) {
      if (operation.alias === '') delete link.alias;
      else link.alias = operation.alias;
    }
    if (operation.group !== undefined) {
      if (operation.group === 0) delete link.group;
      else link.group = operation.group;
    }
    // As the kernel tells them: absent when off.
    for (const mode of ['promiscuous', 'allMulticast'] as const) {
      if (operation[mode] === true) link[mode] = true;
      else if (operation[mode] === false) delete link[mode];
    }
    if (operation.arpNotify !== undefined) link.arpNotify = operation.arpNotify;
    if (operation.up !== undefined) {
      if (operation.up && link.kind === 'vlan' && link.parent?.up === false) throw kernelError(op, 'ENETDOWN');
      link.up = operation.up;
      if (!operation.up) link.routes = [];
      const vf = this.#vfOf(link);
      if (vf !== undefined && operation.up) vf.used = true;
      if (operation.up) this.#tellPfItsMac(link);
    }
  }

  #vfOf(link: WorldLink): WorldVf | undefined {
    return [...this.vfs.values()].find((vf) => vf.link === link);
  }

  /** igbvf resets the VF, which then reports the MAC it has; the PF lists it unless it set one itself. */
  #tellPfItsMac(link: WorldLink): void {
    const vf = this.#vfOf(link);
    if (vf?.settings !== undefined && !vf.macLocked && link.mac !== undefined) vf.settings.mac = link.mac;
  }

  #setOwnMac(link: WorldLink, mac: MacAddress): void {
    const vf = this.#vfOf(link);
    if (vf?.macLocked === true && vf.used && vf.settings?.trust !== true)
      throw kernelError('link.set', 'EADDRNOTAVAIL');
    link.mac = mac;
    // igb lists the address that the VF chose itself as well.
    if (vf?.settings !== undefined) vf.settings.mac = mac;
  }

  #setVf(namespace: WorldNamespace, operation: Extract<LinkOperation, { op: 'vf.set' }>): void {
    const pf = this.#require(namespace, operation.index, 'vf.set');
    const vf = [...this.vfs.values()].find((each) => each.pf === pf && each.index === operation.vf);
    if (vf === undefined && pf.numVfs === undefined) throw kernelError('vf.set', 'EOPNOTSUPP');
    if (vf === undefined) throw kernelError('vf.set', 'EINVAL', 'Invalid VF');
    if (vf.settings === undefined) throw kernelError('vf.set', 'EOPNOTSUPP');
    for (const [name, value] of Object.entries(operation.set) as [keyof VfState, never][]) {
      if (this.refusedSettings.has(name)) throw kernelError('vf.set', 'EINVAL', `driver does not support ${name}`);
      if (this.ignoredSettings.has(name)) continue;
      if (name === 'mac') vf.macLocked = value !== '00:00:00:00:00:00';
      (vf.settings as Record<string, unknown>)[name] = value;
      if (name === 'vlan' && value === 0) delete vf.settings.vlanProto;
    }
  }

  #address(
    namespace: WorldNamespace,
    operation: Extract<LinkOperation, { op: 'address.add' | 'address.delete' }>,
  ): void {
    const link = this.#require(namespace, operation.index, operation.op);
    const present = link.addresses.findIndex((entry) => sameAddress(entry.address, operation.address));
    if (operation.op === 'address.delete') {
      if (present < 0) throw kernelError(operation.op, 'EADDRNOTAVAIL');
      link.addresses.splice(present, 1);
      return;
    }
    if (present >= 0) throw kernelError(operation.op, 'EEXIST');
    const family = addressFamily(operation.address);
    const dadFailed = this.neighbours.has(operation.address);
    link.addresses.push({ address: operation.address, family, scope: 'global', tentative: dadFailed, dadFailed });
  }

  #route(namespace: WorldNamespace, operation: Extract<LinkOperation, { op: 'route.add' | 'route.delete' }>): void {
    const { op, index, ...route } = operation;
    const link = this.#require(namespace, index, op);
    const present = link.routes.findIndex((entry) => sameNetwork(entry.dst, route.dst) && entry.table === route.table);
    if (op === 'route.delete') {
      if (present < 0) throw kernelError(op, 'ESRCH');
      link.routes.splice(present, 1);
      return;
    }
    if (present >= 0 && isDeepStrictEqual(link.routes[present], route)) return;
    if (!link.up) throw kernelError(op, 'ENETDOWN');
    const gateway = route.gateway === undefined ? undefined : asIp(route.gateway);
    const reachable =
      gateway === undefined ||
      link.addresses.some((entry) => {
        const prefix = asPrefix(entry.address);
        return prefix !== undefined && contains(prefix, gateway);
      });
    if (!reachable) throw kernelError(op, 'ENETUNREACH', 'Nexthop has invalid gateway');
    link.routes.unshift(route);
  }
}
