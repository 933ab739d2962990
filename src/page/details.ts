/** Everything that is known of one device, as a list. */
import type { SparseDevice, SparseNic, SparseVf } from '../engine/cluster/document.ts';
import { element } from './dom.ts';
import { isScalable, isVf, type ShownDevice, type ShownScalable } from './shown.ts';

type Row = readonly [string, string | number | undefined];

/** For the panel beside the picture. */
export function renderDetails(device: ShownDevice): readonly Node[] {
  const rows = isScalable(device) ? scalableRows(device) : functionRows(device);
  const list = element('dl');
  for (const [name, value] of rows) {
    if (value === undefined || value === '') continue;
    list.append(element('dt', {}, name), element('dd', {}, String(value)));
  }
  const close = element('button', { type: 'button', class: 'close', 'data-close': true }, 'Close');
  return [element('h2', {}, `${titleOf(device)} · ${device.address}`), list, close];
}

function titleOf(device: ShownDevice): string {
  if (isScalable(device)) return `Scalable function ${device.sfnum}`;
  return isVf(device) ? `VF ${device.index}` : (device.ifname ?? 'NIC');
}

/** How it stands, and who has it. */
function standingRows({ allocation, ifname, owner, pool, problem, state }: ShownDevice): readonly Row[] {
  return [
    ['State', problem === undefined ? state : `${state}: ${problem}`],
    ['Pool', pool],
    ['Pod', owner?.pod ?? allocation?.pod],
    ['Container', allocation?.container],
    ['Sandbox', owner?.containerId?.slice(0, 12)],
    ['In the pod', owner?.ifname],
    ['Since', owner?.since === undefined ? undefined : new Date(owner.since).toLocaleString()],
    ['Interface', ifname],
  ];
}

function scalableRows(sf: ShownScalable): readonly Row[] {
  return [
    ...standingRows(sf),
    ['Driver', sf.driver ?? 'none'],
    ['Below', sf.parent],
    ['RDMA', sf.rdma?.map(({ name }) => name).join(', ')],
    ['vDPA', sf.vdpa?.map(({ name }) => name).join(', ')],
    ['Device nodes', sf.rdmaNodes?.join(', ')],
  ];
}

function functionRows(device: SparseDevice): readonly Row[] {
  return [...commonRows(device), ...(isVf(device) ? vfRows(device) : nicRows(device))];
}

function commonRows(device: SparseDevice): readonly Row[] {
  const { deviceNodes, netdev } = device;
  return [
    ...standingRows(device),
    ['Other names', netdev?.altnames?.join(', ')],
    ['MAC', netdev?.mac],
    ['Permanent MAC', netdev?.permanentMac],
    ['MTU', netdev?.mtuBytes],
    ['Link', linkOf(device)],
    ['Addresses', netdev?.addresses?.join(', ')],
    ['Driver', device.driver ?? 'none'],
    ['Device', [device.vendorName, device.deviceName].filter(Boolean).join(' ') || idOf(device)],
    ['NUMA node', device.numaNode],
    ['IOMMU group', device.iommuGroup],
    ['Device nodes', [deviceNodes?.vfio, deviceNodes?.uio, ...(deviceNodes?.rdma ?? [])].filter(Boolean).join(', ')],
  ];
}

function idOf({ device, vendor }: SparseDevice): string | undefined {
  return vendor === undefined ? undefined : `${vendor}:${device}`;
}

/** `up, 25 Gbit/s`, as the link stands. */
export function linkOf({ netdev }: SparseDevice): string | undefined {
  if (netdev === undefined) return undefined;
  if (netdev.adminUp === false) return 'down';
  if (netdev.carrier === false) return 'no carrier';
  if (netdev.adminUp === undefined && netdev.speedMbps === undefined) return undefined;
  return netdev.speedMbps === undefined ? 'up' : `up, ${netdev.speedMbps / 1000} Gbit/s`;
}

function vfRows(vf: SparseVf): readonly Row[] {
  const { settings } = vf;
  return [
    ['PF', vf.pf],
    ['Administrative MAC', settings?.adminMac],
    ['VLAN', settings?.vlan === 0 ? 'none' : settings?.vlan],
    ['Rates', rates(settings?.minTxRateMbps, settings?.maxTxRateMbps)],
    ['Spoof check', onOff(settings?.spoofCheck)],
    ['Trust', onOff(settings?.trust)],
    ['Link state', settings?.linkState],
  ];
}

function nicRows(nic: SparseNic): readonly Row[] {
  const { pcieNow, pcieSlot, queues, rings, sriov } = nic;
  return [
    ['VFs', sriov === undefined ? undefined : `${sriov.numVfs} of ${sriov.totalVfs}`],
    ['Firmware', nic.firmware],
    ['Driver version', nic.driverVersion],
    ['Serial', nic.serial],
    ['Part number', nic.partNumber],
    ['PCIe', pcieNow === undefined ? undefined : `${pcieNow.gtps} GT/s x${pcieNow.width}`],
    ['Slot', pcieSlot === undefined ? undefined : `${pcieSlot.gtps} GT/s x${pcieSlot.width}`],
    [
      'Queues',
      queues === undefined
        ? undefined
        : `${queues.combined ?? queues.rx ?? '?'} of ${queues.combinedMax ?? queues.rxMax ?? '?'}`,
    ],
    [
      'Rings',
      rings === undefined
        ? undefined
        : `rx ${rings.rx ?? '?'} of ${rings.rxMax ?? '?'}, tx ${rings.tx ?? '?'} of ${rings.txMax ?? '?'}`,
    ],
    ['PTP clock', nic.ptpClock],
    ['Switch', [nic.eswitchMode, nic.netdev?.physSwitchId].filter(Boolean).join(' ')],
  ];
}

function rates(min: number | undefined, max: number | undefined): string | undefined {
  if (min === undefined && max === undefined) return undefined;
  const parts = [min ? `at least ${min}` : '', max ? `at most ${max}` : ''].filter(Boolean);
  return parts.length === 0 ? 'no limit' : `${parts.join(', ')} Mbit/s`;
}

function onOff(value: boolean | undefined): string | undefined {
  if (value === undefined) return undefined;
  return value ? 'on' : 'off';
}
