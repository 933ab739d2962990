/** Single values of configuration files: what each must look like, and what is said where it does not. */
import { z } from 'zod';
import { asPrefix } from '../engine/ipam/ip.ts';
import { isGlob } from '../engine/pools/glob.ts';
import { asIfName, asMacAddress, asPciAddress, type MacAddress, type PciAddress } from '../engine/values.ts';
import { parseVfRange } from './vf-range.ts';

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
export const namespace = text((value) =>
  /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(value)
    ? undefined
    : `${JSON.stringify(value)} cannot be the name of a namespace`,
);

export const interfaceName = text((value) =>
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

/** `eth0#0,2-7`; `pf` judges the part before the `#`, which may have wildcards when `patterns`. */
export function vfRange(pf: z.ZodType<string>, patterns = false) {
  return z.string().transform((value, context) => {
    const range = parseVfRange(value);
    if (typeof range === 'string') {
      context.addIssue({ code: 'custom', message: range });
      return z.NEVER;
    }
    const name = pf.safeParse(range.pf);
    if (name.success) return { ...range, pf: name.data, ...(patterns && isGlob(name.data) ? { isPattern: true } : {}) };
    context.addIssue({ code: 'custom', message: name.error.issues[0]?.message ?? 'not a PF' });
    return z.NEVER;
  });
}

/** A link type as the kernel's ARPHRD_* numbers are called: `ether`, `infiniband`. */
export const linkType = text((value) =>
  /^[a-z0-9/.-]{1,32}$/.test(value) ? undefined : `${JSON.stringify(value)} is not a link type, as in ether`,
);

export const subnet = text((value) =>
  asPrefix(value) === undefined ? `${JSON.stringify(value)} is not a subnet, as in 10.0.0.0/16` : undefined,
);

export const directory = text((value) => {
  if (!value.startsWith('/')) return `${JSON.stringify(value)} is not an absolute path`;
  return value.split('/').includes('..') || value.includes('\0')
    ? `${JSON.stringify(value)} leaves its own path`
    : undefined;
});

/** A PCI class or the beginning of one: two to six hexadecimal digits. */
export const pciClass = text((value) =>
  /^[0-9a-fA-F]{2}(?:[0-9a-fA-F]{2}){0,2}$/.test(value)
    ? undefined
    : `${JSON.stringify(value)} is not a PCI class of two, four or six hexadecimal digits, as in 12 or 0b40`,
).transform((value) => value.toLowerCase());

export const numaNode = z.int().min(0).max(1023);

/** A host bridge as sysfs names it, which is also what the pcieRoot attribute of dynamic resources says. */
export const pcieRoot = text((value) =>
  /^pci[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}$/.test(value)
    ? undefined
    : `${JSON.stringify(value)} is not a PCIe root, as in pci0000:40`,
).transform((value) => value.toLowerCase());

export const acpiIndex = text((value) =>
  /^[0-9]{1,10}$/.test(value) ? undefined : `${JSON.stringify(value)} is not an ACPI index, a number in quotes`,
);

/** What devlink calls the package: words with spaces. */
export const ddpProfile = text((value) =>
  /^[\x20-\x7e]{1,128}$/.test(value) ? undefined : `${JSON.stringify(value)} cannot be the name of a DDP package`,
);

/** `0x1` and `0x0001` are one key; four lower-case digits afterwards. */
export const partitionKey = text((value) =>
  /^0[xX][0-9a-fA-F]{1,4}$/.test(value)
    ? undefined
    : `${JSON.stringify(value)} is not a partition key of up to four hexadecimal digits, as in 0x8001`,
).transform((value) => value.slice(2).toLowerCase().padStart(4, '0'));

export const vdpaType = z.enum(['vhost', 'virtio']);
