/**
 * An attachment's record: everything that undoing it needs, written before the first change. JSON
 * with a schema number, one file an attachment; parsed with zod when loaded, because the file may be
 * another version's.
 */
import { z } from 'zod';
import { type LinkState, linkDrivers } from '../links/index.ts';
import type { ContainerId, IfName, MacAddress, NetworkName, PciAddress } from '../values.ts';
import { asContainerId, asIfName, asNetworkName } from '../values.ts';

/** Raised when a reader of the older shape would misunderstand. */
export const RECORD_SCHEMA = 1;

const branded = <T extends string>(as: (text: string) => T | undefined) =>
  z.string().transform((text, issues): T => {
    const value = as(text);
    if (value !== undefined) return value;
    issues.addIssue(`${JSON.stringify(text)} is not valid here`);
    return z.NEVER;
  });

const route = z.object({
  dst: z.string(),
  gateway: z.string().exactOptional(),
  mtu: z.number().exactOptional(),
  advmss: z.number().exactOptional(),
  priority: z.number().exactOptional(),
  table: z.number().exactOptional(),
  scope: z.number().exactOptional(),
});

const result = z.object({
  ifname: branded<IfName>(asIfName),
  mac: z
    .string()
    .transform((text) => text as MacAddress)
    .exactOptional(),
  mtu: z.number().exactOptional(),
  pci: z
    .string()
    .transform((text) => text as PciAddress)
    .exactOptional(),
  hasNetdev: z.boolean(),
  addresses: z.array(z.object({ address: z.string(), gateway: z.string().exactOptional() })),
  routes: z.array(route),
  dns: z.object({
    nameservers: z.array(z.string()).exactOptional(),
    domain: z.string().exactOptional(),
    search: z.array(z.string()).exactOptional(),
    options: z.array(z.string()).exactOptional(),
  }),
});

const link = z.discriminatedUnion(
  'kind',
  Object.values(linkDrivers).map((driver) => driver.state) as never,
) as unknown as z.ZodType<LinkState>;

const record = z.object({
  schema: z.literal(RECORD_SCHEMA),
  key: z.object({ containerId: branded<ContainerId>(asContainerId), ifname: branded<IfName>(asIfName) }),
  network: branded<NetworkName>(asNetworkName),
  pod: z.object({ namespace: z.string(), name: z.string(), uid: z.string().exactOptional() }).exactOptional(),
  requestId: z.string(),
  bootId: z.string(),
  /** RFC 3339: when the ADD began, and when the phase began. */
  createdAt: z.string(),
  since: z.string(),
  sandbox: z.object({ path: z.string(), cookie: z.string(), nsid: z.number().int() }),
  phase: z.enum(['adding', 'attached', 'restoring']),
  /** Which device: PCI address or uplink. Only one record may exist for an exclusive one. */
  device: z.string(),
  lockKey: z.string().exactOptional(),
  exclusive: z.boolean(),
  /**
   * The whole list of an ADD, written before the first is done. Restore does not ask how far it
   * came: it compares the kernel with the baseline.
   */
  steps: z.array(z.string()),
  link,
  /** Where addresses are, or may be, reserved for this attachment. */
  addresses: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('host-local'), dataDir: z.string() }),
      z.object({
        type: z.literal('delegated'),
        program: z.string(),
        stdin: z.string(),
        cniPath: z.string(),
        cniArgs: z.string(),
        foundAt: z.string().exactOptional(),
      }),
    ])
    .exactOptional(),
  /** Taken over from another plugin, whose files go with the record. */
  madeBy: z.literal('sriov-cni').exactOptional(),
  /** The link is as it was and its device may be another's by now: only the addresses are left to release. */
  addressesOnly: z.literal(true).exactOptional(),
  result: result.exactOptional(),
  /** The kernel was told to announce the IPv6 addresses (net.ipv6.conf.<ifname>.ndisc_notify). */
  ndiscNotify: z.literal(true).exactOptional(),
  /** What the last restore could not do. */
  problem: z.object({ message: z.string(), attempts: z.number().int() }).exactOptional(),
});

export type AttachmentRecord = z.output<typeof record>;

export type ParsedRecord =
  | { readonly ok: true; readonly record: AttachmentRecord }
  /** `newer`: written by a later version. Either way the file is kept and reported. */
  | { readonly ok: false; readonly newer: boolean; readonly problem: string };

export function parseRecord(text: string): ParsedRecord {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return { ok: false, newer: false, problem: `not JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
  const schema = z.object({ schema: z.number() }).safeParse(json);
  if (schema.success && schema.data.schema > RECORD_SCHEMA) {
    return {
      ok: false,
      newer: true,
      problem: `schema ${schema.data.schema} is newer than ${RECORD_SCHEMA}, the newest this version knows`,
    };
  }
  const parsed = record.safeParse(json);
  if (parsed.success) return { ok: true, record: parsed.data };
  return {
    ok: false,
    newer: false,
    problem: parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('; '),
  };
}

export function formatRecord(value: AttachmentRecord): string {
  return `${JSON.stringify(value)}\n`;
}
