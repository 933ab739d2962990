/**
 * PCI functions (Documentation/ABI/testing/sysfs-bus-pci). Which are network functions, which are
 * VFs of which PF, and what the kernel tells of each. The netdev of a function is found elsewhere
 * (`netdev-homes.ts`).
 */
import type { DeviceNodes, PciFacts } from '../../engine/inventory/model.ts';
import { asPciAddress, type PciAddress } from '../../engine/values.ts';
import { count, hexId, integer, pciClass, word } from './parse.ts';
import { rdmaNodes, readRdma } from './rdma.ts';
import { attributeOf, entriesOf, linkNameOf, type Place, parsed, realOf, type Scan } from './scan.ts';
import { readVdpa } from './vdpa.ts';

/** Where the kernel lists all PCI functions. */
export const PCI_DEVICES = 'sys/bus/pci/devices';

/** A function's folder. */
export interface FunctionPlace extends Place {
  readonly address: PciAddress;
}

/** All functions of the node, by address. */
export function pciAddresses(scan: Scan): readonly PciAddress[] {
  return entriesOf(scan, PCI_DEVICES)
    .flatMap((entry) => asPciAddress(entry.name) ?? [])
    .sort();
}

/** Where a function's attributes are; `undefined` when it is gone. */
export function functionPlace(scan: Scan, address: PciAddress): FunctionPlace | undefined {
  const name = `${PCI_DEVICES}/${address}`;
  const home = realOf(scan, name);
  return home === undefined ? undefined : { address, home, name };
}

/** PCI base class 02, network controllers; six digits. */
export function classOf(scan: Scan, place: FunctionPlace): string | undefined {
  return attributeOf(scan, place, 'class', pciClass);
}

export function isNetworkClass(pciClassCode: string | undefined): boolean {
  return pciClassCode?.startsWith('02') === true;
}

/** Functions that the inventory tells of even without a netdev. */
export function isRelevantClass(pciClassCode: string | undefined): boolean {
  return isNetworkClass(pciClassCode) || isAcceleratorClass(pciClassCode);
}

/** Processing accelerators (12), co-processors (0b40) and encryption controllers (10). */
function isAcceleratorClass(pciClassCode: string | undefined): boolean {
  return pciClassCode !== undefined && /^(12|0b40|10)/.test(pciClassCode);
}

/** Address of the PF when this function is a VF. */
export function physfnOf(scan: Scan, place: FunctionPlace): PciAddress | undefined {
  return parsed(scan, place, 'physfn', linkNameOf(scan, place, 'physfn'), asPciAddress);
}

/** VFs by index, from the PF's `virtfn*` links. */
export function virtfnsOf(
  scan: Scan,
  place: FunctionPlace,
): readonly { readonly index: number; readonly address: PciAddress }[] {
  return entriesOf(scan, place.home)
    .flatMap((entry) => {
      const digits = /^virtfn([0-9]{1,5})$/.exec(entry.name)?.[1];
      if (digits === undefined) return [];
      const address = parsed(scan, place, entry.name, linkNameOf(scan, place, entry.name), asPciAddress);
      return address === undefined ? [] : [{ index: Number(digits), address }];
    })
    .sort((one, other) => one.index - other.index);
}

/** Facts of one function; `undefined` when it is gone, or (with a note) when it does not say what it is. */
export function readPciFacts(scan: Scan, place: FunctionPlace): PciFacts | undefined {
  const vendor = attributeOf(scan, place, 'vendor', hexId);
  const device = attributeOf(scan, place, 'device', hexId);
  const pciClassCode = classOf(scan, place);
  if (vendor === undefined || device === undefined || pciClassCode === undefined) {
    const missing = vendor === undefined ? 'vendor' : device === undefined ? 'device' : 'class';
    if (realOf(scan, place.name) !== undefined) scan.notes.add(`${place.name}/${missing}`, 'missing');
    return undefined;
  }
  const subsystemVendor = attributeOf(scan, place, 'subsystem_vendor', hexId);
  const subsystemDevice = attributeOf(scan, place, 'subsystem_device', hexId);
  const driver = parsed(scan, place, 'driver', linkNameOf(scan, place, 'driver'), word);
  const numaNode = attributeOf(scan, place, 'numa_node', integer);
  const iommuGroup = parsed(scan, place, 'iommu_group', linkNameOf(scan, place, 'iommu_group'), count);
  const pcieRoot = pcieRootOf(place.home);
  const rdma = readRdma(scan, place);
  const vdpa = readVdpa(scan, place);
  return {
    address: place.address,
    vendor,
    device,
    ...(subsystemVendor === undefined ? {} : { subsystemVendor }),
    ...(subsystemDevice === undefined ? {} : { subsystemDevice }),
    class: pciClassCode,
    ...(driver === undefined ? {} : { driver }),
    ...(numaNode === undefined || numaNode < 0 ? {} : { numaNode }),
    ...(iommuGroup === undefined ? {} : { iommuGroup }),
    ...(pcieRoot === undefined ? {} : { pcieRoot }),
    deviceNodes: deviceNodesOf(scan, place, driver, iommuGroup),
    ...(rdma.length === 0 ? {} : { rdma }),
    ...(vdpa.length === 0 ? {} : { vdpa }),
  };
}

/** `pci0000:40`, the host bridge on top of the device's path. */
function pcieRootOf(home: string): string | undefined {
  return /(?:^|\/)(pci[0-9a-f]{4,8}:[0-9a-f]{2})\//.exec(home)?.[1];
}

function deviceNodesOf(
  scan: Scan,
  place: FunctionPlace,
  driver: string | undefined,
  group: number | undefined,
): DeviceNodes {
  const vfio = driver?.includes('vfio') === true && group !== undefined ? vfioNode(scan, group) : undefined;
  const uio = driver?.includes('uio') === true ? uioNode(scan, place) : undefined;
  const vfioDevice = vfio === undefined ? undefined : vfioDeviceNode(scan, place);
  const rdma = rdmaNodes(scan, place);
  return {
    ...(vfio === undefined ? {} : { vfio }),
    ...(vfioDevice === undefined ? {} : { vfioDevice }),
    ...(uio === undefined ? {} : { uio }),
    ...(rdma.length === 0 ? {} : { rdma }),
  };
}

/** Groups that VFIO makes without an IOMMU are named so (drivers/vfio/group.c). */
function vfioNode(scan: Scan, group: number): string {
  const name = `sys/kernel/iommu_groups/${group}`;
  const isUnprotected = attributeOf(scan, { home: name, name }, 'name', word) === 'vfio-noiommu';
  return `/dev/vfio/${isUnprotected ? 'noiommu-' : ''}${group}`;
}

/** The function's own device, which iommufd opens instead of the group's (Documentation/driver-api/vfio.rst). */
function vfioDeviceNode(scan: Scan, place: FunctionPlace): string | undefined {
  const name = entriesOf(scan, `${place.home}/vfio-dev`).find((entry) => /^vfio[0-9]+$/.test(entry.name))?.name;
  return name === undefined ? undefined : `/dev/vfio/devices/${name}`;
}

function uioNode(scan: Scan, place: FunctionPlace): string | undefined {
  const name = entriesOf(scan, `${place.home}/uio`).find((entry) => /^uio[0-9]+$/.test(entry.name))?.name;
  return name === undefined ? undefined : `/dev/${name}`;
}
