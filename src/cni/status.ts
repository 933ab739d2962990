/**
 * The question that STATUS asks of the engine: could an ADD of this network succeed now. A pod's
 * device is not known here, so a network whose pods bring one is asked about by its kind alone.
 */
import type { LinkKind, LinkSpec, OperationContext } from '../engine/attachments/model.ts';
import type { IpamSpec } from '../engine/ipam/model.ts';
import type { Concern, ReadinessQuestion } from '../engine/readiness.ts';
import type { NetworkName } from '../engine/values.ts';
import { parseName } from './config.ts';
import { ConfigReview } from './config-review.ts';
import { forwardToIpam, parseDelegatedIpam } from './delegated-ipam.ts';
import { parseArgs } from './environment.ts';
import { CniFault } from './errors.ts';
import { parseIpamSpec } from './ipam-spec.ts';
import { linkKindOf, parseLinkSpec } from './link-spec/index.ts';
import { deviceOf, type LinkSource } from './link-spec/source.ts';
import { optional } from './optional.ts';
import { notAvailable, type Request, timed } from './request.ts';

const DEVICE_KINDS: ReadonlySet<LinkKind> = new Set(['vf', 'host-device']);

/** Throws what is wrong with the configuration: nothing could be added with it. `concerns` are those of the node. */
async function parseReadinessQuestion(
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
  const { device, hwaddr, kernelpath } = source.config;
  const names = [deviceOf(source.config), device, hwaddr, kernelpath];
  // Of these kinds every pod brings its own device.
  if (DEVICE_KINDS.has(kindOf(source)) && names.every((name) => name === undefined || name === '')) return undefined;
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

/** Throws code 50 with why no ADD could succeed, and what is wrong with the configuration with its own code. */
export async function status(request: Request, context: OperationContext): Promise<string> {
  const { call, configs, decoded, options, progress } = request;
  const network = parseName(decoded.fields);
  const args = parseArgs(call.environment.get('CNI_ARGS') ?? '');
  const review = new ConfigReview(configs.parse(decoded));
  const { config, problems } = review;
  const ipam = await review.attempt(
    () => parseDelegatedIpam(decoded.fields, call, problems) ?? parseIpamSpec(config, args, problems),
  );
  const source = { config, args, argv0: call.argv0, network, uplinkName: options.uplinkName };
  const question = await parseReadinessQuestion(review, source, ipam, options.statusFailsOn?.() ?? []);
  try {
    await timed(progress, async () => {
      await options.ready?.(question, context.signal);
      // An IPAM program that is not ready cannot give addresses, so neither is this network.
      await forwardToIpam('STATUS', decoded.fields, call, context.signal);
    });
  } catch (error) {
    throw error instanceof CniFault ? error : notAvailable(error);
  }
  return '';
}
