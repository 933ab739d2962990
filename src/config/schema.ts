/**
 * The shape of Berth's own configuration file; what concerns several fields together is in
 * berth-document.ts. Every object is closed: an unknown key is a mistake.
 */
import { z } from 'zod';
import { list, text } from './fields.ts';
import { nodeSections } from './node-settings.ts';
import { anyVfRange, poolSchema, uplinkGroupsSchema } from './pool-schema.ts';
import { prefixProblem } from './resource-name.ts';

export const configSchema = z.strictObject({
  /** For editors; the agent does not read it. */
  $schema: z.string().optional(),
  resourcePrefix: text(prefixProblem).optional(),
  uplinkGroups: uplinkGroupsSchema.optional(),
  keepBack: list(anyVfRange).optional(),
  pools: z.array(poolSchema).optional(),
  ...nodeSections,
});
