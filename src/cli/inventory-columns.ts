/** The columns of `berth inventory`. A row is a NIC, a VF or a scalable function; the last two stand below their NIC. */
import type { Inventory, Netdev, Nic, PciFacts, ScalableFunction, Vf } from '../engine/inventory/model.ts';
import { standingOf } from '../engine/inventory-view.ts';
import type { InventoryView } from '../engine/view.ts';
import { errorsText, ownerText, pcieText, queuesText, ringsText, settingsText } from './inventory-cells.ts';
import { linkState, pcieLinkText } from './link-words.ts';
import { age } from './table.ts';

/** One device; `nic`, `vf` or `sf` is set, and what does not apply to it is absent. */
export interface Row {
  /** PCI address, or name of the scalable function. */
  readonly id: string;
  readonly nic?: Nic;
  readonly vf?: Vf;
  readonly sf?: ScalableFunction;
  readonly netdev?: Netdev | undefined;
}

/** What cells are made of besides their device. */
export interface TableContext {
  readonly view: InventoryView;
  readonly now: Date;
  /** Functions by IOMMU group, those that are no NICs as well. */
  readonly groups: ReadonlyMap<number, readonly string[]>;
}

export interface Column {
  readonly title: string;
  readonly of: (row: Row, context: TableContext) => string;
}

export function tableContext(view: InventoryView, now: Date): TableContext {
  const { accelerators = [], groupmates = [], nics } = view.inventory;
  const functions = [...nics, ...accelerators].flatMap((nic): readonly PciFacts[] => [nic, ...nic.vfs]);
  const groups = new Map<number, string[]>();
  for (const { address, iommuGroup } of [...functions, ...groupmates]) {
    if (iommuGroup === undefined) continue;
    const members = groups.get(iommuGroup);
    if (members === undefined) groups.set(iommuGroup, [address]);
    else members.push(address);
  }
  return { view, now, groups };
}

/** Each NIC, followed by its VFs and its scalable functions. */
export function rowsOf(nics: readonly Nic[], { virtual }: Inventory): readonly Row[] {
  return nics.flatMap((nic): readonly Row[] => [
    { id: nic.address, nic, netdev: nic.netdev },
    ...nic.vfs.map((vf) => ({ id: vf.address, vf, netdev: vf.netdev })),
    ...(nic.scalable ?? []).map((sf) => ({
      id: sf.name,
      sf,
      netdev: virtual.find(({ ifname }) => ifname === sf.ifname),
    })),
  ]);
}

export const SHORT: readonly Column[] = [
  { title: 'ADDRESS', of: ({ id, nic }) => (nic === undefined ? `  ${id}` : id) },
  { title: 'IFNAME', of: ({ nic, vf, sf }) => (nic ?? vf ?? sf)?.ifname ?? '' },
  { title: 'DRIVER', of: ({ nic, vf, sf }) => (nic ?? vf ?? sf)?.driver ?? '' },
  { title: 'STATE', of: ({ netdev }) => linkState(netdev) },
  { title: 'NUMA', of: ({ nic, vf }) => shown((nic ?? vf)?.numaNode) },
  { title: 'VFS', of: placeText },
];

/** Only where pools or owners are known. */
export const OWNERSHIP: readonly Column[] = [
  { title: 'POOL', of: ({ id }, { view }) => view.pools[id] ?? '' },
  { title: 'OWNER', of: ({ id }, { view }) => ownerText(view.owners[id], view.allocations?.[id]) },
];

/** The same for the wide table. */
export const LONG_OWNERSHIP: readonly Column[] = [
  { title: 'USE', of: ({ id }, { view }) => standingOf(id, view).state },
  ...OWNERSHIP,
  { title: 'CONTAINER', of: ({ id }, { view }) => view.allocations?.[id]?.container ?? '' },
  { title: 'SANDBOX', of: ({ id }, { view }) => view.owners[id]?.containerId.slice(0, 12) ?? '' },
  { title: 'AGE', of: ({ id }, { now, view }) => ageText(view.owners[id]?.since, now) },
  { title: 'PROBLEM', of: ({ id }, { view }) => view.unhealthy?.[id] ?? '' },
];

/** What the wide table has besides. */
export const LONG: readonly Column[] = [
  { title: 'ALTNAMES', of: ({ netdev }) => (netdev?.altnames ?? []).join(',') },
  { title: 'MAC', of: ({ netdev }) => netdev?.mac ?? '' },
  { title: 'PERMANENT MAC', of: ({ netdev }) => netdev?.permanentMac ?? '' },
  { title: 'MTU', of: ({ netdev }) => shown(netdev?.mtuBytes) },
  { title: 'MASTER', of: ({ netdev }) => netdev?.master ?? '' },
  { title: 'ADDRESSES', of: ({ netdev }) => (netdev?.addresses ?? []).join(',') },
  { title: 'ID', of: pciCell(({ vendor, device }) => `${vendor}:${device}`) },
  { title: 'DEVICE', of: pciCell(({ deviceName, vendorName }) => deviceName ?? vendorName) },
  { title: 'PCIE ROOT', of: pciCell(({ pcieRoot }) => pcieRoot) },
  { title: 'IOMMU', of: pciCell(({ iommuGroup }) => iommuGroup) },
  { title: 'SHARES IOMMU WITH', of: sharersText },
  { title: 'PCIE NOW/BEST', of: ({ nic }) => (nic === undefined ? '' : pcieText(nic)) },
  { title: 'SLOT', of: ({ nic }) => (nic?.pcieSlot === undefined ? '' : pcieLinkText(nic.pcieSlot)) },
  { title: 'PCIE ERRORS', of: ({ nic }) => errorsText(nic?.pcieErrors) },
  { title: 'QUEUES', of: ({ nic, vf }) => queuesText((nic ?? vf)?.queues) },
  { title: 'RINGS', of: ({ nic, vf }) => ringsText((nic ?? vf)?.rings) },
  { title: 'OFFLOADS', of: ({ nic }) => shown(nic?.offloads?.length) },
  { title: 'PTP', of: ({ nic }) => nic?.ptpClock ?? '' },
  { title: 'PORT', of: ({ netdev }) => [netdev?.physPortName, netdev?.physPortId].filter(Boolean).join(' ') },
  { title: 'SWITCH', of: ({ nic, netdev }) => [nic?.eswitchMode, netdev?.physSwitchId].filter(Boolean).join(' ') },
  { title: 'REPRESENTOR', of: ({ vf }) => vf?.representor ?? '' },
  { title: 'SETTINGS', of: ({ vf }) => settingsText(vf?.settings) },
  { title: 'RDMA', of: ({ nic, vf, sf }) => ((nic ?? vf ?? sf)?.rdma ?? []).map(({ name }) => name).join(',') },
  { title: 'VDPA', of: ({ nic, vf, sf }) => ((nic ?? vf ?? sf)?.vdpa ?? []).map(({ name }) => name).join(',') },
  { title: 'NODES', of: nodesText },
  { title: 'DRIVER VERSION', of: ({ nic }) => nic?.driverVersion ?? '' },
  { title: 'FIRMWARE', of: ({ nic }) => nic?.firmware ?? '' },
  { title: 'STORED', of: ({ nic }) => nic?.firmwareStored ?? '' },
  { title: 'DDP', of: ({ nic }) => nic?.ddpProfile ?? '' },
  { title: 'SERIAL', of: ({ nic }) => nic?.serial ?? '' },
  { title: 'PART', of: ({ nic }) => nic?.partNumber ?? '' },
];

function pciCell(of: (facts: PciFacts) => string | number | undefined): Column['of'] {
  return ({ nic, vf }) => {
    const facts = nic ?? vf;
    return facts === undefined ? '' : String(of(facts) ?? '');
  };
}

function shown(value: number | undefined): string {
  return value === undefined ? '' : String(value);
}

/** `2/8`, `#3`, `sf 88`. */
function placeText({ nic, vf, sf }: Row): string {
  if (vf !== undefined) return `#${vf.index}`;
  if (sf !== undefined) return `sf ${sf.sfnum}`;
  return nic?.sriov === undefined ? '' : `${nic.sriov.numVfs}/${nic.sriov.totalVfs}`;
}

const MOST_SHARERS = 2;

function sharersText({ id, nic, vf }: Row, { groups }: TableContext): string {
  const others = (groups.get((nic ?? vf)?.iommuGroup ?? -1) ?? []).filter((address) => address !== id);
  const more = others.length > MOST_SHARERS ? [`${others.length - MOST_SHARERS} more`] : [];
  return [...others.slice(0, MOST_SHARERS), ...more].join(', ');
}

function nodesText({ nic, vf, sf }: Row): string {
  const { vfio, vfioDevice, uio, rdma = [] } = (nic ?? vf)?.deviceNodes ?? {};
  return [vfio, vfioDevice, uio, ...rdma, ...(sf?.rdmaNodes ?? [])].filter((node) => node !== undefined).join(',');
}

function ageText(since: string | undefined, now: Date): string {
  return since === undefined || Number.isNaN(Date.parse(since)) ? '' : age(since, now);
}
