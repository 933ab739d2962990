/** How a plan names a device besides its id: what people call it, and where it sits on its NIC. */
import type { LinkIndex } from './links.ts';
import type { PoolFunction } from './model.ts';

/** Names of a device; what it has none of is absent. */
export interface DeviceNames {
  readonly ifname?: string;
  /** Of a VF: interface name of its PF, or the PF's address. */
  readonly pf?: string;
  /** Of a VF: its index below the PF. */
  readonly vf?: number;
}

/** Names of a function by its device id; none for one that is gone, or that is no function. */
export function namesOfFunction(id: string, index: LinkIndex): DeviceNames {
  const functions: ReadonlyMap<string, PoolFunction> = index.functions;
  const found = functions.get(id);
  if (found === undefined) return {};
  const { pci, pf } = found;
  const ifname = pci.netdev === undefined ? {} : { ifname: pci.netdev.ifname };
  return pf === undefined ? ifname : { ...ifname, pf: pf.netdev?.ifname ?? pf.address, vf: pci.index };
}
