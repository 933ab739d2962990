/** The shape of a pool in Berth's own configuration file, one field at a time. Every object is closed. */
import { z } from 'zod';
import { asPciAddress } from '../engine/values.ts';
import {
  acpiIndex,
  alternativeName,
  ddpProfile,
  driver,
  hexId,
  interfaceName,
  linkType,
  list,
  macAddress,
  namespace,
  numaNode,
  partitionKey,
  pciAddress,
  pciClass,
  pcieRoot,
  serialNumber,
  subnet,
  text,
  vdpaType,
  vfRange,
} from './fields.ts';
import { nameProblem } from './resource-name.ts';

/** Slots on one uplink: more would not fit into kubelet's messages on a node with a few uplinks. */
export const MAX_CAPACITY = 10_000;

/** Longer than an hour is not damping. */
const MAX_HOLD_DOWN_S = 3600;

/** Where the name of the uplink goes in the name of a pool that is one resource on each. */
const PLACEHOLDER = '{uplink}';

/** `{uplink}` stands for an interface name of its own, which has up to 15 characters. */
const poolName = text((value) => nameProblem(value.replaceAll(PLACEHOLDER, 'x'.repeat(15))));

const groupName = text((value) =>
  /^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/.test(value) ? undefined : `${JSON.stringify(value)} is not the name of a group`,
);

/** VFs of a PF that goes by an interface name, an alternative name or a PCI address. */
export const anyVfRange = vfRange(
  z.string().transform((value, context) => {
    const address = asPciAddress(value);
    if (address !== undefined) return address;
    const name = alternativeName.safeParse(value);
    if (name.success) return name.data;
    context.addIssue({ code: 'custom', message: name.error.issues[0]?.message ?? 'not a PF' });
    return z.NEVER;
  }),
  true,
);

/** As `ip -details link` calls them. */
const linkKind = text((value) =>
  /^[a-z0-9_]{1,15}$/.test(value) ? undefined : `${JSON.stringify(value)} is not a kind of link, as in bond`,
);

/** TotalVFs has 16 bits (PCI Express, SR-IOV capability). */
const MAX_VFS = 65_535;

const percentage = z
  .string()
  .regex(/^(?:100|[1-9][0-9]?)%$/)
  .transform((value) => ({ percent: Number(value.slice(0, -1)) }));

/** A number of VFs, or `25%` of them. */
const share = z.union(
  [
    z
      .int()
      .min(1)
      .max(MAX_VFS)
      .transform((count) => ({ count })),
    percentage,
  ],
  {
    error: `a number of VFs from 1 to ${MAX_VFS} is expected, or a share from "1%" to "100%"`,
  },
);

/** Pools of functions, then pools of slots. */
export const FUNCTION_KINDS = ['vf', 'function', 'accelerator', 'sf'] as const;
export const SLOT_KINDS = ['macvlan', 'ipvlan', 'macvtap', 'uplink'] as const;
const POOL_KINDS = [...FUNCTION_KINDS, ...SLOT_KINDS];

const vfSelectorSchema = z.strictObject({
  vendors: list(hexId).optional(),
  devices: list(hexId).optional(),
  classes: list(pciClass).optional(),
  drivers: list(driver).optional(),
  pciAddresses: list(pciAddress).optional(),
  acpiIndexes: list(acpiIndex).optional(),
  numaNodes: list(numaNode).optional(),
  pcieRoots: list(pcieRoot).optional(),
  pfNames: list(vfRange(alternativeName, true)).optional(),
  rootDevices: list(vfRange(pciAddress)).optional(),
  pfSerials: list(vfRange(serialNumber)).optional(),
  pfMacs: list(vfRange(macAddress)).optional(),
  pfGroups: list(groupName).optional(),
  pfSubnets: list(subnet).optional(),
  linkTypes: list(linkType).optional(),
  ddpProfiles: list(ddpProfile).optional(),
  pKeys: list(partitionKey).optional(),
  isRdma: z.boolean().optional(),
  needVhostNet: z.boolean().optional(),
  vdpaType: vdpaType.optional(),
  idleNetdev: z.boolean().optional(),
});

const uplinkFields = {
  names: list(interfaceName).optional(),
  altnames: list(alternativeName).optional(),
  kinds: list(linkKind).optional(),
  drivers: list(driver).optional(),
  pciAddresses: list(pciAddress).optional(),
  numaNodes: list(numaNode).optional(),
  pcieRoots: list(pcieRoot).optional(),
  serials: list(serialNumber).optional(),
  macs: list(macAddress).optional(),
  subnets: list(subnet).optional(),
};

/** One member of a group: groups do not nest. */
const groupMemberSchema = z.strictObject(uplinkFields);

const uplinkSelectorSchema = z.strictObject({ ...uplinkFields, groups: list(groupName).optional() });

/** By the group's name. */
export const uplinkGroupsSchema = z.record(groupName, list(groupMemberSchema));

const perPfSchema = z.strictObject({
  keepBack: z.int().min(1).max(MAX_VFS).optional(),
  limit: share.optional(),
});

const healthSchema = z.strictObject({
  linkDown: z.enum(['ignore', 'unhealthy']).optional(),
  driverChanged: z.enum(['ignore', 'unhealthy']).optional(),
  pfReset: z.enum(['ignore', 'unhealthy']).optional(),
  misplaced: z.enum(['ignore', 'unhealthy']).optional(),
  sharedGroup: z.enum(['ignore', 'unhealthy']).optional(),
  holdDownSeconds: z.number().min(0).max(MAX_HOLD_DOWN_S).optional(),
});

export const poolSchema = z.strictObject({
  name: poolName,
  kind: z.enum(POOL_KINDS),
  selectors: list(vfSelectorSchema).optional(),
  uplinks: list(uplinkSelectorSchema).optional(),
  capacity: z.int().min(1).max(MAX_CAPACITY).optional(),
  mode: z.enum(['bridge', 'private', 'vepa', 'passthru']).optional(),
  perPf: perPfSchema.optional(),
  excludeTopology: z.boolean().optional(),
  allocation: z.enum(['packed', 'spread', 'aligned', 'least-used']).optional(),
  namespaces: list(namespace).optional(),
  health: healthSchema.optional(),
  additionalInfo: z.record(z.string(), z.record(z.string(), z.string())).optional(),
});
