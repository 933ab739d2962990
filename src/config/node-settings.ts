/**
 * The sections of the configuration file that are not about pools: `kubelet`, `cni` and `paths`. Both
 * forms of the file may have them, Berth's own and the one with `resourceList`, whose own reader
 * does not look at them.
 */
import { z } from 'zod';
import { DEFAULT_CNI } from './cni.ts';
import type { Config } from './config.ts';
import { directory } from './fields.ts';

export const nodeSections = {
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
};

export const nodeSchema = z.object(nodeSections);

/** What the sections say, completed with the defaults. */
export function nodeSettings({ kubelet, cni, paths }: z.output<typeof nodeSchema>): Omit<Config, 'pools'> {
  return {
    registration: kubelet?.registration ?? 'auto',
    cdi: kubelet?.cdi ?? false,
    cni: {
      allocation: cni?.allocation ?? DEFAULT_CNI.allocation,
      statusFailsOn: cni?.statusFailsOn ?? DEFAULT_CNI.statusFailsOn,
      ...(cni?.logDir === undefined ? {} : { logDir: cni.logDir }),
    },
    paths: {
      ...(paths?.kubeletDir === undefined ? {} : { kubeletDir: paths.kubeletDir }),
      ...(paths?.deviceInfoDir === undefined ? {} : { deviceInfoDir: paths.deviceInfoDir }),
      ...(paths?.cdiDir === undefined ? {} : { cdiDir: paths.cdiDir }),
      ...(paths?.runDir === undefined ? {} : { runDir: paths.runDir }),
      ...(paths?.stateDir === undefined ? {} : { stateDir: paths.stateDir }),
    },
  };
}
