/**
 * The vDPA bus (Documentation/ABI/testing/sysfs-bus-vdpa): devices that a PCI or scalable function
 * makes for virtual machines (`vhost_vdpa`) or the kernel (`virtio_vdpa`). To debug: `vdpa dev show`,
 * `ls -l /sys/bus/vdpa/devices`.
 */
import type { VdpaDevice } from '../../engine/inventory/model.ts';
import { word } from './parse.ts';
import { entriesOf, linkNameOf, type Notes, type Place, parsed, realOf, type Scan } from './scan.ts';
import type { Tree } from './tree.ts';

const VDPA_DEVICES = 'sys/bus/vdpa/devices';

/** The kernel's drivers of this bus (drivers/vhost/vdpa.c, drivers/virtio/virtio_vdpa.c). */
const TYPE_OF_DRIVER: ReadonlyMap<string, 'vhost' | 'virtio'> = new Map([
  ['vhost_vdpa', 'vhost'],
  ['virtio_vdpa', 'virtio'],
]);

/** The bus as one scan found it. */
export interface VdpaBus {
  /** By the folder of the device that made them. */
  readonly byParent: ReadonlyMap<string, readonly Place[]>;
}

/** Lists the bus; empty on most nodes, and then it costs one call. */
export function vdpaBus(tree: Tree, notes: Notes): VdpaBus {
  const byParent = new Map<string, Place[]>();
  const scan = { tree, notes };
  for (const { name } of entriesOf(scan, VDPA_DEVICES)) {
    const at = `${VDPA_DEVICES}/${name}`;
    const home = realOf(scan, at);
    if (home === undefined) continue;
    const parent = home.slice(0, home.lastIndexOf('/'));
    const place = { home, name: at };
    const siblings = byParent.get(parent);
    if (siblings === undefined) byParent.set(parent, [place]);
    else siblings.push(place);
  }
  return { byParent };
}

/** Devices made on the one whose folder this is, by name. */
export function readVdpa(scan: Scan, { home }: Place): readonly VdpaDevice[] {
  return (scan.buses.vdpa.byParent.get(home) ?? [])
    .map((place) => readDevice(scan, place))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

function readDevice(scan: Scan, place: Place): VdpaDevice {
  const driver = parsed(scan, place, 'driver', linkNameOf(scan, place, 'driver'), word);
  const type = driver === undefined ? undefined : TYPE_OF_DRIVER.get(driver);
  const node = entriesOf(scan, place.home).find((entry) => /^vhost-vdpa-[0-9]+$/.test(entry.name))?.name;
  return {
    name: place.home.slice(place.home.lastIndexOf('/') + 1),
    ...(type === undefined ? {} : { type }),
    ...(node === undefined ? {} : { node: `/dev/${node}` }),
  };
}
