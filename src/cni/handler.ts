/**
 * One CNI call from its parameters to its answer: parse everything, then ask the engine, then write
 * the result or the error. Knows no socket, and never throws: whatever goes wrong becomes a CNI
 * error. To debug, look for the request id of an error's `details` in the agent's log.
 */
import { randomUUID } from 'node:crypto';
import type {
  AttachmentKey,
  Attachments,
  LinkKind,
  LinkSpec,
  OperationContext,
  PodIdentity,
} from '../engine/attachments/model.ts';
import { limitTime } from '../engine/cancellation.ts';
import { BerthError, toBerthError } from '../engine/errors.ts';
import type { StaticSpec } from '../engine/ipam/model.ts';
import type { IpamPrograms } from '../engine/ipam/port.ts';
import type { Concern, ReadinessQuestion } from '../engine/readiness.ts';
import type { NetworkName } from '../engine/values.ts';
import { hasOldAddress, mergeResults, requireReturnable } from './chain.ts';
import { type ConfigProblem, type DecodedConfig, invalidConfig, type NetworkConfig, parseName } from './config.ts';
import { ConfigReview } from './config-review.ts';
import { COMMAND_TIMEOUT_MS } from './deadlines.ts';
import { parseDelegatedIpam } from './delegated-ipam.ts';
import { parseDeviceInfoPath, writeDeviceInfo } from './device-info.ts';
import {
  type CniArgs,
  type CniCommand,
  parseArgs,
  parseCommand,
  parseContainer,
  parseInterface,
} from './environment.ts';
import { CNI_CODES, CniFault, cniCodeOf, toCniError } from './errors.ts';
import { gc } from './gc.ts';
import { parseInheritedAddressing, parseIpamSpec } from './ipam-spec.ts';
import { parseLinkSpec } from './link-spec/index.ts';
import { logFileOf, networkLogLines } from './network-log.ts';
import { optional } from './optional.ts';
import type { AdoptSandbox, DeviceInfoFiles } from './port.ts';
import { parsePredecessor } from './predecessor.ts';
import type { ShimRequest } from './protocol.ts';
import { RecentConfigs } from './recent-configs.ts';
import { type Progress, type Request, timed } from './request.ts';
import { parsePreviousResult, requireExpressible, toCniResult, withConfiguredMtu } from './result.ts';
import { SandboxHolder } from './sandbox.ts';
import { status } from './status.ts';
import { CNI_VERSIONS, type CniVersion, LATEST_CNI_VERSION, traitsOf } from './versions.ts';

/** A call as it came through the shim. */
export interface CniCall extends ShimRequest {
  /** CNI_NETNS, opened by the shim; owned by the handler from here on. */
  readonly sandboxFd?: number;
  /** Where the caller has IPAM programs executed. */
  readonly ipamPrograms?: IpamPrograms;
}

export interface CniReply {
  readonly exitCode: number;
  readonly stdout: string;
  /** To be called once the reply is on its way: gives the sandbox back and tells of the call, which nobody waits for. */
  readonly sent?: () => void;
}

/** What is told about each call when it has ended, for metrics and logs. */
export interface CniObservation {
  readonly requestId: string;
  readonly command: CniCommand | 'unknown';
  readonly key?: AttachmentKey;
  readonly kind?: LinkKind;
  /** Whom the runtime named. */
  readonly pod?: PodIdentity;
  readonly network?: string;
  /** 0 for success, else the CNI code. */
  readonly code: number;
  /** The error, when there was one. */
  readonly error?: BerthError;
  /** Where the time went. `parse` includes adopting the sandbox. */
  readonly durationsMs: { readonly parse: number; readonly engine: number; readonly total: number };
}

export interface HandlerOptions {
  readonly attachments: Pick<Attachments, 'attach' | 'detach' | 'check' | 'keepValid'>;
  readonly adoptSandbox: AdoptSandbox;
  /** The interface's name of an uplink that is called by another name of it (altname); `undefined` when there is none. */
  readonly uplinkName: (name: string) => Promise<string | undefined>;
  /** Throws why no ADD could succeed, which STATUS answers; code 50 unless it is a `CniFault`. */
  readonly ready?: (question: ReadinessQuestion, signal: AbortSignal) => Promise<void>;
  /** Why a pod that needs a VF may have been given none; a clause for the message. */
  readonly explainMissingDevice?: (pod: PodIdentity) => Promise<string | undefined>;
  /** What makes STATUS fail where the network's definition does not say it. */
  readonly statusFailsOn?: () => readonly Concern[];
  readonly observe?: (observation: CniObservation) => void;
  /** Where lines for a definition's own log go; it decides whether the path may be written. */
  readonly networkLogs?: { append(path: string, lines: string): void };
  /** Where device-info files may be written; without it none are. */
  readonly deviceInfo?: DeviceInfoFiles;
  /** Instead of `COMMAND_TIMEOUT_MS`, for tests. */
  readonly timeoutMs?: Partial<Readonly<Record<CniCommand, number>>>;
}

/** Of a DEL whose configuration cannot be read. */
const NOTHING_READABLE: DecodedConfig = { version: LATEST_CNI_VERSION, fields: {} };

/** `signal` aborts when the runtime has gone away. */
export type CniHandler = (call: CniCall, signal: AbortSignal) => Promise<CniReply>;

export function createHandler(options: HandlerOptions): CniHandler {
  const configs = new RecentConfigs();
  return async (call, signal) => {
    const progress: Progress = {
      requestId: requestIdOf(call.environment),
      startedMs: performance.now(),
      version: LATEST_CNI_VERSION,
      engineMs: 0,
    };
    const sandbox = new SandboxHolder(call.sandboxFd, options.adoptSandbox);
    const replyOf = (exitCode: number, stdout: string, error?: unknown): CniReply => {
      const totalMs = performance.now() - progress.startedMs;
      const sent = (): void => {
        sandbox.close();
        observe(options, progress, totalMs, error);
      };
      return { exitCode, stdout, sent };
    };
    try {
      return replyOf(0, await serve(call, signal, options, configs, progress, sandbox));
    } catch (error) {
      return replyOf(1, print(toCniError(error, progress.version, progress.requestId)), error);
    }
  };
}

async function serve(
  call: CniCall,
  signal: AbortSignal,
  options: HandlerOptions,
  configs: RecentConfigs,
  progress: Progress,
  sandbox: SandboxHolder,
): Promise<string> {
  // First, so that every error, of the environment too, is written in the version of the request.
  const decoded = decodeOrError(configs, call.stdin);
  if (!(decoded instanceof BerthError)) {
    progress.version = decoded.version;
    progress.fields = decoded.fields;
  }
  const command = parseCommand(call.environment);
  progress.command = command;
  if (command === 'VERSION') return print({ cniVersion: progress.version, supportedVersions: CNI_VERSIONS });
  // A DEL goes by its key: a definition that was edited into something unreadable keeps no pod from going away.
  if (decoded instanceof BerthError && command !== 'DEL') throw decoded;
  const readable = decoded instanceof BerthError ? NOTHING_READABLE : decoded;
  requireCommandOf(command, readable.version);

  const request: Request = { call, configs, decoded: readable, options, progress, sandbox };
  switch (command) {
    case 'ADD':
      return withDeadline(request, command, signal, add);
    case 'DEL':
      return withDeadline(request, command, signal, del);
    case 'CHECK':
      return withDeadline(request, command, signal, check);
    case 'STATUS':
      return withDeadline(request, command, signal, status);
    case 'GC':
      return withDeadline(request, command, signal, gc);
    default:
      return command satisfies never;
  }
}

async function add(request: Request, context: OperationContext): Promise<string> {
  const { call, configs, decoded, options, progress } = request;
  const key = keyOf(request);
  const network = parseName(decoded.fields);
  progress.network = network;
  const args = parseArgs(call.environment.get('CNI_ARGS') ?? '');
  progress.pod = args.pod;
  const review = new ConfigReview(configs.parse(decoded));
  const ipam = await review.attempt(
    () =>
      parseDelegatedIpam(decoded.fields, call, review.problems) ?? parseIpamSpec(review.config, args, review.problems),
  );
  const infoPath = parseDeviceInfoPath(review.config, options.deviceInfo, review.problems);
  const { prevResult } = review.config;
  requireReturnable(prevResult, review.problems);
  const link = await linkOf(request, review, args, network);
  const inherited = ipam === undefined && link.kind === 'ipvlan' ? inheritedOf(review.config) : undefined;
  const addressing = ipam ?? inherited;
  requireExpressible(decoded.version, addressing, hasOldAddress(prevResult));
  const sandboxPath = call.environment.get('CNI_NETNS') ?? '';
  const sandbox = await request.sandbox.require(sandboxPath, call.netnsErrno);
  const forgetInfo = writeDeviceInfo(infoPath, link, options.deviceInfo);
  const result = await timed(progress, () =>
    options.attachments.attach(
      {
        key,
        network,
        sandbox,
        sandboxPath,
        link,
        ...optional('ipam', addressing),
        ...optional('detectDuplicates', review.config.duplicateAddressDetection),
        ...podPart(args),
      },
      context,
    ),
  ).catch((error: unknown) => {
    forgetInfo();
    throw error;
  });
  const own = toCniResult(result, decoded.version, sandboxPath, link.kind);
  // What was inherited is this link's now, and no other's.
  return print(inherited === undefined ? mergeResults(prevResult, own, decoded.version) : own);
}

/** Throws code 7. */
function inheritedOf(config: NetworkConfig): StaticSpec | undefined {
  const problems: ConfigProblem[] = [];
  const inherited = parseInheritedAddressing(config, problems);
  if (problems.length > 0) throw invalidConfig(problems);
  return inherited;
}

/**
 * Keyed by container and interface alone. The rest of the configuration is not looked at: it may
 * name a device that is another pod's by now, or have been edited since the ADD into something that
 * is no longer valid, and neither may keep a pod from going away. Only for an attachment that Berth
 * does not know, and that a plugin before it may have made, what can be read of it is handed on.
 */
async function del(request: Request, context: OperationContext): Promise<string> {
  const key = keyOf(request);
  const sandbox = await request.sandbox.tryOpen();
  const predecessor = parsePredecessor(request.decoded.fields, request.call);
  await timed(request.progress, () =>
    request.options.attachments.detach(key, sandbox, { ...context, ...optional('predecessor', predecessor) }),
  );
  return '';
}

async function check(request: Request, context: OperationContext): Promise<string> {
  const { call, configs, decoded, options, progress } = request;
  const key = keyOf(request);
  const network = parseName(decoded.fields);
  const args = parseArgs(call.environment.get('CNI_ARGS') ?? '');
  const review = new ConfigReview(configs.parse(decoded));
  const previous = parsePreviousResult(review.config, key.ifname, review.problems);
  const link = await linkOf(request, review, args, network);
  const expected = withConfiguredMtu(previous, review.config, decoded.version, link.kind);
  const sandbox = await request.sandbox.require(call.environment.get('CNI_NETNS') ?? '', call.netnsErrno);
  await timed(progress, () =>
    options.attachments.check(
      { key, sandbox, link, expected, stdin: call.stdin.toString('utf8') },
      { ...context, ...optional('predecessor', parsePredecessor(decoded.fields, call)) },
    ),
  );
  return '';
}

/** A missing device is most often the pod's own mistake: what the pod has instead says which. */
async function withCause(error: unknown, { pod }: CniArgs, options: HandlerOptions): Promise<unknown> {
  if (!(error instanceof CniFault) || error.reason !== 'device-missing' || pod === undefined) return error;
  const cause = await options.explainMissingDevice?.(pod);
  if (cause === undefined) return error;
  return new CniFault(error.cniCode, {
    code: error.code,
    reason: error.reason,
    message: `${error.message}; ${cause}`,
    ...optional('remedy', error.remedy),
    cause: error,
  });
}

/** The last of the parsers: throws everything that is wrong with the configuration. */
async function linkOf(
  { call, options, progress }: Request,
  review: ConfigReview,
  args: CniArgs,
  network: NetworkName,
): Promise<LinkSpec> {
  const { config, problems } = review;
  const source = { config, args, argv0: call.argv0, network, uplinkName: options.uplinkName };
  const link = await review.attempt(() =>
    parseLinkSpec(source, problems).catch(async (error: unknown) => {
      throw await withCause(error, args, options);
    }),
  );
  progress.kind = link?.kind;
  review.throwIfAny();
  return link as LinkSpec;
}

function keyOf({ call, progress }: Request): AttachmentKey {
  const key = { containerId: parseContainer(call.environment), ifname: parseInterface(call.environment) };
  progress.key = key;
  return key;
}

function requireCommandOf(command: CniCommand, version: CniVersion): void {
  const traits = traitsOf(version);
  const exists =
    command === 'CHECK' ? traits.check : command === 'STATUS' || command === 'GC' ? traits.statusAndGc : true;
  if (exists) return;
  throw new CniFault(CNI_CODES.incompatibleVersion, {
    reason: 'command-not-in-version',
    message: `cniVersion ${version} has no ${command}`,
    remedy: `Write a cniVersion of ${command === 'CHECK' ? '0.4.0' : '1.1.0'} or later.`,
  });
}

/** Runs under the command's deadline; aborting makes the engine undo and throw. */
async function withDeadline(
  request: Request,
  command: CniCommand,
  signal: AbortSignal,
  work: (request: Request, context: OperationContext) => Promise<string>,
): Promise<string> {
  const timeoutMs = request.options.timeoutMs?.[command] ?? COMMAND_TIMEOUT_MS[command];
  const deadline = limitTime(
    signal,
    timeoutMs,
    () =>
      new BerthError({
        code: 'Interrupted',
        reason: 'deadline-exceeded',
        message: `${command} did not end within ${timeoutMs} ms and was undone`,
        remedy: 'Look at what the log says of this request, and at the load of the node.',
      }),
  );
  try {
    deadline.signal.throwIfAborted();
    const { ipamPrograms } = request.call;
    return await work(request, {
      requestId: request.progress.requestId,
      signal: deadline.signal,
      ...optional('ipamPrograms', ipamPrograms),
    });
  } finally {
    deadline.end();
  }
}

function observe(options: HandlerOptions, progress: Progress, totalMs: number, thrown: unknown): void {
  const error = thrown === undefined ? undefined : toBerthError(thrown);
  const observation: CniObservation = {
    requestId: progress.requestId,
    command: progress.command ?? 'unknown',
    code: error === undefined ? 0 : cniCodeOf(error),
    ...optional('key', progress.key),
    ...optional('pod', progress.pod),
    ...optional('network', progress.network),
    ...optional('kind', progress.kind),
    ...optional('error', error),
    durationsMs: { parse: totalMs - progress.engineMs, engine: progress.engineMs, total: totalMs },
  };
  options.observe?.(observation);
  const { fields } = progress;
  const path = fields === undefined ? undefined : logFileOf(fields);
  if (fields === undefined || path === undefined) return;
  const lines = networkLogLines(fields, observation, new Date());
  if (lines !== '') options.networkLogs?.append(path, lines);
}

function decodeOrError(configs: RecentConfigs, stdin: Buffer): DecodedConfig | BerthError {
  try {
    return configs.decode(stdin);
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
}

/** trace-id and parent-id of a W3C traceparent, where a runtime passes one; else 16 digits of a random UUID, which Node has in store. */
function requestIdOf(environment: ReadonlyMap<string, string>): string {
  const trace = /^[0-9a-f]{2}-(?<trace>[0-9a-f]{32})-(?<parent>[0-9a-f]{16})-[0-9a-f]{2}/.exec(
    environment.get('TRACEPARENT') ?? '',
  )?.groups;
  return trace === undefined ? randomUUID().replaceAll('-', '').slice(-16) : `${trace.trace}-${trace.parent}`;
}

function podPart(args: CniArgs): Pick<CniArgs, 'pod'> {
  return args.pod === undefined ? {} : { pod: args.pod };
}

function print(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}
