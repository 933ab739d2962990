/**
 * The shape of Berth's own configuration file, one field at a time; what concerns several fields
 * together is in berth-document.ts. Every object is closed: an unknown key is a mistake.
 */
import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import { asIfName, asMacAddress, asPciAddress, type MacAddress, type PciAddress } from '../engine/values.ts';
import { nameProblem, prefixProblem } from './resource-name.ts';
import { parseVfRange } from './vf-range.ts';

/** Slots on one uplink: more would not fit into kubelet's messages on a node with a few uplinks. */
export const MAX_CAPACITY = 10_000;

/** Longer than an hour is not damping. */
const MAX_HOLD_DOWN_S = 3600;

/** A string that a function judges: it returns what is wrong, or nothing. */
export function text(problemOf: (value: string) => string | undefined) {
  return z.string().superRefine((value, context) => {
    const message = problemOf(value);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
}

/** An empty list would match nothing, which nobody means. */
export function list<Item extends z.ZodType>(item: Item) {
  return z.array(item).min(1);
}

/** Four hexadecimal digits in either case; lower case afterwards. */
export const hexId = text((value) =>
  /^[0-9a-fA-F]{4}$/.test(value)
    ? undefined
    : `${JSON.stringify(value)} is not a PCI id of four hexadecimal digits, as in 8086`,
).transform((value) => value.toLowerCase());

/** A full PCI address. */
export const pciAddress = z.string().transform((value, context): PciAddress => {
  const address = asPciAddress(value);
  if (address !== undefined) return address;
  context.addIssue({
    code: 'custom',
    message: `${JSON.stringify(value)} is not a full PCI address, as in 0000:41:10.0`,
  });
  return z.NEVER;
});

/** A hardware address of six bytes in any case, with `:` or `-`. */
export const macAddress = z.string().transform((value, context): MacAddress => {
  const address = asMacAddress(value);
  if (address !== undefined && address.length === 17) return address;
  context.addIssue({
    code: 'custom',
    message: `${JSON.stringify(value)} is not a hardware address, as in 3c:fd:fe:00:00:01`,
  });
  return z.NEVER;
});

/** What a card calls itself, as the kernel reads it from its vital product data; `@1` picks PCI function 1 of it. */
export const serialNumber = text((value) =>
  /^[\x21-\x22\x24-\x7e]{1,128}$/.test(value)
    ? undefined
    : `${JSON.stringify(value)} cannot be a serial number: visible ASCII characters without "#"`,
);

/** A namespace's name is a DNS label (RFC 1123). */
const namespace = text((value) =>
  /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(value)
    ? undefined
    : `${JSON.stringify(value)} cannot be the name of a namespace`,
);

const interfaceName = text((value) =>
  asIfName(value) === undefined ? `${JSON.stringify(value)} cannot be the name of an interface` : undefined,
);

/** Alternative names have up to 127 bytes (ALTIFNAMSIZ). */
export const alternativeName = text((value) =>
  /^[^\s/:]{1,127}$/.test(value) ? undefined : `${JSON.stringify(value)} cannot be an alternative name of an interface`,
);

/** A driver's name below `/sys/bus/pci/drivers`. */
export const driver = text((value) =>
  /^[A-Za-z0-9_-]{1,64}$/.test(value) ? undefined : `${JSON.stringify(value)} cannot be the name of a driver`,
);

/** `eth0#0,2-7`; `pf` judges the part before the `#`. */
export function vfRange(pf: z.ZodType<string>) {
  return z.string().transform((value, context) => {
    const range = parseVfRange(value);
    if (typeof range === 'string') {
      context.addIssue({ code: 'custom', message: range });
      return z.NEVER;
    }
    const name = pf.safeParse(range.pf);
    if (name.success) return { ...range, pf: name.data };
    context.addIssue({ code: 'custom', message: name.error.issues[0]?.message ?? 'not a PF' });
    return z.NEVER;
  });
}

/** A link type as the kernel's ARPHRD_* numbers are called: `ether`, `infiniband`. */
export const linkType = text((value) =>
  /^[a-z0-9/.-]{1,32}$/.test(value) ? undefined : `${JSON.stringify(value)} is not a link type, as in ether`,
);

const subnet = text((value) =>
  ipaddr.isValidCIDR(value) ? undefined : `${JSON.stringify(value)} is not a subnet, as in 10.0.0.0/16`,
);

const directory = text((value) => {
  if (!value.startsWith('/')) return `${JSON.stringify(value)} is not an absolute path`;
  return value.split('/').includes('..') || value.includes('\0')
    ? `${JSON.stringify(value)} leaves its own path`
    : undefined;
});

export const vfSelectorSchema = z.strictObject({
  vendors: list(hexId).optional(),
  devices: list(hexId).optional(),
  drivers: list(driver).optional(),
  pciAddresses: list(pciAddress).optional(),
  pfNames: list(vfRange(alternativeName)).optional(),
  rootDevices: list(vfRange(pciAddress)).optional(),
  pfSerials: list(vfRange(serialNumber)).optional(),
  pfMacs: list(vfRange(macAddress)).optional(),
  linkTypes: list(linkType).optional(),
  isRdma: z.boolean().optional(),
  idleNetdev: z.boolean().optional(),
});

export const uplinkSelectorSchema = z.strictObject({
  names: list(interfaceName).optional(),
  altnames: list(alternativeName).optional(),
  drivers: list(driver).optional(),
  pciAddresses: list(pciAddress).optional(),
  serials: list(serialNumber).optional(),
  macs: list(macAddress).optional(),
  subnets: list(subnet).optional(),
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
  name: text(nameProblem),
  kind: z.enum(['vf', 'macvlan', 'ipvlan']),
  selectors: list(vfSelectorSchema).optional(),
  uplinks: list(uplinkSelectorSchema).optional(),
  capacity: z.int().min(1).max(MAX_CAPACITY).optional(),
  excludeTopology: z.boolean().optional(),
  allocation: z.enum(['packed', 'spread', 'aligned', 'least-used']).optional(),
  namespaces: list(namespace).optional(),
  health: healthSchema.optional(),
  additionalInfo: z.record(z.string(), z.record(z.string(), z.string())).optional(),
});

export const configSchema = z.strictObject({
  resourcePrefix: text(prefixProblem).optional(),
  pools: z.array(poolSchema).optional(),
  kubelet: z
    .strictObject({ registration: z.enum(['auto', 'watcher', 'legacy']).optional(), cdi: z.boolean().optional() })
    .optional(),
  cni: z
    .strictObject({
      allocation: z.enum(['enforce', 'warn', 'off']).optional(),
      statusFailsOn: z.array(z.enum(['uplink', 'devices', 'addresses'])).optional(),
      logDir: directory.optional(),
    })
    .optional(),
  paths: z
    .strictObject({
      kubeletDir: directory.optional(),
      deviceInfoDir: directory.optional(),
      cdiDir: directory.optional(),
      runDir: directory.optional(),
      stateDir: directory.optional(),
    })
    .optional(),
});
