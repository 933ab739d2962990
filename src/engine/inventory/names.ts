/** Every name that `findDevice` knows a device by, the most usual first. */
import { macNames, serialNames } from './identity.ts';
import type { FoundDevice } from './lookup.ts';
import type { Netdev, Nic } from './model.ts';

/** Without repetitions. Of a VF those of its PF with its index are among them, stable ones too. */
export function namesOf(found: FoundDevice): readonly string[] {
  switch (found.kind) {
    case 'virtual':
      return unique([...netdevNames(found.link), ...macNames(found.link)]);
    case 'nic':
      return unique([found.nic.address, ...portNames(found.nic), ...rdmaNames(found.nic)]);
    case 'vf': {
      const { nic, vf } = found;
      const byPf = [nic.address, ...portNames(nic)].map((name) => `${name}#${vf.index}`);
      return unique([vf.address, ...netdevNames(vf.netdev), ...byPf, ...rdmaNames(vf)]);
    }
    default:
      return found satisfies never;
  }
}

function portNames(nic: Nic): readonly string[] {
  return [...netdevNames(nic.netdev), ...macNames(nic.netdev), ...serialNames(nic).slice(-1)];
}

function netdevNames(netdev: Netdev | undefined): readonly string[] {
  return netdev === undefined ? [] : [netdev.ifname, ...netdev.altnames];
}

function rdmaNames({ rdma = [] }: Pick<Nic, 'rdma'>): readonly string[] {
  return rdma.map(({ name }) => name);
}

function unique(names: readonly string[]): readonly string[] {
  return [...new Set(names)];
}
