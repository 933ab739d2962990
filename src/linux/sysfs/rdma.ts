/**
 * RDMA devices below a device's folder (Documentation/ABI/stable/sysfs-class-infiniband): their
 * names, what their first port is, and the character devices that libraries open. In exclusive mode
 * (`rdma system`) a device in a pod shows nothing here. To debug: `ls /sys/class/infiniband`.
 */
import type { RdmaDevice } from '../../engine/inventory/model.ts';
import { count, line, word } from './parse.ts';
import { attributeOf, entriesOf, type Place, type Scan } from './scan.ts';

/** Far above any table of partition keys: a port has 128 or fewer. */
const KEYS_LIMIT = 1024;

/** By name; empty when the node has no RDMA devices at all. */
export function readRdma(scan: Scan, place: Place): readonly RdmaDevice[] {
  if (!scan.buses.rdma) return [];
  return entriesOf(scan, `${place.home}/infiniband`)
    .map((entry) => entry.name)
    .filter((name) => word(name) !== undefined)
    .sort()
    .map((name) => readDevice(scan, place, name));
}

function readDevice(scan: Scan, place: Place, name: string): RdmaDevice {
  const device: Place = { home: `${place.home}/infiniband/${name}`, name: `${place.name}/infiniband/${name}` };
  const port = entriesOf(scan, `${device.home}/ports`)
    .map((entry) => entry.name)
    .filter((entry) => /^[0-9]{1,3}$/.test(entry))
    .sort((one, other) => Number(one) - Number(other))[0];
  if (port === undefined) return { name };
  const linkLayer = attributeOf(scan, device, `ports/${port}/link_layer`, line);
  const partitionKeys = linkLayer === 'InfiniBand' ? keysOf(scan, device, port) : [];
  return {
    name,
    ...(linkLayer === undefined ? {} : { linkLayer }),
    ...(partitionKeys.length === 0 ? {} : { partitionKeys }),
  };
}

/** The table in its order; empty entries are 0x0000. */
function keysOf(scan: Scan, device: Place, port: string): readonly string[] {
  const table = `ports/${port}/pkeys`;
  return entriesOf(scan, `${device.home}/${table}`)
    .map((entry) => entry.name)
    .filter((entry) => count(entry) !== undefined)
    .sort((one, other) => Number(one) - Number(other))
    .slice(0, KEYS_LIMIT)
    .flatMap((entry) => attributeOf(scan, device, `${table}/${entry}`, partitionKey) ?? [])
    .filter((key) => key !== '0000');
}

/** `0x8001` as four lower-case digits. */
function partitionKey(text: string): string | undefined {
  return /^0x[0-9a-fA-F]{4}$/.test(text) ? text.slice(2).toLowerCase() : undefined;
}

const CLASSES = ['infiniband_verbs', 'infiniband_mad'] as const;

/** Character devices of the RDMA devices, in the order of their names; the connection manager's belongs to all. */
export function rdmaNodes(scan: Scan, { home }: Place): readonly string[] {
  if (!scan.buses.rdma) return [];
  const own = CLASSES.flatMap((kind) =>
    entriesOf(scan, `${home}/${kind}`)
      .filter((entry) => /^(uverbs|umad|issm)[0-9]+$/.test(entry.name))
      .map((entry) => `/dev/infiniband/${entry.name}`),
  );
  return own.length === 0 ? [] : [...own.sort(), '/dev/infiniband/rdma_cm'];
}
