/** One call on its way through the front end: what it brought, what is known of it by now, and how long the engine took. */
import type { AttachmentKey, LinkKind, PodIdentity } from '../engine/attachments/model.ts';
import { BerthError } from '../engine/errors.ts';
import type { NetworkName } from '../engine/values.ts';
import type { DecodedConfig } from './config.ts';
import type { CniCommand } from './environment.ts';
import { CNI_CODES, CniFault } from './errors.ts';
import type { CniCall, HandlerOptions } from './handler.ts';
import { optional } from './optional.ts';
import type { RecentConfigs } from './recent-configs.ts';
import type { SandboxHolder } from './sandbox.ts';
import type { CniVersion } from './versions.ts';

/** What one call has come to know, for its answer and its observation. */
export interface Progress {
  readonly requestId: string;
  readonly startedMs: number;
  version: CniVersion;
  /** The configuration, once it is known to be an object of a version that is served. */
  fields?: DecodedConfig['fields'];
  command?: CniCommand;
  key?: AttachmentKey;
  kind?: LinkKind | undefined;
  pod?: PodIdentity | undefined;
  network?: NetworkName;
  engineMs: number;
}

/** A call whose configuration is an object of a version that is served. */
export interface Request {
  readonly call: CniCall;
  readonly decoded: DecodedConfig;
  readonly configs: RecentConfigs;
  readonly options: HandlerOptions;
  readonly progress: Progress;
  readonly sandbox: SandboxHolder;
}

/** Notes how long the engine worked. */
export async function timed<T>(progress: Progress, work: () => Promise<T>): Promise<T> {
  const startedMs = performance.now();
  try {
    return await work();
  } finally {
    progress.engineMs = performance.now() - startedMs;
  }
}

/** Code 50 of STATUS, with the reason and the remedy of what was thrown. */
export function notAvailable(error: unknown): CniFault {
  const cause = error instanceof BerthError ? error : undefined;
  return new CniFault(CNI_CODES.notAvailable, {
    code: 'Busy',
    reason: cause?.reason ?? 'not-ready',
    message: error instanceof Error ? error.message : String(error),
    ...optional('remedy', cause?.remedy),
    cause: error,
  });
}
