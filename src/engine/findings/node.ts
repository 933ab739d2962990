/** Drivers, firmware, and what Berth itself could not see. */
import { type FindingRule, functionsOf, nameOf } from './rule.ts';

const firmwareMixed: FindingRule = {
  id: 'firmware-mixed',
  find: ({ inventory }) => {
    const models = Map.groupBy(functionsOf(inventory), ({ vendor, device, subsystemVendor, subsystemDevice }) =>
      [vendor, device, subsystemVendor, subsystemDevice].join(':'),
    );
    return [...models.values()].flatMap((twins) => {
      const told = twins.filter((nic) => nic.firmware !== undefined);
      const versions = Map.groupBy(told, (nic) => nic.firmware);
      const [first] = told;
      if (first === undefined || versions.size < 2) return [];
      const list = [...versions].map(([version, nics]) => `${version} on ${nics.map(nameOf).join(', ')}`);
      return [
        {
          severity: 'warning' as const,
          subject: first.address,
          evidence: `NICs of one model with different firmware: ${list.join('; ')}`,
          remedy: 'Bring all of them to one version; what works on one port may not on the other.',
        },
      ];
    });
  },
};

const firmwarePending: FindingRule = {
  id: 'firmware-pending',
  find: ({ inventory }) =>
    functionsOf(inventory)
      .filter((nic) => nic.firmwareStored !== undefined)
      .map((nic) => ({
        severity: 'info',
        subject: nic.address,
        evidence: `${nameOf(nic)} has ${nic.firmwareStored} in its flash, ${nic.firmware ?? 'another version'} runs`,
        remedy: 'Drain the node and reset the card (devlink dev reload action fw_activate), or reboot.',
      })),
};

const noDriver: FindingRule = {
  id: 'nic-without-driver',
  find: ({ inventory }) =>
    functionsOf(inventory)
      .filter((nic) => nic.driver === undefined)
      .map((nic) => ({
        severity: 'warning',
        subject: nic.address,
        evidence: `${nameOf(nic)} (${nic.deviceName ?? `${nic.vendor}:${nic.device}`}) has no driver`,
        remedy: 'Load its driver, or bind vfio-pci if it is meant for userspace.',
      })),
};

/** Its devices come back by themselves, unless they do not. */
const resetting: FindingRule = {
  id: 'nic-resetting',
  find: ({ inventory }) =>
    functionsOf(inventory)
      .filter((nic) => nic.resetting !== undefined)
      .map((nic) => ({
        severity: 'error',
        subject: nic.address,
        evidence: `${nameOf(nic)} cannot work now: ${nic.resetting}`,
        remedy: 'Wait for its end; where it has none, see the kernel log, then reboot or replace the card.',
      })),
};

/** The pod has a device that the node has not. */
const heldAndGone: FindingRule = {
  id: 'device-gone-in-use',
  find: ({ inventory, owners }) => {
    const present = new Set<string>(
      functionsOf(inventory).flatMap((nic) => [
        nic.address,
        ...nic.vfs.map((vf) => vf.address),
        ...(nic.scalable ?? []).map((sf) => sf.name),
      ]),
    );
    return Object.entries(owners).flatMap(([address, owner]) =>
      present.has(address)
        ? []
        : [
            {
              severity: 'error' as const,
              subject: address,
              evidence: `${owner.pod ?? `container ${owner.containerId.slice(0, 12)}`} has ${address} as ${owner.ifname}, and the node has no such device`,
              remedy: 'Somebody changed sriov_numvfs or removed the card under the pod: start the pod anew.',
            },
          ],
    );
  },
};

const unread: FindingRule = {
  id: 'facts-unread',
  find: ({ inventory: { node, unread: list } }) => {
    const [first] = list;
    if (first === undefined) return [];
    const more = list.length === 1 ? '' : ` and ${list.length - 1} more`;
    return [
      {
        severity: 'info',
        subject: node.name,
        evidence: `could not be read: ${first.source} (${first.reason})${more}`,
        remedy: 'See `unread` of berth inventory -o json; what depends on it is unknown and was not judged.',
      },
    ];
  },
};

export const NODE_RULES: readonly FindingRule[] = [
  firmwareMixed,
  firmwarePending,
  noDriver,
  resetting,
  heldAndGone,
  unread,
];
