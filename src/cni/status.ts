/**
 * The question that STATUS asks of the engine: could an ADD of this network succeed now. A pod's
 * device is not known here, so a network whose pods bring one is asked about by its kind alone.
 */
import type { LinkKind, LinkSpec } from '../engine/attachments/model.ts';
import type { IpamSpec } from '../engine/ipam/model.ts';
import type { Concern, ReadinessQuestion } from '../engine/readiness.ts';
import type { NetworkName } from '../engine/values.ts';
import type { ConfigReview } from './config-review.ts';
import { CniFault } from './errors.ts';
import { linkKindOf, parseLinkSpec } from './link-spec/index.ts';
import type { LinkSource } from './link-spec/source.ts';
import { optional } from './optional.ts';

/** Throws what is wrong with the configuration: nothing could be added with it. `concerns` are those of the node. */
export async function parseReadinessQuestion(
  review: ConfigReview,
  source: LinkSource,
  ipam: IpamSpec | undefined,
  concerns: readonly Concern[],
): Promise<ReadinessQuestion> {
  const kind = (await review.attempt(() => kindOf(source))) as LinkKind;
  const link = await review.attempt(() => linkOf(source, review));
  review.throwIfAny();
  const network: NetworkName = source.network;
  return {
    network,
    kind,
    ...optional('link', link),
    ...optional('ipam', ipam),
    concerns: review.config.statusFailsOn ?? concerns,
  };
}

/** `type: berth` without `link` is a VF as soon as the device is known. */
function kindOf(source: LinkSource): LinkKind {
  return withoutDevice(() => linkKindOf(source), 'link-kind-missing') ?? 'vf';
}

async function linkOf(source: LinkSource, review: ConfigReview): Promise<LinkSpec | undefined> {
  try {
    return await parseLinkSpec(source, review.problems);
  } catch (error) {
    if (error instanceof CniFault && ['device-missing', 'link-kind-missing'].includes(error.reason)) return undefined;
    throw error;
  }
}

function withoutDevice<T>(parse: () => T, reason: string): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof CniFault && error.reason === reason) return undefined;
    throw error;
  }
}
