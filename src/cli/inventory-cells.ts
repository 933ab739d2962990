/** Facts of devices as cells of the wide table; an empty cell is an unknown fact. */
import type { Nic, QueueCounts, RingSizes, VfSettings } from '../engine/inventory/model.ts';
import type { DeviceOwner, PodContainer } from '../engine/view.ts';
import { pcieLinkText } from './link-words.ts';

/** `8GT x4/8GT x8`: now and at best. */
export function pcieText({ pcieNow, pcieBest }: Nic): string {
  return pcieNow === undefined && pcieBest === undefined ? '' : `${pcieLinkText(pcieNow)}/${pcieLinkText(pcieBest)}`;
}

/** AER totals. */
export function errorsText(errors: Nic['pcieErrors']): string {
  if (errors === undefined) return '';
  const { correctable, fatal, nonfatal } = errors;
  return fatal + nonfatal + correctable === 0
    ? 'none'
    : `${fatal} fatal, ${nonfatal} non-fatal, ${correctable} corrected`;
}

/** `8/64`, `rx 4/8 tx 4/8`. */
export function queuesText(queues: QueueCounts | undefined): string {
  if (queues === undefined) return '';
  const { combined, combinedMax, rx, rxMax, tx, txMax } = queues;
  const of = (name: string, now: number | undefined, max: number | undefined): string =>
    now === undefined ? '' : `${name}${now}/${max ?? '?'}`;
  return [of('', combined, combinedMax), of('rx ', rx, rxMax), of('tx ', tx, txMax)].filter(Boolean).join(' ');
}

/** `rx 256/4096 tx 256/4096`. */
export function ringsText(rings: RingSizes | undefined): string {
  if (rings === undefined) return '';
  return `rx ${rings.rx ?? '?'}/${rings.rxMax ?? '?'} tx ${rings.tx ?? '?'}/${rings.txMax ?? '?'}`;
}

/** Only what differs from a VF nobody configured. */
export function settingsText(settings: VfSettings | undefined): string {
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

/** `default/web-0 net1`; without the interface where kubelet gave the device and nobody attached it. */
export function ownerText(owner: DeviceOwner | undefined, allocation: PodContainer | undefined): string {
  if (owner === undefined) return allocation?.pod ?? '';
  return `${owner.pod ?? `container ${owner.containerId.slice(0, 12)}`} ${owner.ifname}`;
}
