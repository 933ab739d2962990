/** Everything that is known of one device, as a list. */
import type { FeedDevice } from '../engine/feed/document.ts';
import { element } from './dom.ts';

type Row = readonly [string, string | number | undefined];

/** For the panel beside the picture. */
export function renderDetails(device: FeedDevice): readonly Node[] {
  const rows = [...commonRows(device), ...('pf' in device ? vfRows(device) : nicRows(device))];
  const list = element('dl');
  for (const [name, value] of rows) {
    if (value === undefined || value === '') continue;
    list.append(element('dt', {}, name), element('dd', {}, String(value)));
  }
  const title = 'pf' in device ? `VF ${device.index}` : (device.ifname ?? 'NIC');
  return [element('h2', {}, `${title} · ${device.address}`), list];
}

function commonRows(device: FeedDevice): readonly Row[] {
  const { netdev, owner } = device;
  return [
    ['State', device.problem === undefined ? device.state : `${device.state}: ${device.problem}`],
    ['Pool', device.pool],
    ['Pod', owner?.pod],
    ['Container', owner?.containerId.slice(0, 12)],
    ['In the pod', owner?.ifname],
    ['Since', owner === undefined ? undefined : new Date(owner.since).toLocaleString()],
    ['Interface', device.ifname],
    ['Other names', netdev?.altnames.join(', ')],
    ['MAC', netdev?.mac],
    ['Permanent MAC', netdev?.permanentMac],
    ['MTU', netdev?.mtuBytes],
    ['Link', linkOf(device)],
    ['Addresses', netdev?.addresses.join(', ')],
    ['Driver', device.driver ?? 'none'],
    ['Device', [device.vendorName, device.deviceName].filter(Boolean).join(' ') || `${device.vendor}:${device.device}`],
    ['NUMA node', device.numaNode],
    ['IOMMU group', device.iommuGroup],
    [
      'Device nodes',
      [device.deviceNodes.vfio, device.deviceNodes.uio, ...(device.deviceNodes.rdma ?? [])].filter(Boolean).join(', '),
    ],
  ];
}

/** `up, 25 Gbit/s`, as the link stands. */
export function linkOf({ netdev }: FeedDevice): string | undefined {
  if (netdev === undefined) return undefined;
  if (netdev.adminUp === false) return 'down';
  if (netdev.carrier === false) return 'no carrier';
  return netdev.speedMbps === undefined ? 'up' : `up, ${netdev.speedMbps / 1000} Gbit/s`;
}

function vfRows(vf: Extract<FeedDevice, { readonly pf: unknown }>): readonly Row[] {
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

function nicRows(nic: Exclude<FeedDevice, { readonly pf: unknown }>): readonly Row[] {
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
