/** Links in few words, the same in every table and drawing. */
import type { Netdev, PcieLink } from '../engine/inventory/model.ts';

/** `up 25G`, `no carrier`, `down`; nothing for a function without a netdev here. */
export function linkState(netdev: Netdev | undefined): string {
  if (netdev === undefined) return '';
  if (netdev.adminUp === false) return 'down';
  if (netdev.carrier === false) return 'no carrier';
  const state = netdev.adminUp === true ? 'up' : (netdev.operstate ?? 'unknown');
  return netdev.speedMbps === undefined ? state : `${state} ${speedText(netdev.speedMbps)}`;
}

function speedText(speedMbps: number): string {
  return speedMbps >= 1000 ? `${speedMbps / 1000}G` : `${speedMbps}M`;
}

/** `16GT x8`, with `?` for what is not known. */
export function pcieLinkText(link: PcieLink | undefined): string {
  return link === undefined ? '?' : `${link.gtps ?? '?'}GT x${link.width ?? '?'}`;
}
