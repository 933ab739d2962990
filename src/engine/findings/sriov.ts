/** PFs and their VFs: made, bound, described and offered. */
import { lacksVfStatistics } from './drivers.ts';
import { type FindingRule, functionsOf, nameOf, perNic, vfNames } from './rule.ts';

const autoprobeOff: FindingRule = {
  id: 'sriov-autoprobe-off',
  find: ({ inventory }) =>
    functionsOf(inventory)
      .filter((nic) => nic.sriov?.autoprobe === false)
      .map((nic) => {
        const unbound = nic.vfs.filter((vf) => vf.driver === undefined);
        return {
          severity: unbound.length === 0 ? 'info' : 'warning',
          subject: nic.address,
          evidence: `${nameOf(nic)}: sriov_drivers_autoprobe is 0${unbound.length === 0 ? '' : `, ${vfNames(unbound)} without a driver`}`,
          remedy: 'Write 1 to sriov_drivers_autoprobe before VFs are made, or bind them with driver_override.',
        };
      }),
};

const noVfs: FindingRule = {
  id: 'sriov-no-vfs',
  find: ({ inventory }) =>
    functionsOf(inventory).flatMap((nic) =>
      nic.sriov === undefined || nic.sriov.numVfs > 0
        ? []
        : [
            {
              severity: 'info',
              subject: nic.address,
              evidence: `${nameOf(nic)} can have ${nic.sriov.totalVfs} VFs and has none`,
              remedy: 'Write a number to sriov_numvfs, at every boot (udev rule or systemd unit).',
            },
          ],
    ),
};

/** The kernel has them, but they cannot be seen. */
const vfsMissing: FindingRule = {
  id: 'sriov-vfs-missing',
  find: ({ inventory }) =>
    functionsOf(inventory).flatMap((nic) =>
      nic.sriov === undefined || nic.sriov.numVfs <= nic.vfs.length
        ? []
        : [
            {
              severity: 'warning',
              subject: nic.address,
              evidence: `${nameOf(nic)} says ${nic.sriov.numVfs} VFs, ${nic.vfs.length} can be seen`,
              remedy: 'Look at the kernel log of the PF; making the VFs again mostly helps.',
            },
          ],
    ),
};

const withoutDriver: FindingRule = {
  id: 'vf-without-driver',
  find: (context) =>
    perNic(
      context,
      (vf, nic) => vf.driver === undefined && nic.sriov?.autoprobe !== false,
      (vfs, nic) => ({
        severity: 'warning',
        evidence: `${nameOf(nic)}: ${vfNames(vfs)} without a driver`,
        remedy: 'Load the driver of the VFs (modprobe), or bind vfio-pci for virtual machines and DPDK.',
      }),
    ),
};

/** What many network definitions ask for, such a driver refuses. */
const noSettings: FindingRule = {
  id: 'vf-settings-unsupported',
  find: ({ inventory }) =>
    inventory.nics
      .filter((nic) => nic.vfs.length > 0 && nic.sriov?.vfSettings === false)
      .map((nic) => ({
        severity: 'warning',
        subject: nic.address,
        evidence: `${nameOf(nic)}: driver ${nic.driver ?? 'unknown'} lists no VFs, so VLAN, MAC, rate, trust and spoof check cannot be set`,
        remedy: 'Leave these settings out of network definitions for its VFs, or use the representors (switchdev).',
      })),
};

const noStatistics: FindingRule = {
  id: 'vf-statistics-unsupported',
  find: ({ inventory }) =>
    inventory.nics
      .filter((nic) => nic.vfs.length > 0 && lacksVfStatistics(nic.driver))
      .map((nic) => ({
        severity: 'info',
        subject: nic.address,
        evidence: `${nameOf(nic)}: driver ${nic.driver} does not count what VFs send and receive; the kernel shows zeros`,
        remedy: "Take traffic from the pods' own interfaces; alerts on counters of these VFs never fire.",
      })),
};

const unselected: FindingRule = {
  id: 'vf-unselected',
  find: (context) => {
    const { pools, owners, unused } = context;
    if (unused === undefined) return [];
    return perNic(
      context,
      (vf) => pools[vf.address] === undefined && owners[vf.address] === undefined && unused.has(vf.address),
      (vfs, nic) => {
        const reasons = new Set(vfs.flatMap((vf) => unused.get(vf.address) ?? []));
        return {
          severity: 'info',
          evidence: `${nameOf(nic)}: ${vfNames(vfs)} in no pool (${[...reasons].slice(0, 2).join('; ') || 'nothing selects them'})`,
          remedy: 'Ask `berth explain` for one of them, and widen a selector or add a pool.',
        };
      },
    );
  },
};

export const SRIOV_RULES: readonly FindingRule[] = [
  autoprobeOff,
  noVfs,
  vfsMissing,
  withoutDriver,
  noSettings,
  noStatistics,
  unselected,
];
