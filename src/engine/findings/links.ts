/** Cables and links: is the PF there for its VFs, and are ports as fast as they could be. */
import type { Nic } from '../inventory/model.ts';
import { cardsOf, type FindingContext, type FindingRule, type Noticed, nameOf } from './rule.ts';

const pfDown: FindingRule = {
  id: 'pf-down',
  find: (context) =>
    withVfs(context, (nic) => nic.netdev?.adminUp === false).map(({ nic, held }) => ({
      severity: held === 0 ? 'warning' : 'error',
      subject: nic.address,
      evidence: `${nameOf(nic)} is down, with ${nic.vfs.length} VFs${inPods(held)}`,
      remedy: `Set it up (ip link set ${nic.ifname ?? 'PF'} up) and see to it that the network configuration of the node does.`,
    })),
};

const pfNoCarrier: FindingRule = {
  id: 'pf-no-carrier',
  find: (context) =>
    withVfs(context, ({ netdev }) => netdev?.adminUp === true && netdev.carrier === false).map(({ nic, held }) => ({
      severity: held === 0 ? 'warning' : 'error',
      subject: nic.address,
      evidence: `${nameOf(nic)} is up and has no carrier, with ${nic.vfs.length} VFs${inPods(held)}`,
      remedy: 'Look at cable, transceiver and the port of the switch; VFs of it still reach each other.',
    })),
};

const twinSpeed: FindingRule = {
  id: 'port-slower-than-twin',
  find: ({ inventory }) =>
    cardsOf(inventory).flatMap((ports) => {
      const fastest = Math.max(...ports.map((port) => port.netdev?.speedMbps ?? 0));
      return ports.flatMap((port): Noticed[] => {
        const speed = port.netdev?.speedMbps;
        const twin = ports.find((other) => other.netdev?.speedMbps === fastest);
        if (speed === undefined || twin === undefined || speed >= fastest || port.device !== twin.device) return [];
        return [
          {
            severity: 'warning',
            subject: port.address,
            evidence: `${nameOf(port)} runs at ${speed / 1000} Gbit/s, ${nameOf(twin)} of the same card at ${fastest / 1000}`,
            remedy: 'Compare cables, transceivers and the settings of the ports of the switch.',
          },
        ];
      });
    }),
};

/** One card is one slot, one firmware and one driver to fail. */
const bondOnOneCard: FindingRule = {
  id: 'bond-on-one-card',
  find: ({ inventory }) =>
    inventory.virtual
      .filter((link) => link.kind === 'bond')
      .flatMap((bond): Noticed[] => {
        const members = inventory.nics.filter((nic) => nic.netdev?.master === bond.ifname);
        const cards = cardsOf({ ...inventory, nics: members });
        if (members.length < 2 || cards.length > 1 || members.length < bond.lowers.length) return [];
        return [
          {
            severity: 'info',
            subject: bond.ifname,
            evidence: `all members of ${bond.ifname} are ports of one card: ${members.map(nameOf).join(', ')}`,
            remedy: 'Take ports of two cards where the bond is meant to survive one.',
          },
        ];
      }),
};

/** A bond moves its own traffic to the other port, and knows nothing of the VFs of this one. */
const pfInBond: FindingRule = {
  id: 'pf-in-bond',
  find: (context) =>
    withMaster(context, 'bond').map(({ master, nic }) => ({
      severity: 'info',
      subject: nic.address,
      evidence: `${nameOf(nic)} with ${nic.vfs.length} VFs is a member of ${master}`,
      remedy: 'Give pods that are to survive a port two VFs, one of each port; a VF does not follow the bond.',
    })),
};

/** The switch in the NIC learns no address from a bridge on the PF: what a VF sends there goes out of the port. */
const pfInBridge: FindingRule = {
  id: 'pf-in-bridge',
  find: (context) =>
    withMaster(context, 'bridge').map(({ master, nic }) => ({
      severity: 'warning',
      subject: nic.address,
      evidence: `${nameOf(nic)} with ${nic.vfs.length} VFs is a port of the bridge ${master}`,
      remedy: 'Use another port for the bridge, or add the addresses behind it to the NIC (bridge fdb add ... dev PF).',
    })),
};

const checksumsOff: FindingRule = {
  id: 'checksum-offload-off',
  find: ({ inventory }) =>
    inventory.nics.flatMap((nic): Noticed[] => {
      const { offloads, netdev } = nic;
      if (offloads === undefined || netdev?.linkType !== 'ether') return [];
      const missing = (['tx', 'rx'] as const).filter(
        (way) => !offloads.some((name) => name.startsWith(`${way}-checksum`)),
      );
      if (missing.length === 0) return [];
      return [
        {
          severity: 'info',
          subject: nic.address,
          evidence: `${nameOf(nic)} leaves ${missing.join(' and ')} checksums to the CPU`,
          remedy: `Switch them on (ethtool -K ${nic.ifname ?? 'PF'} ${missing.map((way) => `${way} on`).join(' ')}) where the driver can.`,
        },
      ];
    }),
};

export const LINK_RULES: readonly FindingRule[] = [
  pfDown,
  pfNoCarrier,
  twinSpeed,
  bondOnOneCard,
  pfInBond,
  pfInBridge,
  checksumsOff,
];

function withVfs(
  { inventory, owners }: FindingContext,
  matches: (nic: Nic) => boolean,
): readonly { readonly nic: Nic; readonly held: number }[] {
  return inventory.nics
    .filter((nic) => nic.vfs.length > 0 && matches(nic))
    .map((nic) => ({ nic, held: nic.vfs.filter((vf) => owners[vf.address] !== undefined).length }));
}

/** PFs with VFs that are enslaved to a link of that kind. */
function withMaster(
  { inventory }: FindingContext,
  kind: string,
): readonly { readonly nic: Nic; readonly master: string }[] {
  const masters = new Set(inventory.virtual.filter((link) => link.kind === kind).map((link) => String(link.ifname)));
  return inventory.nics.flatMap((nic) => {
    const master = nic.netdev?.master;
    return nic.vfs.length > 0 && master !== undefined && masters.has(master) ? [{ nic, master }] : [];
  });
}

function inPods(held: number): string {
  return held === 0 ? '' : `, ${held} of them in pods`;
}
