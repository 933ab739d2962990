/**
 * The configuration file's shape as JSON Schema (draft 2020-12), for editors and for checks before
 * a file reaches a node. It is made from the schema that the agent itself uses. What only a look at
 * several fields together tells is left to `berth lint`.
 */
import { z } from 'zod';
import { configSchema } from './schema.ts';

/** Plain data, ready for `JSON.stringify`. */
export function configJsonSchema(): unknown {
  return z.toJSONSchema(configSchema, { io: 'input' });
}
