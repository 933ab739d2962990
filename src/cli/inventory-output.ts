/** Text of `berth inventory`. Pure: data in, text out. */
import type {
  Finding,
  Inventory,
  Netdev,
  Nic,
  PcieLink,
  Unread,
  Vf,
  VfCounters,
  VfSettings,
  VirtualLink,
} from '../engine/inventory/model.ts';
import { type DeviceState, stateOf as standing } from '../engine/inventory-view.ts';
import type { CountersView, DeviceOwner, InventoryView } from '../engine/view.ts';
import { printable, renderTable } from './table.ts';

/** A NIC or VF as `-o json` and `-o yaml` print it: the inventory's facts, and who has it. */
type Owned<T> = T & {
  readonly pool?: string;
  readonly owner?: DeviceOwner;
  /** Absent where no pools were evaluated. */
  readonly state: DeviceState;
  /** Why it is `broken`. */
  readonly problem?: string;
};

/** The stable shape of `inventory -o json`, described in docs/inventory.md. */
export interface InventoryDocument {
  readonly node: Inventory['node'];
  readonly nics: readonly Owned<
    Omit<Nic, 'vfs'> & { readonly vfs: readonly (Owned<Vf> & { readonly counters?: VfCounters })[] }
  >[];
  /** Absent where the node has none. */
  readonly accelerators?: InventoryDocument['nics'];
  readonly virtual: Inventory['virtual'];
  readonly findings: Inventory['findings'];
  readonly unread: Inventory['unread'];
}

/** The inventory with the pool and the owner of each device put in. */
export function inventoryDocument(view: InventoryView, counters: CountersView = {}): InventoryDocument {
  const { inventory, owners, pools, unhealthy = {} } = view;
  const owned = <T extends Nic | Vf>(device: T): Owned<T> => {
    const pool = pools[device.address];
    const owner = owners[device.address];
    const problem = unhealthy[device.address];
    return {
      ...device,
      state: standing(device, view),
      ...(pool === undefined ? {} : { pool }),
      ...(problem === undefined ? {} : { problem }),
      ...(owner === undefined ? {} : { owner }),
    };
  };
  const counted = (vf: Vf): Owned<Vf> & { readonly counters?: VfCounters } => {
    const told = counters[vf.address];
    return told === undefined ? owned(vf) : { ...owned(vf), counters: told };
  };
  const { node, nics, accelerators, virtual, findings, unread } = inventory;
  const all = (list: readonly Nic[]): InventoryDocument['nics'] =>
    list.map((nic) => ({ ...owned(nic), vfs: nic.vfs.map(counted) }));
  return {
    node,
    nics: all(nics),
    ...(accelerators === undefined ? {} : { accelerators: all(accelerators) }),
    virtual,
    findings,
    unread,
  };
}

interface Column {
  readonly title: string;
  readonly of: (device: Nic | Vf, view: InventoryView) => string;
}

const SHORT: readonly Column[] = [
  { title: 'ADDRESS', of: (device) => (isVf(device) ? `  ${device.address}` : device.address) },
  { title: 'IFNAME', of: (device) => device.ifname ?? '' },
  { title: 'DRIVER', of: (device) => device.driver ?? '' },
  { title: 'STATE', of: (device) => stateOf(device.netdev) },
  { title: 'NUMA', of: (device) => shown(device.numaNode) },
  { title: 'VFS', of: (device) => (isVf(device) ? `#${device.index}` : vfCount(device)) },
];

const OWNERSHIP: readonly Column[] = [
  { title: 'POOL', of: (device, { pools }) => pools[device.address] ?? '' },
  { title: 'OWNER', of: (device, { owners }) => ownerText(owners[device.address]) },
];

const LONG_OWNERSHIP: readonly Column[] = [
  { title: 'USE', of: standing },
  ...OWNERSHIP,
  { title: 'CONTAINER', of: ({ address }, { owners }) => owners[address]?.containerId.slice(0, 12) ?? '' },
  { title: 'SINCE', of: ({ address }, { owners }) => owners[address]?.since ?? '' },
];

const LONG: readonly Column[] = [
  { title: 'ALTNAMES', of: (device) => (device.netdev?.altnames ?? []).join(',') },
  { title: 'MAC', of: (device) => device.netdev?.mac ?? '' },
  { title: 'PERMANENT MAC', of: (device) => device.netdev?.permanentMac ?? '' },
  { title: 'MTU', of: (device) => shown(device.netdev?.mtuBytes) },
  { title: 'ID', of: (device) => `${device.vendor}:${device.device}` },
  { title: 'DEVICE', of: (device) => device.deviceName ?? device.vendorName ?? '' },
  { title: 'IOMMU', of: (device) => shown(device.iommuGroup) },
  { title: 'PCIE NOW/BEST', of: (device) => (isVf(device) ? '' : pcieText(device)) },
  { title: 'SLOT', of: (device) => (isVf(device) || device.pcieSlot === undefined ? '' : linkText(device.pcieSlot)) },
  { title: 'PCIE ERRORS', of: (device) => (isVf(device) ? '' : errorsText(device.pcieErrors)) },
  { title: 'QUEUES', of: (device) => (isVf(device) ? '' : queuesText(device.queues)) },
  { title: 'RINGS', of: (device) => (isVf(device) ? '' : ringsText(device.rings)) },
  { title: 'OFFLOADS', of: (device) => (isVf(device) ? '' : shown(device.offloads?.length)) },
  { title: 'PTP', of: (device) => (isVf(device) ? '' : (device.ptpClock ?? '')) },
  { title: 'PORT', of: ({ netdev }) => [netdev?.physPortName, netdev?.physPortId].filter(Boolean).join(' ') },
  {
    title: 'SWITCH',
    of: (device) => [isVf(device) ? '' : device.eswitchMode, device.netdev?.physSwitchId].filter(Boolean).join(' '),
  },
  { title: 'SETTINGS', of: (device) => (isVf(device) ? settingsText(device.settings) : '') },
  {
    title: 'NODES',
    of: ({ deviceNodes }) => [deviceNodes.vfio, deviceNodes.uio, ...(deviceNodes.rdma ?? [])].filter(Boolean).join(','),
  },
  { title: 'DRIVER VERSION', of: (device) => (isVf(device) ? '' : (device.driverVersion ?? '')) },
  { title: 'FIRMWARE', of: (device) => (isVf(device) ? '' : (device.firmware ?? '')) },
  { title: 'STORED', of: (device) => (isVf(device) ? '' : (device.firmwareStored ?? '')) },
  { title: 'SERIAL', of: (device) => (isVf(device) ? '' : (device.serial ?? '')) },
  { title: 'PART', of: (device) => (isVf(device) ? '' : (device.partNumber ?? '')) },
];

/** NICs with their VFs below them, accelerators likewise, then virtual uplinks. `table` fits 100 columns; `wide` leaves nothing out. */
export function renderInventory(view: InventoryView, format: 'table' | 'wide', color: boolean): string {
  const { inventory } = view;
  const { nics, accelerators = [] } = inventory;
  const links = inventory.virtual.filter((link) => link.kind !== 'loopback');
  return [
    nics.length === 0 ? 'No PCI network functions.\n' : renderFunctions(nics, 'ADDRESS', view, format, color),
    ...(accelerators.length === 0 ? [] : [renderFunctions(accelerators, 'ACCELERATOR', view, format, color)]),
    ...(links.length === 0 ? [] : [emphasized(renderLinks(links, format), color)]),
    ...(inventory.findings.length === 0 ? [] : [renderFindings(inventory.findings, color)]),
  ].join('\n');
}

function renderFunctions(
  nics: readonly Nic[],
  title: string,
  view: InventoryView,
  format: 'table' | 'wide',
  color: boolean,
): string {
  const isOffered = Object.keys(view.pools).length + Object.keys(view.owners).length > 0;
  const columns =
    format === 'wide'
      ? [...SHORT, ...LONG, ...(isOffered ? LONG_OWNERSHIP : [])]
      : [...SHORT, ...(isOffered ? OWNERSHIP : [])];
  const devices = nics.flatMap((nic): (Nic | Vf)[] => [nic, ...nic.vfs]);
  const cells = devices.map((device) => columns.map((column) => column.of(device, view)));
  const titles = [title, ...columns.slice(1).map((column) => column.title)];
  const table = renderTable(titles, format === 'wide' ? cells : fitLast(cells, titles));
  return emphasized(table, color, (index) => devices[index]?.address, view);
}

const SEVERITY_COLORS = { error: '\u001b[31m', warning: '\u001b[33m', info: '' } as const;

/** Two or three lines for each: what, and what to do about it. */
function renderFindings(findings: readonly Finding[], color: boolean): string {
  const lines = findings.map(({ severity, id, evidence, remedy, reference }) => {
    const begin = color ? SEVERITY_COLORS[severity] : '';
    const weight = begin === '' ? severity : `${begin}${severity}${PLAIN}`;
    const more = reference === undefined ? '' : ` (${reference})`;
    return `${weight} ${id}: ${printable(evidence)}\n  ${printable(remedy)}${more}`;
  });
  const title = `FINDINGS (${findings.length})`;
  return `${[color ? `${BOLD}${title}${PLAIN}` : title, ...lines].join('\n')}\n`;
}

const TABLE_WIDTH = 100;
const GAP = 3;
const LEAST_LAST = 18;

/** Shortens the last column, where long names of pods are, so that the table keeps its width. */
function fitLast(rows: readonly (readonly string[])[], titles: readonly string[]): readonly (readonly string[])[] {
  const last = titles.length - 1;
  const widths = titles
    .slice(0, last)
    .map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const room = Math.max(LEAST_LAST, TABLE_WIDTH - widths.reduce((sum, width) => sum + width + GAP, 0));
  return rows.map((row) => row.with(last, shortened(row[last] ?? '', room)));
}

/** The end of a pod's name tells it from its siblings: the middle goes. */
function shortened(text: string, room: number): string {
  if (text.length <= room) return text;
  const tail = Math.floor((room - 1) / 2);
  return `${text.slice(0, room - 1 - tail)}…${text.slice(text.length - tail)}`;
}

function renderLinks(links: readonly VirtualLink[], format: 'table' | 'wide'): string {
  const header = [
    'VIRTUAL',
    'KIND',
    'STATE',
    'ON',
    'MASTER',
    'ADDRESSES',
    ...(format === 'wide' ? ['MAC', 'MTU', 'ALTNAMES'] : []),
  ];
  const rows = links.map((link) => [
    link.ifname,
    link.kind,
    stateOf(link),
    link.lowers.join(','),
    link.master ?? '',
    link.addresses.join(','),
    ...(format === 'wide' ? [link.mac ?? '', shown(link.mtuBytes), link.altnames.join(',')] : []),
  ]);
  return renderTable(header, rows);
}

/** What was counted, from the PF's side: what a VF received and sent. */
export function renderCounters({ inventory }: InventoryView, counters: CountersView): string {
  const rows = inventory.nics.flatMap((nic) =>
    nic.vfs.flatMap(({ address, index }) => {
      const told = counters[address];
      if (told === undefined) return [];
      const { rxBytes, rxDropped, rxPackets, txBytes, txDropped, txPackets } = told;
      const numbers = [rxBytes, rxPackets, rxDropped, txBytes, txPackets, txDropped].map(String);
      return [[address, `#${index} of ${nic.ifname ?? nic.address}`, ...numbers]];
    }),
  );
  if (rows.length === 0) return 'No PF told counters of its VFs.\n';
  return renderTable(
    ['COUNTERS', 'VF', 'RX BYTES', 'RX PACKETS', 'RX DROPPED', 'TX BYTES', 'TX PACKETS', 'TX DROPPED'],
    rows,
  );
}

/** What could not be read, one warning a line, for stderr. */
export function renderUnread(unread: readonly Unread[]): string {
  return unread.map(({ source, reason }) => `warning: ${printable(source)}: ${printable(reason)}\n`).join('');
}

const BOLD = '\u001b[1m';
const CYAN = '\u001b[36m';
const PLAIN = '\u001b[0m';

/** Whole lines, after the table is made: escape sequences have no width, and no cell can hold one. */
function emphasized(
  table: string,
  color: boolean,
  addressOf?: (index: number) => string | undefined,
  view?: InventoryView,
): string {
  if (!color) return table;
  const owners: Readonly<Record<string, DeviceOwner>> = view?.owners ?? {};
  return table
    .trimEnd()
    .split('\n')
    .map((text, index) => {
      if (index === 0) return `${BOLD}${text}${PLAIN}`;
      const address = addressOf?.(index - 1);
      return address !== undefined && owners[address] !== undefined ? `${CYAN}${text}${PLAIN}` : text;
    })
    .join('\n')
    .concat('\n');
}

function isVf(device: Nic | Vf): device is Vf {
  return 'pf' in device;
}

function shown(value: number | undefined): string {
  return value === undefined ? '' : String(value);
}

function vfCount({ sriov }: Nic): string {
  return sriov === undefined ? '' : `${sriov.numVfs}/${sriov.totalVfs}`;
}

/** `up 25G`, `no carrier`, `down`; nothing for a function without a netdev here. */
function stateOf(netdev: Netdev | undefined): string {
  if (netdev === undefined) return '';
  if (netdev.adminUp === false) return 'down';
  if (netdev.carrier === false) return 'no carrier';
  const state = netdev.adminUp === true ? 'up' : (netdev.operstate ?? 'unknown');
  return netdev.speedMbps === undefined ? state : `${state} ${speedText(netdev.speedMbps)}`;
}

function speedText(speedMbps: number): string {
  return speedMbps >= 1000 ? `${speedMbps / 1000}G` : `${speedMbps}M`;
}

function pcieText({ pcieNow, pcieBest }: Nic): string {
  return pcieNow === undefined && pcieBest === undefined ? '' : `${linkText(pcieNow)}/${linkText(pcieBest)}`;
}

/** `16GT x8`, with `?` for what is not known. */
export function linkText(link: PcieLink | undefined): string {
  return link === undefined ? '?' : `${link.gtps ?? '?'}GT x${link.width ?? '?'}`;
}

function errorsText(errors: Nic['pcieErrors']): string {
  if (errors === undefined) return '';
  const { correctable, fatal, nonfatal } = errors;
  return fatal + nonfatal + correctable === 0
    ? 'none'
    : `${fatal} fatal, ${nonfatal} non-fatal, ${correctable} corrected`;
}

/** `8/64`, `rx 4/8 tx 4/8`. */
function queuesText(queues: Nic['queues']): string {
  if (queues === undefined) return '';
  const { combined, combinedMax, rx, rxMax, tx, txMax } = queues;
  const of = (name: string, now: number | undefined, max: number | undefined): string =>
    now === undefined ? '' : `${name}${now}/${max ?? '?'}`;
  return [of('', combined, combinedMax), of('rx ', rx, rxMax), of('tx ', tx, txMax)].filter(Boolean).join(' ');
}

function ringsText(rings: Nic['rings']): string {
  if (rings === undefined) return '';
  return `rx ${rings.rx ?? '?'}/${rings.rxMax ?? '?'} tx ${rings.tx ?? '?'}/${rings.txMax ?? '?'}`;
}

/** Only what differs from a VF nobody configured. */
function settingsText(settings: VfSettings | undefined): string {
  if (settings === undefined) return '';
  const { adminMac, vlan, vlanQos, vlanProto, minTxRateMbps, maxTxRateMbps, spoofCheck, trust, linkState } = settings;
  const parts = [
    adminMac === undefined || /^[0:]+$/.test(adminMac) ? '' : `mac ${adminMac}`,
    vlan === undefined || vlan === 0
      ? ''
      : `vlan ${vlan}${vlanQos === undefined || vlanQos === 0 ? '' : ` qos ${vlanQos}`}`,
    vlanProto === undefined || vlanProto === '802.1q' ? '' : vlanProto,
    minTxRateMbps === undefined || minTxRateMbps === 0 ? '' : `min ${minTxRateMbps}M`,
    maxTxRateMbps === undefined || maxTxRateMbps === 0 ? '' : `max ${maxTxRateMbps}M`,
    spoofCheck === false ? 'spoofchk off' : '',
    trust === true ? 'trust on' : '',
    linkState === undefined || linkState === 'auto' ? '' : `link ${linkState}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'default' : parts.join(', ');
}

function ownerText(owner: DeviceOwner | undefined): string {
  if (owner === undefined) return '';
  return `${owner.pod ?? `container ${owner.containerId.slice(0, 12)}`} ${owner.ifname}`;
}
