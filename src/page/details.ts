/** Everything that is known of one device, as a list. */
import type { SparseDevice, SparseNic, SparseVf } from '../engine/cluster/document.ts';
import { element } from './dom.ts';

type Row = readonly [string, string | number | undefined];

/** For the panel beside the picture. */
export function renderDetails(device: SparseDevice): readonly Node[] {
  const rows = [...commonRows(device), ...('pf' in device ? vfRows(device) : nicRows(device))];
  const list = element('dl');
  for (const [name, value] of rows) {
    if (value === undefined || value === '') continue;
    list.append(element('dt', {}, name), element('dd', {}, String(value)));
  }
  const title = 'pf' in device ? `VF ${device.index}` : (device.ifname ?? 'NIC');
  const close = element('button', { type: 'button', class: 'close', 'data-close': true }, 'Close');
  return [element('h2', {}, `${title} · ${device.address}`), list, close];
}

function commonRows(device: SparseDevice): readonly Row[] {
  const { deviceNodes, netdev, owner } = device;
  return [
    ['State', device.problem === undefined ? device.state : `${device.state}: ${device.problem}`],
    ['Pool', device.pool],
    ['Pod', owner?.pod],
    ['Container', owner?.containerId?.slice(0, 12)],
    ['In the pod', owner?.ifname],
    ['Since', owner?.since === undefined ? undefined : new Date(owner.since).toLocaleString()],
    ['Interface', device.ifname],
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
