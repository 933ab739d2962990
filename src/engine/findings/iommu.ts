/** Who can reach whose memory: IOMMU and its groups. */
import type { Nic, PciFacts, Vf } from '../inventory/model.ts';
import { countText, type FindingRule, functionsOf, nameOf, vfNames } from './rule.ts';

/** Without an IOMMU a device reads and writes all memory, and vfio-pci does not bind. */
const off: FindingRule = {
  id: 'iommu-off',
  find: ({ inventory }) => {
    const { node, nics, accelerators = [] } = inventory;
    const isCapable = ({ sriov }: Nic): boolean => sriov !== undefined;
    if (node.iommu !== false || !functionsOf(inventory).some(isCapable)) return [];
    const capable = countText({ nics: nics.filter(isCapable), accelerators: accelerators.filter(isCapable) });
    const isUsed = functionsOf(inventory).some((nic) => [nic, ...nic.vfs].some(({ driver }) => driver === 'vfio-pci'));
    return [
      {
        severity: isUsed ? 'error' : 'warning',
        subject: node.name,
        evidence: `the kernel made no IOMMU groups; ${capable} can have VFs`,
        remedy:
          'Switch VT-d or AMD-Vi on in the BIOS and start the kernel with intel_iommu=on or amd_iommu=on iommu=pt.',
      },
    ];
  },
};

/** A group goes to one owner as a whole. */
const shared: FindingRule = {
  id: 'iommu-group-shared',
  find: ({ inventory }) => {
    const { groupmates = [] } = inventory;
    const devices = functionsOf(inventory).flatMap((nic): readonly (Nic | Vf)[] => [nic, ...nic.vfs]);
    const grouped = devices.filter((device) => device.iommuGroup !== undefined);
    const others = Map.groupBy(groupmates, (mate) => mate.iommuGroup);
    return [...Map.groupBy(grouped, (device) => device.iommuGroup)].flatMap(([group, members]) => {
      const mates = others.get(group ?? -1) ?? [];
      const isGivenAway = members.some((member) => 'pf' in member || member.driver === 'vfio-pci');
      if (members.length + mates.length < 2 || !isGivenAway) return [];
      const [first] = members;
      return [
        {
          severity: 'warning' as const,
          subject: first?.address ?? String(group),
          evidence: `IOMMU group ${group} holds ${[...members.map(nameOf), ...mates.map(({ address }) => address)].join(', ')}`,
          remedy:
            'Use a slot whose port has ACS, or switch ACS on in the BIOS; until then only one of them can be given to userspace.',
        },
      ];
    });
  },
};

/** Groups that VFIO makes up by itself protect nothing. */
const unprotected: FindingRule = {
  id: 'vfio-without-iommu',
  find: ({ inventory }) =>
    functionsOf(inventory).flatMap((nic) => {
      const vfs = nic.vfs.filter(isUnprotected);
      const own = isUnprotected(nic) ? [nameOf(nic)] : [];
      const found = [...own, ...(vfs.length === 0 ? [] : [`${vfNames(vfs)} of ${nameOf(nic)}`])];
      if (found.length === 0) return [];
      return [
        {
          severity: 'error' as const,
          subject: nic.address,
          evidence: `${found.join(' and ')}: on vfio-pci in no-IOMMU mode, so its user can read all memory of the node`,
          remedy: 'Switch the IOMMU on and enable_unsafe_noiommu_mode of the module vfio off.',
        },
      ];
    }),
};

function isUnprotected({ deviceNodes }: PciFacts): boolean {
  return deviceNodes.vfio?.includes('noiommu') === true;
}

export const IOMMU_RULES: readonly FindingRule[] = [off, shared, unprotected];
