/** Berth's own configuration file: from a document to a {@link Config}, with every problem at once. */
import { DEFAULT_PREFIX, zeroConfigPools } from '../engine/pools/zero-config.ts';
import type { Config, ConfigResult } from './config.ts';
import type { LocatedDocument } from './document.ts';
import { nodeSettings } from './node-settings.ts';
import { poolProblems } from './pool-problems.ts';
import { poolSpec } from './pool-spec.ts';
import { configSchema } from './schema.ts';
import { schemaProblems } from './schema-problems.ts';

/** `name` is the file's, for the pools' origin; `prefix` comes before the one in the file. */
export function readBerthDocument(document: LocatedDocument, name: string, prefix: string | undefined): ConfigResult {
  const parsed = configSchema.safeParse(document.value);
  const problems = [
    ...(parsed.success ? [] : schemaProblems(configSchema, document, parsed.error.issues)),
    ...poolProblems(document),
  ].toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  if (!parsed.success || problems.length > 0) return { problems };
  const { pools, uplinkGroups, keepBack } = parsed.data;
  const resourcePrefix = prefix ?? parsed.data.resourcePrefix ?? DEFAULT_PREFIX;
  const config: Config = {
    pools:
      pools?.map((pool, at) => {
        const origin = `${name}:${document.problem(['pools', at], '').line}`;
        return poolSpec(pool, { prefix: resourcePrefix, origin, uplinkGroups, keepBack });
      }) ?? zeroConfigPools(resourcePrefix),
    ...nodeSettings(parsed.data),
  };
  return { config, problems };
}
