/**
 * The shape of Berth's own configuration file; what concerns several fields together is in
 * berth-document.ts. Every object is closed: an unknown key is a mistake.
 */
import { z } from 'zod';
import { directory, list, text } from './fields.ts';
import { anyVfRange, poolSchema, uplinkGroupsSchema } from './pool-schema.ts';
import { prefixProblem } from './resource-name.ts';

export const configSchema = z.strictObject({
  /** For editors; the agent does not read it. */
  $schema: z.string().optional(),
  resourcePrefix: text(prefixProblem).optional(),
  uplinkGroups: uplinkGroupsSchema.optional(),
  keepBack: list(anyVfRange).optional(),
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
