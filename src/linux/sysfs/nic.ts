/**
 * A NIC or a VF put together: facts of the PCI function, its netdev, and for a NIC the PCIe link,
 * SR-IOV and vital product data.
 */
import type {
  Inventory,
  Netdev,
  Nic,
  PcieErrors,
  PcieLink,
  PciFacts,
  SriovFacts,
  Vf,
  VfSettings,
} from '../../engine/inventory/model.ts';
import { asPciAddress, type PciAddress } from '../../engine/values.ts';
import { DRIVER_FACTS, type DriverFacts, type QueueFacts } from '../facts/source.ts';
import { readScalable } from './auxiliary.ts';
import { aerTotal, count, flag, pcieLink } from './parse.ts';
import { type FunctionPlace, isNetworkClass, PCI_DEVICES, readPciFacts } from './pci.ts';
import { attributeOf, entriesOf, type Scan, textOf } from './scan.ts';
import type { VitalProductData } from './vpd.ts';

/** What is known of a NIC besides its attributes. */
export interface NicExtras {
  readonly vfs: readonly Vf[];
  /** How many VFs the PF links to; some of them may have gone since. */
  readonly listedVfs: number;
  readonly netdev?: Netdev;
  readonly driver?: DriverFacts;
  readonly vpd?: VitalProductData;
  /** `undefined`: not asked. */
  readonly vfSettings?: boolean;
}

/** `undefined` when the function is gone. */
export function readNic(scan: Scan, place: FunctionPlace, extras: NicExtras): Nic | undefined {
  const facts = readPciFacts(scan, place);
  if (facts === undefined) return undefined;
  const pcieNow = pcieLink(textOf(scan, place, 'current_link_speed'), textOf(scan, place, 'current_link_width'));
  const pcieBest = pcieLink(textOf(scan, place, 'max_link_speed'), textOf(scan, place, 'max_link_width'));
  const sriov = readSriov(scan, place, extras.listedVfs, extras.vfSettings);
  const acpiIndex = attributeOf(scan, place, 'acpi_index', count);
  const scalable = readScalable(scan, place.address);
  const pcieSlot = slotAbove(scan, place);
  const pcieErrors = readPcieErrors(scan, place);
  const ptpClock = ptpClockOf(scan, place);
  return {
    ...facts,
    ...netdevFields(extras.netdev),
    ...(extras.driver === undefined ? {} : toldFacts(extras.driver)),
    ...(extras.vpd?.serial === undefined ? {} : { serial: extras.vpd.serial }),
    ...(extras.vpd?.partNumber === undefined ? {} : { partNumber: extras.vpd.partNumber }),
    ...(pcieNow === undefined ? {} : { pcieNow }),
    ...(pcieBest === undefined ? {} : { pcieBest }),
    ...(pcieSlot === undefined ? {} : { pcieSlot }),
    ...(pcieErrors === undefined ? {} : { pcieErrors }),
    ...(ptpClock === undefined ? {} : { ptpClock }),
    ...(acpiIndex === undefined ? {} : { acpiIndex }),
    ...(sriov === undefined ? {} : { sriov }),
    vfs: extras.vfs,
    ...(scalable.length === 0 ? {} : { scalable }),
  };
}

/** Only what a driver tells: a NIC that was read before is handed over as a whole. */
function toldFacts(driver: DriverFacts): DriverFacts {
  return Object.fromEntries(DRIVER_FACTS.flatMap((name) => (driver[name] === undefined ? [] : [[name, driver[name]]])));
}

/** What the bridge above the function can do at most; the root complex itself tells nothing. */
function slotAbove(scan: Scan, { home }: FunctionPlace): PcieLink | undefined {
  const above = home.slice(0, home.lastIndexOf('/'));
  const address = above.slice(above.lastIndexOf('/') + 1);
  if (asPciAddress(address) === undefined) return undefined;
  const bridge = { home: above, name: `${PCI_DEVICES}/${address}` };
  return pcieLink(textOf(scan, bridge, 'max_link_speed'), textOf(scan, bridge, 'max_link_width'));
}

function readPcieErrors(scan: Scan, place: FunctionPlace): PcieErrors | undefined {
  const total = (kind: keyof PcieErrors): number | undefined => aerTotal(textOf(scan, place, `aer_dev_${kind}`) ?? '');
  const [correctable, nonfatal, fatal] = [total('correctable'), total('nonfatal'), total('fatal')];
  if (correctable === undefined || nonfatal === undefined || fatal === undefined) return undefined;
  return { correctable, nonfatal, fatal };
}

/** Of several clocks of one function (one for each port) the first. */
function ptpClockOf(scan: Scan, place: FunctionPlace): string | undefined {
  const names = entriesOf(scan, `${place.home}/ptp`).flatMap(({ name }) =>
    /^ptp[0-9]{1,5}$/.test(name) ? [name] : [],
  );
  const [first] = names.sort();
  return first === undefined ? undefined : `/dev/${first}`;
}

/** NICs are of a network class or have a netdev; the rest are accelerators. The order stays. */
export function splitNics(all: readonly Nic[]): Pick<Inventory, 'nics' | 'accelerators'> {
  const isNic = (nic: Nic): boolean => nic.netdev !== undefined || isNetworkClass(nic.class);
  const accelerators = all.filter((nic) => !isNic(nic));
  return { nics: all.filter(isNic), ...(accelerators.length === 0 ? {} : { accelerators }) };
}

/** `undefined` when the function is gone. */
export function readVf(
  scan: Scan,
  place: FunctionPlace,
  role: { readonly index: number; readonly pf: PciAddress },
  known: {
    readonly netdev?: Netdev | undefined;
    readonly settings?: VfSettings | undefined;
    readonly queues?: QueueFacts | undefined;
  },
): Vf | undefined {
  const facts: PciFacts | undefined = readPciFacts(scan, place);
  if (facts === undefined) return undefined;
  return {
    index: role.index,
    ...facts,
    pf: role.pf,
    ...netdevFields(known.netdev),
    ...(known.settings === undefined ? {} : { settings: known.settings }),
    ...known.queues,
  };
}

function netdevFields(netdev: Netdev | undefined): Pick<Nic, 'ifname' | 'netdev'> {
  return netdev === undefined ? {} : { ifname: netdev.ifname, netdev };
}

/**
 * On the live node VFs are counted by their links: `sriov_numvfs` takes the device's lock, which is
 * held for as long as VFs are being made. `sriov_totalvfs` does not.
 */
function readSriov(
  scan: Scan,
  place: FunctionPlace,
  links: number,
  vfSettings: boolean | undefined,
): SriovFacts | undefined {
  const totalVfs = attributeOf(scan, place, 'sriov_totalvfs', count);
  if (totalVfs === undefined || totalVfs === 0) return undefined;
  const told = scan.tree.live ? undefined : attributeOf(scan, place, 'sriov_numvfs', count);
  if (told !== undefined && told !== links)
    scan.notes.add(`${place.name}/sriov_numvfs`, `says ${told}, there are ${links} virtfn links`);
  const autoprobe = attributeOf(scan, place, 'sriov_drivers_autoprobe', flag);
  return {
    totalVfs,
    numVfs: told ?? links,
    ...(autoprobe === undefined ? {} : { autoprobe }),
    ...(vfSettings === undefined ? {} : { vfSettings }),
  };
}
