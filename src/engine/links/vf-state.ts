/** What a record holds of a VF: its identity, its baseline, and what ADD set. */
import { z } from 'zod';
import type { IfName, PciAddress } from '../values.ts';
import { netdevBaseline } from './netdev-restore.ts';
import { vfSettings } from './vf-settings.ts';

const baseline = z.object({
  /** Netdev side; absent on a userspace driver. */
  netdev: netdevBaseline.exactOptional(),
  /** PF side; absent when the driver has no such settings. */
  settings: vfSettings.exactOptional(),
});

export const state = z.object({
  kind: z.literal('vf'),
  device: z.string().transform((text) => text as PciAddress),
  driver: z.string(),
  incarnation: z.string(),
  vfIndex: z.number().int(),
  tempName: z.string().transform((text) => text as IfName),
  alias: z.string(),
  baseline,
  /** What ADD set on the PF, for CHECK. */
  wanted: vfSettings,
  mtu: z.number().int().exactOptional(),
  /** RDMA devices that moved along. */
  rdma: z.array(z.string()).exactOptional(),
});

export type VfState = z.output<typeof state>;
