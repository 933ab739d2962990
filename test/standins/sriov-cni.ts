/** What sriov-cni does to a VF and writes about it, as documented in its sources (pkg/types, pkg/utils). */
import type { AttachmentKey } from '../../src/engine/attachments/model.ts';
import type { SriovCniCache, SriovCniFiles } from '../../src/engine/attachments/peers/port.ts';
import type { PciAddress } from '../../src/engine/values.ts';

/** The state of a VF before ADD, as the plugin writes it. */
export interface OriginalState {
  readonly HostIFName: string;
  readonly EffectiveMAC: string;
  readonly AdminMAC: string;
  readonly Vlan?: number;
  readonly SpoofChk?: boolean;
  readonly Trust?: boolean;
}

/** A cache's content: the configuration with the original state. */
export function sriovCniCache(
  device: PciAddress,
  original: OriginalState,
  config: Readonly<Record<string, unknown>> = {},
): unknown {
  return {
    cniVersion: '1.0.0',
    name: 'net-a',
    type: 'sriov',
    ipam: { type: 'host-local' },
    dns: {},
    Master: 'pf0',
    MAC: '',
    deviceID: device,
    VFID: 1,
    ...config,
    OrigVfState: {
      Vlan: 0,
      VlanQoS: 0,
      VlanProto: 33024,
      MinTxRate: 0,
      MaxTxRate: 0,
      LinkState: 0,
      SpoofChk: true,
      Trust: false,
      ...original,
    },
  };
}

/** Its folder in memory. */
export class MemorySriovCni implements SriovCniFiles {
  readonly files = new Map<string, SriovCniCache>();
  readonly claims = new Map<string, string>();

  write(key: AttachmentKey, json: unknown, writtenAtMs: number): void {
    this.files.set(`${key.containerId}-${key.ifname}`, { key, json, writtenAtMs });
  }

  caches(): readonly SriovCniCache[] {
    return [...this.files.values()];
  }

  cache(key: AttachmentKey): SriovCniCache | undefined {
    return this.files.get(`${key.containerId}-${key.ifname}`);
  }

  claim(device: PciAddress): string | undefined {
    return this.claims.get(device);
  }

  removeCache(key: AttachmentKey): void {
    this.files.delete(`${key.containerId}-${key.ifname}`);
  }

  removeClaim(device: PciAddress, sandboxPath: string): void {
    if (this.claims.get(device) === sandboxPath) this.claims.delete(device);
  }
}
