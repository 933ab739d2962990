/**
 * Netdevs that stand for VFs on a card's switch (switchdev mode). A representor and its PF have the
 * switch's id in common; its port name tells the PF's number and the VF's (net/devlink/port.c,
 * `devlink_port_phys_port_name_get`: `pf0vf3`, with `c1` in front on another host's behalf).
 */
import type { IfName } from '../values.ts';
import type { Netdev, Nic, Vf, VirtualLink } from './model.ts';

/** The NICs, each VF with the name of its representor, or without one when it has none now. Unchanged NICs stay the same object. */
export function withRepresentors(nics: readonly Nic[], virtual: readonly VirtualLink[]): readonly Nic[] {
  const bySwitch = new Map<string, IfName>();
  for (const { physPortName, physSwitchId, ifname } of virtual) {
    const port = /^(?:c0)?pf([0-9]{1,3})vf([0-9]{1,5})$/.exec(physPortName ?? '');
    if (port !== null && physSwitchId !== undefined) bySwitch.set(`${physSwitchId} ${port[1]} ${port[2]}`, ifname);
  }
  return nics.map((nic) => {
    const number = portNumber(nic.netdev);
    const vfs = nic.vfs.map((vf) => {
      const name = number === undefined ? undefined : bySwitch.get(`${number} ${vf.index}`);
      return withRepresentor(vf, name);
    });
    return vfs.every((vf, at) => vf === nic.vfs[at]) ? nic : { ...nic, vfs };
  });
}

/** The switch's id and the PF's number on it; the wire's port of the PF is called `p0`. */
function portNumber(netdev: Netdev | undefined): string | undefined {
  const number = /^p([0-9]{1,3})$/.exec(netdev?.physPortName ?? '')?.[1];
  return number === undefined || netdev?.physSwitchId === undefined ? undefined : `${netdev.physSwitchId} ${number}`;
}

function withRepresentor(vf: Vf, name: IfName | undefined): Vf {
  if (vf.representor === name) return vf;
  const { representor: _before, ...rest } = vf;
  return name === undefined ? rest : { ...rest, representor: name };
}
