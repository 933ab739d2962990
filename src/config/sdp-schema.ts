/**
 * The shape of the SR-IOV network device plugin's configuration (`resourceList`), one field at a
 * time, after sdp-tidy.ts has tidied it: no unknown keys, no nulls, selectors always a list.
 */
import { z } from 'zod';
import {
  acpiIndex,
  alternativeName,
  ddpProfile,
  driver,
  hexId,
  linkType,
  list,
  partitionKey,
  pciAddress,
  text,
  vdpaType,
  vfRange,
} from './fields.ts';
import { nameProblem, prefixProblem } from './resource-name.ts';

const selectorSchema = z.object({
  vendors: list(hexId).optional(),
  devices: list(hexId).optional(),
  drivers: list(driver).optional(),
  pciAddresses: list(pciAddress).optional(),
  acpiIndexes: list(acpiIndex).optional(),
  pfNames: list(vfRange(alternativeName)).optional(),
  rootDevices: list(vfRange(pciAddress)).optional(),
  linkTypes: list(linkType).optional(),
  ddpProfiles: list(ddpProfile).optional(),
  pKeys: list(partitionKey).optional(),
  isRdma: z.boolean().optional(),
  needVhostNet: z.boolean().optional(),
  vdpaType: vdpaType.optional(),
  auxTypes: list(z.enum(['sf'])).optional(),
});

const resourceSchema = z.object({
  resourceName: text(nameProblem),
  resourcePrefix: text(prefixProblem).optional(),
  deviceType: z.enum(['netDevice', 'accelerator', 'auxNetDevice']).optional(),
  excludeTopology: z.boolean().optional(),
  selectors: z.array(selectorSchema),
  additionalInfo: z.record(z.string(), z.record(z.string(), z.string())).optional(),
});

export const sdpSchema = z.object({ resourceList: z.array(resourceSchema) });

/** An entry of `resourceList`, tidied and judged. */
export type SdpResource = z.output<typeof sdpSchema>['resourceList'][number];

export type SdpDeviceType = NonNullable<SdpResource['deviceType']>;

export const SELECTORS = Object.keys(selectorSchema.shape);

/** Keys of an entry of `resourceList`. */
export const RESOURCE_KEYS = Object.keys(resourceSchema.shape);

const ANY_DEVICE = ['vendors', 'devices', 'drivers'];
const PCI_DEVICE = ['pciAddresses', 'acpiIndexes'];
const NETWORK = ['pfNames', 'rootDevices', 'linkTypes', 'isRdma'];

/** Which selectors the plugin knows for which type; it does not see the others. */
export const SELECTORS_OF_TYPE: Readonly<Record<SdpDeviceType, readonly string[]>> = {
  netDevice: [...ANY_DEVICE, ...PCI_DEVICE, ...NETWORK, 'ddpProfiles', 'pKeys', 'needVhostNet', 'vdpaType'],
  accelerator: [...ANY_DEVICE, ...PCI_DEVICE],
  auxNetDevice: [...ANY_DEVICE, ...NETWORK, 'auxTypes'],
};
