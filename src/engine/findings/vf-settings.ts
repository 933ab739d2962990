/** Settings of single VFs that do not fit: with the PF, with each other, with who has them. */
import type { MacAddress } from '../values.ts';
import { type FindingRule, nameOf, perNic, vfNames } from './rule.ts';

const mtuAbovePf: FindingRule = {
  id: 'vf-mtu-above-pf',
  find: (context) =>
    perNic(
      context,
      (vf, nic) => (vf.netdev?.mtuBytes ?? 0) > (nic.netdev?.mtuBytes ?? Infinity),
      (vfs, nic) => ({
        severity: 'warning',
        evidence: `${nameOf(nic)}: ${vfNames(vfs)} with MTU ${vfs[0]?.netdev?.mtuBytes} above the ${nic.netdev?.mtuBytes} of the PF`,
        remedy: 'Raise the MTU of the PF (and of the switch): larger packets of these VFs are dropped without a word.',
      }),
    ),
};

/** The PF then only lets through the address that it made up itself: no matter until somebody sets another. */
const spoofCheckWithoutMac: FindingRule = {
  id: 'vf-spoofcheck-without-mac',
  find: (context) =>
    perNic(
      context,
      ({ settings }) => settings?.spoofCheck === true && isUnset(settings.adminMac),
      (vfs, nic) => {
        const given = vfs.filter((vf) => context.owners[vf.address] !== undefined || vf.driver === 'vfio-pci');
        const some = given.length === 0 || given.length === vfs.length ? '' : ` (given away: ${vfNames(given)})`;
        return {
          severity: given.length === 0 ? 'info' : 'warning',
          evidence: `${nameOf(nic)}: ${vfNames(vfs)} with spoof check and without an administrative MAC${some}`,
          remedy: 'Give the network a MAC address, or switch the spoof check off where the pod chooses its own.',
        };
      },
    ),
};

/** Trust lets a VF receive what is not meant for it. */
const trustedAndFree: FindingRule = {
  id: 'vf-trusted-and-free',
  find: (context) =>
    perNic(
      context,
      (vf) => vf.settings?.trust === true && context.owners[vf.address] === undefined,
      (vfs, nic) => ({
        severity: 'info',
        evidence: `${nameOf(nic)}: ${vfNames(vfs)} trusted though no pod has them`,
        remedy: 'Switch trust off (ip link set PF vf N trust off), and ask for it where it is needed.',
      }),
    ),
};

/** A bond, and a macvlan in passthru, share an address on purpose; VFs never do. */
const duplicateMac: FindingRule = {
  id: 'mac-duplicate',
  find: ({ inventory }) => {
    const holders = inventory.nics.flatMap((nic) =>
      nic.vfs.flatMap((vf) => {
        const mac = isUnset(vf.settings?.adminMac) ? vf.netdev?.mac : vf.settings?.adminMac;
        return mac === undefined || isUnset(mac) ? [] : [{ mac, vf, nic }];
      }),
    );
    return [...Map.groupBy(holders, (holder) => holder.mac)].flatMap(([mac, same]) => {
      const [first] = same;
      if (first === undefined || same.length < 2) return [];
      const names = same.map(({ vf, nic }) => `${vfNames([vf])} of ${nic.ifname ?? nic.address}`);
      return [
        {
          severity: 'error' as const,
          subject: first.vf.address,
          evidence: `${mac} is the address of ${names.join(' and ')}`,
          remedy: 'Give each VF an address of its own; the switch in the NIC delivers to one of them only.',
        },
      ];
    });
  },
};

export const VF_SETTINGS_RULES: readonly FindingRule[] = [
  mtuAbovePf,
  spoofCheckWithoutMac,
  trustedAndFree,
  duplicateMac,
];

function isUnset(mac: MacAddress | undefined): boolean {
  return mac === undefined || /^[0:]+$/.test(mac);
}
