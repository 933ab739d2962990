/**
 * The shape of the SR-IOV network device plugin's configuration (`resourceList`), one field at a
 * time, after sdp-document.ts has tidied it: no unknown keys, no nulls, selectors always a list.
 */
import { z } from 'zod';
import { nameProblem, prefixProblem } from './resource-name.ts';
import { alternativeName, driver, hexId, linkType, list, pciAddress, text, vfRange } from './schema.ts';

const acpiIndex = text((value) =>
  /^[0-9]{1,10}$/.test(value) ? undefined : `${JSON.stringify(value)} is not an ACPI index, a number in quotes`,
);

const selectorSchema = z.object({
  vendors: list(hexId).optional(),
  devices: list(hexId).optional(),
  drivers: list(driver).optional(),
  pciAddresses: list(pciAddress).optional(),
  acpiIndexes: list(acpiIndex).optional(),
  pfNames: list(vfRange(alternativeName)).optional(),
  rootDevices: list(vfRange(pciAddress)).optional(),
  linkTypes: list(linkType).optional(),
  isRdma: z.boolean().optional(),
});

const resourceSchema = z.object({
  resourceName: text(nameProblem),
  resourcePrefix: text(prefixProblem).optional(),
  excludeTopology: z.boolean().optional(),
  selectors: z.array(selectorSchema),
  additionalInfo: z.record(z.string(), z.record(z.string(), z.string())).optional(),
});

export const sdpSchema = z.object({ resourceList: z.array(resourceSchema) });

/** Selectors by what this version does with them. */
export const SELECTORS = Object.keys(selectorSchema.shape);

/** Selectors that the plugin has and this version cannot judge, with what is missing. */
export const UNSUPPORTED_SELECTORS: ReadonlyMap<string, string> = new Map([
  ['ddpProfiles', 'the names of loaded DDP packages are not read yet'],
  ['pKeys', 'InfiniBand partition keys are not read yet'],
  ['vdpaType', 'vDPA devices are not read yet'],
  ['needVhostNet', '/dev/vhost-net and /dev/net/tun are not given to containers yet'],
]);

/** Values of `deviceType`; those with a text are not served by this version. */
export const DEVICE_TYPES: ReadonlyMap<string, string | undefined> = new Map([
  ['netDevice', undefined],
  ['accelerator', 'functions of PCI class 12 are not read yet'],
  ['auxNetDevice', 'scalable functions are not read yet'],
]);

/** Keys of an entry of `resourceList`. */
export const RESOURCE_KEYS = [...Object.keys(resourceSchema.shape), 'deviceType'];
