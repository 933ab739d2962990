/**
 * Builds a node's /sys and /proc as plain files and symbolic links, laid out as the kernel does:
 * `DIR/sys/devices` holds the devices, `DIR/sys/bus` and `DIR/sys/class` link to them. It is what
 * `--root DIR` reads. It makes no devices and needs no privileges.
 *
 * `changeTree` edits a tree in place the way the kernel would (create and remove VFs, rebind,
 * rename), so that tests can play a live node.
 */
import {
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';

export interface TreeSpec {
  /** Host name; `node-1` when absent. */
  readonly node?: string;
  /** How many NUMA nodes the machine has; 1 when absent. */
  readonly numaNodes?: number;
  readonly pfs?: readonly PfSpec[];
  readonly virtual?: readonly VirtualSpec[];
  /** Written to `berth/facts.json` as it is; no file when absent. */
  readonly facts?: unknown;
}

/** A PCI NIC; it can have VFs when `totalVfs` is more than 0. */
export interface PfSpec {
  /** `0000:10:00.0`, `0000:11:00.0` ... when absent (bus 0x90 and up on odd NUMA nodes). */
  readonly address?: string;
  /** `eth0`, `eth1` ... when absent; `null` for a function without a netdev. */
  readonly ifname?: string | null;
  readonly vendor?: string;
  readonly device?: string;
  readonly class?: string;
  /** `null` for an unbound function. */
  readonly driver?: string | null;
  readonly numaNode?: number;
  /** 0 leaves out every `sriov_*` file. 128 when absent. */
  readonly totalVfs?: number;
  readonly vfs?: number;
  readonly vfDevice?: string;
  readonly vfDriver?: string | null;
  /** Driver of single VFs, by index. */
  readonly vfDrivers?: Readonly<Record<number, string | null>>;
  /** False when the VFs' netdevs are elsewhere (in pods). */
  readonly vfNetdevs?: boolean;
  /** `virtio` puts the netdev one folder deeper, `<function>/virtioN/net`. */
  readonly layout?: 'plain' | 'virtio';
  readonly iommu?: boolean;
  /** One IOMMU group for the PF and all its VFs. */
  readonly sharedGroup?: boolean;
  /** GT/s and lanes of the link now, of the card and of the port above it. */
  readonly pcie?: Readonly<Partial<Record<'now' | 'best' | 'slot', readonly [number, number]>>>;
  /** Totals of the AER files; no such files when absent. */
  readonly pcieErrors?: Readonly<Record<'correctable' | 'nonfatal' | 'fatal', number>>;
  readonly autoprobe?: boolean;
  /** Number of its PTP clock. */
  readonly ptp?: number;
  /** `sriov_numvfs` says so whatever there is. */
  readonly numVfs?: number;
  readonly netdev?: NetdevSpec;
  readonly vfNetdev?: NetdevSpec;
  /** Raw VPD bytes. */
  readonly vpd?: Uint8Array;
}

export interface NetdevSpec {
  readonly mac?: string;
  readonly mtu?: number;
  readonly up?: boolean;
  readonly carrier?: boolean;
  readonly speedMbps?: number;
  /** ARPHRD_*: 1 is Ethernet, 32 InfiniBand. */
  readonly type?: number;
  /** Name of a device this one is enslaved to; that one must be in the tree. */
  readonly master?: string;
}

export interface VirtualSpec extends NetdevSpec {
  readonly ifname: string;
  /** DEVTYPE of its uevent file (`bridge`, `bond`, `vlan` ...). */
  readonly devtype?: string;
  /** Devices below it. */
  readonly lowers?: readonly string[];
}

/** What stands where, so that tests need not compute addresses. */
export interface Tree {
  readonly dir: string;
  readonly pfs: readonly {
    readonly address: string;
    readonly ifname: string | undefined;
    readonly vfs: readonly string[];
  }[];
}

interface State {
  readonly dir: string;
  nextIfindex: number;
  nextGroup: number;
  nextVirtio: number;
  readonly netdevs: Map<string, string>;
}

const VIRTUAL = 'sys/devices/virtual/net';

/** Writes the tree into `dir`, which may exist and must not hold another tree. Synchronous; 2,048 VFs take seconds. */
export function generateTree(dir: string, spec: TreeSpec): Tree {
  const state: State = { dir, nextIfindex: 1, nextGroup: 1, nextVirtio: 0, netdevs: new Map() };
  const numaNodes = spec.numaNodes ?? 1;
  writeHost(state, spec.node ?? 'node-1', numaNodes);
  netdev(state, `${VIRTUAL}/lo`, 'lo', { type: 772, mtu: 65_536, mac: '00:00:00:00:00:00', up: true, carrier: true });
  const pfs = (spec.pfs ?? []).map((pf, index) => writePf(state, pf, index, numaNodes));
  for (const link of spec.virtual ?? []) {
    netdev(state, `${VIRTUAL}/${link.ifname}`, link.ifname, link, link.devtype);
  }
  for (const link of spec.virtual ?? []) for (const lower of link.lowers ?? []) stack(state, link.ifname, lower);
  for (const [index, pf] of (spec.pfs ?? []).entries()) {
    const name = pfs[index]?.ifname;
    if (name !== undefined && pf.netdev?.master !== undefined) enslave(state, name, pf.netdev.master);
  }
  for (const link of spec.virtual ?? []) if (link.master !== undefined) enslave(state, link.ifname, link.master);
  if (spec.facts !== undefined) file(dir, 'berth/facts.json', JSON.stringify(spec.facts));
  return { dir, pfs };
}

function writeHost({ dir }: State, node: string, numaNodes: number): void {
  const range = numaNodes === 1 ? '0' : `0-${numaNodes - 1}`;
  file(dir, 'proc/sys/kernel/hostname', `${node}\n`);
  file(dir, 'proc/sys/kernel/osrelease', '6.18.0-test\n');
  file(dir, 'proc/sys/kernel/arch', 'x86_64\n');
  file(dir, 'proc/sys/kernel/random/boot_id', '5d1e6a2c-7f4b-4c1e-9d3a-0b8f6a7c2d11\n');
  file(dir, 'proc/meminfo', 'MemTotal:       65536000 kB\nMemFree:        60000000 kB\n');
  file(dir, 'sys/devices/system/cpu/online', '0-15\n');
  file(dir, 'sys/devices/system/node/online', `${range}\n`);
  file(dir, 'sys/class/dmi/id/sys_vendor', 'Example\n');
  file(dir, 'sys/class/dmi/id/product_name', 'Server 1\n');
  folder(dir, 'sys/bus/pci/devices');
  folder(dir, 'sys/bus/pci/drivers');
  folder(dir, 'sys/class/net');
  folder(dir, 'sys/kernel/iommu_groups');
}

function writePf(state: State, pf: PfSpec, index: number, numaNodes: number): Tree['pfs'][number] {
  const numaNode = pf.numaNode ?? index % numaNodes;
  const host = numaNode > 0 ? 0x80 : 0;
  const address = pf.address ?? `0000:${hex(host + 0x10 + index, 2)}:00.0`;
  const rootPort = `sys/devices/pci0000:${hex(host, 2)}/0000:${hex(host, 2)}:${hex(1 + (index % 31), 2)}.0`;
  const home = `${rootPort}/${address}`;
  const totalVfs = pf.totalVfs ?? 128;
  const ifname = pf.ifname === undefined ? `eth${index}` : pf.ifname;
  const group = pf.sharedGroup === true ? state.nextGroup++ : undefined;
  const identity = {
    vendor: pf.vendor ?? '8086',
    class: pf.class ?? '020000',
    numaNode,
    iommu: pf.iommu ?? true,
    ...(group === undefined ? {} : { group }),
  };
  writeFunction(state, home, address, {
    ...identity,
    device: pf.device ?? '1572',
    driver: pf.driver === undefined ? 'i40e' : pf.driver,
  });
  writePcieLink(state, home, 'current', pf.pcie?.now ?? [8, 8]);
  writePcieLink(state, home, 'max', pf.pcie?.best ?? [16, 16]);
  if (pf.pcie?.slot !== undefined) writePcieLink(state, rootPort, 'max', pf.pcie.slot);
  for (const [kind, total] of Object.entries(pf.pcieErrors ?? {})) {
    const name = kind === 'correctable' ? 'COR' : kind.toUpperCase();
    file(state.dir, `${home}/aer_dev_${kind}`, `RxErr 0\nTOTAL_ERR_${name} ${total}\n`);
  }
  if (pf.ptp !== undefined) folder(state.dir, `${home}/ptp/ptp${pf.ptp}`);
  if (pf.vpd !== undefined) writeFileSync(join(state.dir, home, 'vpd'), pf.vpd);
  if (ifname !== null) {
    functionNetdev(state, home, ifname, pf.layout, {
      mac: mac(index, 0),
      up: true,
      carrier: true,
      speedMbps: 25_000,
      ...pf.netdev,
    });
  }
  const vfs = Array.from({ length: pf.vfs ?? 0 }, (_, vf) => vfAddress(address, vf));
  if (totalVfs > 0) {
    file(state.dir, `${home}/sriov_totalvfs`, `${totalVfs}\n`);
    file(state.dir, `${home}/sriov_numvfs`, `${pf.numVfs ?? vfs.length}\n`);
    file(state.dir, `${home}/sriov_offset`, '16\n');
    file(state.dir, `${home}/sriov_stride`, '1\n');
    file(state.dir, `${home}/sriov_drivers_autoprobe`, pf.autoprobe === false ? '0\n' : '1\n');
  }
  for (const [vf, vfAt] of vfs.entries()) {
    const driver =
      pf.vfDrivers?.[vf] === undefined ? (pf.vfDriver === undefined ? 'iavf' : pf.vfDriver) : pf.vfDrivers[vf];
    const vfHome = `${rootPort}/${vfAt}`;
    writeFunction(state, vfHome, vfAt, { ...identity, device: pf.vfDevice ?? '154c', driver: driver ?? null });
    link(state.dir, `${vfHome}/physfn`, home);
    link(state.dir, `${home}/virtfn${vf}`, vfHome);
    if (driver === null || driver === 'vfio-pci' || pf.vfNetdevs === false) continue;
    functionNetdev(state, vfHome, `${ifname ?? `p${index}`}v${vf}`, pf.layout, {
      mac: mac(index, vf + 1),
      up: false,
      ...pf.vfNetdev,
    });
  }
  return { address, ifname: ifname ?? undefined, vfs };
}

function writePcieLink({ dir }: State, home: string, which: 'current' | 'max', link: readonly [number, number]): void {
  const [gtps, width] = link;
  file(dir, `${home}/${which}_link_speed`, `${gtps.toFixed(1)} GT/s PCIe\n`);
  file(dir, `${home}/${which}_link_width`, `${width}\n`);
}

interface FunctionSpec {
  readonly vendor: string;
  readonly device: string;
  readonly class: string;
  readonly driver: string | null;
  readonly numaNode: number;
  readonly iommu: boolean;
  /** Its own when absent. */
  readonly group?: number;
}

function writeFunction(state: State, home: string, address: string, spec: FunctionSpec): void {
  const { dir } = state;
  file(dir, `${home}/vendor`, `0x${spec.vendor}\n`);
  file(dir, `${home}/device`, `0x${spec.device}\n`);
  file(dir, `${home}/subsystem_vendor`, `0x${spec.vendor}\n`);
  file(dir, `${home}/subsystem_device`, '0x0001\n');
  file(dir, `${home}/class`, `0x${spec.class}\n`);
  file(dir, `${home}/numa_node`, `${spec.numaNode}\n`);
  file(dir, `${home}/uevent`, `${spec.driver === null ? '' : `DRIVER=${spec.driver}\n`}PCI_SLOT_NAME=${address}\n`);
  link(dir, `sys/bus/pci/devices/${address}`, home);
  if (spec.driver !== null) bind(dir, home, address, spec.driver);
  if (!spec.iommu) return;
  const group = `sys/kernel/iommu_groups/${spec.group ?? state.nextGroup++}`;
  link(dir, `${group}/devices/${address}`, home);
  link(dir, `${home}/iommu_group`, group);
}

function bind(dir: string, home: string, address: string, driver: string): void {
  const driverHome = `sys/bus/pci/drivers/${driver}`;
  link(dir, `${driverHome}/${address}`, home);
  link(dir, `${home}/driver`, driverHome);
}

function functionNetdev(state: State, home: string, ifname: string, layout: PfSpec['layout'], spec: NetdevSpec): void {
  const parent = layout === 'virtio' ? `${home}/virtio${state.nextVirtio++}` : home;
  netdev(state, `${parent}/net/${ifname}`, ifname, spec);
  link(state.dir, `${parent}/net/${ifname}/device`, parent);
}

function netdev(state: State, home: string, ifname: string, spec: NetdevSpec, devtype?: string): void {
  const { dir } = state;
  const ifindex = state.nextIfindex++;
  const up = spec.up ?? true;
  const carrier = up && (spec.carrier ?? true);
  file(dir, `${home}/ifindex`, `${ifindex}\n`);
  file(dir, `${home}/iflink`, `${ifindex}\n`);
  file(dir, `${home}/address`, `${spec.mac ?? mac(0xff, ifindex)}\n`);
  file(dir, `${home}/mtu`, `${spec.mtu ?? 1500}\n`);
  file(dir, `${home}/flags`, `0x${(up ? 0x1003 : 0x1002).toString(16)}\n`);
  file(dir, `${home}/operstate`, `${carrier ? 'up' : 'down'}\n`);
  file(dir, `${home}/type`, `${spec.type ?? 1}\n`);
  file(
    dir,
    `${home}/uevent`,
    `${devtype === undefined ? '' : `DEVTYPE=${devtype}\n`}INTERFACE=${ifname}\nIFINDEX=${ifindex}\n`,
  );
  if (up) file(dir, `${home}/carrier`, `${carrier ? 1 : 0}\n`);
  if (up && spec.speedMbps !== undefined) file(dir, `${home}/speed`, `${spec.speedMbps}\n`);
  link(dir, `sys/class/net/${ifname}`, home);
  state.netdevs.set(ifname, home);
}

function stack({ dir, netdevs }: State, upper: string, lower: string): void {
  const above = netdevs.get(upper);
  const below = netdevs.get(lower);
  if (above === undefined || below === undefined) throw new Error(`${upper} on ${lower}: not both in the tree`);
  link(dir, `${above}/lower_${lower}`, below);
  link(dir, `${below}/upper_${upper}`, above);
}

function enslave(state: State, slave: string, master: string): void {
  stack(state, master, slave);
  link(state.dir, `${state.netdevs.get(slave)}/master`, state.netdevs.get(master) ?? '');
}

/** Edits that the kernel would make, on a tree of `generateTree`. */
export const changeTree = {
  /** Unbinds the function (`null`) or gives it another driver; a netdev goes away with its driver. */
  rebind(dir: string, address: string, driver: string | null): void {
    const home = homeOf(dir, address);
    const bound = join(dir, home, 'driver');
    const before = readLinkOrUndefined(bound);
    if (before !== undefined) {
      rmSync(join(dirname(bound), before, address), { force: true });
      unlinkSync(bound);
    }
    dropNetdevs(dir, home);
    if (driver !== null) bind(dir, home, address, driver);
  },
  /** Renames a netdev everywhere it is named. */
  rename(dir: string, from: string, to: string): void {
    const at = join(dir, 'sys/class/net', from);
    const home = join(dirname(at), readlinkSync(at));
    const renamed = join(dirname(home), to);
    renameSync(home, renamed);
    unlinkSync(at);
    symlinkSync(relative(dirname(at), renamed), join(dir, 'sys/class/net', to));
  },
  /** Removes a VF as writing 0 to sriov_numvfs does. */
  removeVf(dir: string, pf: string, index: number): void {
    const virtfn = join(dir, homeOf(dir, pf), `virtfn${index}`);
    const home = join(dirname(virtfn), readlinkSync(virtfn));
    const address = home.slice(home.lastIndexOf('/') + 1);
    dropNetdevs(dir, relative(dir, home));
    unlinkSync(virtfn);
    unlinkSync(join(dir, 'sys/bus/pci/devices', address));
    rmSync(home, { recursive: true });
  },
  /** Writes one attribute of a netdev. */
  setNetdev(dir: string, ifname: string, attribute: string, value: string): void {
    writeFileSync(join(dir, 'sys/class/net', ifname, attribute), `${value}\n`);
  },
};

function dropNetdevs(dir: string, home: string): void {
  const nets = join(dir, home, 'net');
  for (const name of listOrNothing(nets)) rmSync(join(dir, 'sys/class/net', name), { force: true });
  rmSync(nets, { recursive: true, force: true });
}

function homeOf(dir: string, address: string): string {
  const at = join(dir, 'sys/bus/pci/devices', address);
  return relative(dir, join(dirname(at), readlinkSync(at)));
}

function listOrNothing(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

function readLinkOrUndefined(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Address of VF `index` of a PF whose offset is 16 and stride 1. */
export function vfAddress(pf: string, index: number): string {
  const bus = Number.parseInt(pf.slice(5, 7), 16);
  const routingId = (bus << 8) + 16 + index;
  return `0000:${hex(routingId >> 8, 2)}:${hex((routingId >> 3) & 0x1f, 2)}.${routingId & 7}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

function mac(pf: number, vf: number): string {
  return `02:00:00:${hex(pf & 0xff, 2)}:${hex((vf >> 8) & 0xff, 2)}:${hex(vf & 0xff, 2)}`;
}

function folder(dir: string, path: string): void {
  mkdirSync(join(dir, path), { recursive: true });
}

function file(dir: string, path: string, content: string): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), content);
}

/** A relative link from `at` to `target`, both below `dir`. */
function link(dir: string, at: string, target: string): void {
  mkdirSync(dirname(join(dir, at)), { recursive: true });
  symlinkSync(relative(dirname(at), target), join(dir, at));
}
