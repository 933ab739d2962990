/**
 * Adds to a tree of `generateTree` what lies beside PCI functions: RDMA devices, scalable functions on
 * the auxiliary bus, vDPA devices, and the character devices of userspace drivers; laid out as the
 * kernel does (the sources are named in src/linux/sysfs).
 */
import { mkdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** The folder of a PCI function or an auxiliary device, relative to the tree. */
function homeOf(dir: string, device: string): string {
  const at = join(dir, device.includes('.sf.') ? 'sys/bus/auxiliary/devices' : 'sys/bus/pci/devices', device);
  return relative(dir, join(dirname(at), readlinkSync(at)));
}

export interface RdmaSpec {
  readonly name: string;
  /** Number of its character devices: `uverbs<n>`, `umad<n>`, `issm<n>`. */
  readonly number: number;
  readonly linkLayer?: 'Ethernet' | 'InfiniBand';
  /** As the files have them, `0x8001`. */
  readonly pkeys?: readonly string[];
}

/** An RDMA device on a PCI or auxiliary device. */
export function addRdma(dir: string, device: string, { name, number, linkLayer = 'Ethernet', pkeys }: RdmaSpec): void {
  const home = homeOf(dir, device);
  const port = `${home}/infiniband/${name}/ports/1`;
  file(dir, `${port}/link_layer`, linkLayer);
  for (const [at, key] of (pkeys ?? (linkLayer === 'InfiniBand' ? ['0x7fff'] : [])).entries()) {
    file(dir, `${port}/pkeys/${at}`, key);
  }
  for (const node of [
    `infiniband_verbs/uverbs${number}`,
    `infiniband_mad/umad${number}`,
    `infiniband_mad/issm${number}`,
  ])
    mkdirSync(join(dir, home, node), { recursive: true });
  link(dir, `sys/class/infiniband/${name}`, `${home}/infiniband/${name}`);
}

export interface ScalableSpec {
  /** `mlx5_core.sf.4` */
  readonly name: string;
  readonly sfnum: number;
  /** `null` while its netdev is in a pod. */
  readonly ifname?: string | null;
  readonly driver?: string | null;
  readonly ifindex?: number;
}

/** A scalable function of a PF, with its Ethernet and RDMA children on the same bus. */
export function addScalable(dir: string, pf: string, spec: ScalableSpec): void {
  const { name, sfnum, driver = 'mlx5_core.sf', ifname = null } = spec;
  const home = `${homeOf(dir, pf)}/${name}`;
  file(dir, `${home}/sfnum`, `${sfnum}`);
  link(dir, `sys/bus/auxiliary/devices/${name}`, home);
  if (driver !== null) {
    mkdirSync(join(dir, `sys/bus/auxiliary/drivers/${driver}`), { recursive: true });
    link(dir, `${home}/driver`, `sys/bus/auxiliary/drivers/${driver}`);
  }
  const number = name.slice(name.lastIndexOf('.') + 1);
  for (const child of ['eth', 'rdma']) {
    mkdirSync(join(dir, home, `mlx5_core.${child}.${number}`), { recursive: true });
    link(dir, `sys/bus/auxiliary/devices/mlx5_core.${child}.${number}`, `${home}/mlx5_core.${child}.${number}`);
  }
  if (ifname !== null) addNetdev(dir, home, ifname, spec.ifindex ?? 1000 + sfnum);
}

function addNetdev(dir: string, device: string, ifname: string, ifindex: number): void {
  const home = `${device}/net/${ifname}`;
  const attributes = { ifindex, iflink: ifindex, mtu: 1500, flags: '0x1002', operstate: 'down', type: 1 };
  for (const [name, value] of Object.entries(attributes)) file(dir, `${home}/${name}`, `${value}`);
  file(dir, `${home}/address`, `02:00:00:01:00:${(ifindex % 256).toString(16).padStart(2, '0')}`);
  file(dir, `${home}/uevent`, `INTERFACE=${ifname}\nIFINDEX=${ifindex}`);
  link(dir, `${home}/device`, device);
  link(dir, `sys/class/net/${ifname}`, home);
}

/** The netdev goes to a pod. */
export function removeNetdev(dir: string, ifname: string): void {
  const at = join(dir, 'sys/class/net', ifname);
  rmSync(dirname(join(dirname(at), readlinkSync(at))), { recursive: true });
  rmSync(at);
}

/** A vDPA device on a PCI or auxiliary device; `vhost` has a character device of that number. */
export function addVdpa(dir: string, device: string, name: string, type: 'vhost' | 'virtio' | null, number = 0): void {
  const home = `${homeOf(dir, device)}/${name}`;
  mkdirSync(join(dir, home), { recursive: true });
  link(dir, `sys/bus/vdpa/devices/${name}`, home);
  if (type === null) return;
  mkdirSync(join(dir, `sys/bus/vdpa/drivers/${type}_vdpa`), { recursive: true });
  link(dir, `${home}/driver`, `sys/bus/vdpa/drivers/${type}_vdpa`);
  if (type === 'vhost') mkdirSync(join(dir, home, `vhost-vdpa-${number}`));
}

/** The function's own vfio device, as kernels with CONFIG_VFIO_DEVICE_CDEV have it. */
export function addVfioDevice(dir: string, address: string, number: number): void {
  mkdirSync(join(dir, homeOf(dir, address), `vfio-dev/vfio${number}`), { recursive: true });
}

/** The function's device of `igb_uio` or `uio_pci_generic`. */
export function addUio(dir: string, address: string, number: number): void {
  mkdirSync(join(dir, homeOf(dir, address), `uio/uio${number}`), { recursive: true });
}

/** What `berth capture` writes of one NIC's driver: `functions` of `berth/facts.json`. */
export function addDriverFacts(dir: string, functions: Readonly<Record<string, object>>): void {
  file(dir, 'berth/facts.json', JSON.stringify({ schema: 1, links: [], functions }));
}

function file(dir: string, path: string, content: string): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), `${content}\n`);
}

function link(dir: string, at: string, target: string): void {
  mkdirSync(dirname(join(dir, at)), { recursive: true });
  symlinkSync(relative(dirname(at), target), join(dir, at));
}
