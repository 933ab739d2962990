/**
 * Addresses of an IPAM plugin that is a program: what it is given, and what its answer means. It is
 * untrusted: bounded and timed by whoever executes it, and its answer is parsed here. To debug, run
 * the program by hand with the record's `stdin` and variables.
 *
 * Not here: executing it (`IpamPrograms` of port.ts), and when (src/engine/attachments).
 */
import { z } from 'zod';
import { interrupted } from '../cancellation.ts';
import { BerthError } from '../errors.ts';
import { asIp, asPrefix } from './ip.ts';
import {
  type DelegatedPlace,
  type DelegatedSpec,
  type IpamOwner,
  type IpamResult,
  MOST_ADDRESSES,
  MOST_ROUTE_ADVMSS_BYTES,
  MOST_ROUTE_MTU_BYTES,
  MOST_ROUTES,
} from './model.ts';
import type { IpamCall, IpamOutcome, IpamPrograms } from './port.ts';

/** Milliseconds; an ADD leaves time for its DEL within the request's own deadline. */
const TIME_LIMIT_MS: Readonly<Record<IpamCall['command'], number>> = {
  ADD: 45_000,
  DEL: 20_000,
  CHECK: 20_000,
  GC: 45_000,
  STATUS: 8_000,
};

/** What a record, which is a file in memory, has room for. */
export const MOST_INPUT_BYTES = 1 << 20;
/** Codes of the CNI specification: "incompatible CNI version" and "try again later". */
const CNI_INCOMPATIBLE_VERSION = 1;
const CNI_TRY_AGAIN = 11;

const texts = z.array(z.string());
const dns = z.looseObject({
  nameservers: texts.optional(),
  domain: z.string().optional(),
  search: texts.optional(),
  options: texts.optional(),
});
const u32 = z.int().min(0).max(0xffff_ffff);
const address = z.string().refine((text) => asPrefix(text) !== undefined, 'no address with prefix length');
const gateway = z.string().refine((text) => text === '' || asIp(text) !== undefined, 'no IP address');
const routes = z
  .array(
    z.looseObject({
      dst: z.string().refine((text) => asPrefix(text) !== undefined, 'no network in CIDR notation'),
      gw: gateway.optional(),
      mtu: u32.max(MOST_ROUTE_MTU_BYTES).optional(),
      advmss: u32.max(MOST_ROUTE_ADVMSS_BYTES).optional(),
      priority: u32.optional(),
      table: u32.optional(),
      scope: u32.max(255).optional(),
    }),
  )
  .max(MOST_ROUTES)
  .nullish();
/** Versions 0.1.0 and 0.2.0: one address a family, with routes of its own. */
const family = z.looseObject({ ip: address, gateway: gateway.optional(), routes }).nullish();
const answer = z.looseObject({
  ips: z
    .array(z.looseObject({ address, gateway: gateway.optional() }))
    .max(MOST_ADDRESSES)
    .nullish(),
  ip4: family,
  ip6: family,
  routes,
  dns: dns.nullish(),
});
const failure = z.looseObject({ code: z.number().optional(), msg: z.string(), details: z.string().optional() });

/** Executes ADD. Throws `NotFound` (`ipam-program-missing`), `Unsupported` (`ipam-version-refused`), `Io` or `Busy` (`ipam-program-failed`), `Io` (`ipam-answer-invalid`), `Interrupted`. */
export async function addDelegated(
  programs: IpamPrograms,
  spec: DelegatedSpec,
  owner: IpamOwner,
  signal: AbortSignal,
): Promise<{ readonly result: IpamResult; readonly path: string }> {
  const outcome = await programs.execute(callOf('ADD', spec, owner), signal);
  requireSuccess('ADD', spec.program, outcome, signal);
  return { result: parseAnswer(spec.program, outcome.stdout), path: outcome.path };
}

/** Executes DEL, in the runtime's place when it is still there. Throws as {@link addDelegated}. */
export async function deleteDelegated(
  connected: IpamPrograms | undefined,
  own: IpamPrograms,
  place: DelegatedPlace,
  owner: IpamOwner,
  signal: AbortSignal,
): Promise<void> {
  const call = callOf('DEL', place, owner);
  const outcome = await executeSomewhere(connected, own, call, signal);
  requireSuccess('DEL', place.program, outcome, signal);
}

/** Executes CHECK; what the program says against it is the answer. Throws when it could not be asked. */
export async function checkDelegated(
  programs: IpamPrograms,
  place: DelegatedPlace,
  owner: IpamOwner,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const outcome = await programs.execute(callOf('CHECK', place, owner), signal);
  const said = outcome.end.kind === 'exited' && outcome.end.status !== 0 ? asFailure(outcome.stdout) : undefined;
  if (said !== undefined) return [`${place.program}: ${said.msg}`];
  requireSuccess('CHECK', place.program, outcome, signal);
  return [];
}

/** Forwards a GC or STATUS, which are about a network and no attachment. Throws as {@link addDelegated}. */
export async function forwardDelegated(
  programs: IpamPrograms,
  command: 'GC' | 'STATUS',
  spec: DelegatedSpec,
  signal: AbortSignal,
): Promise<void> {
  const call: IpamCall = {
    command,
    program: spec.program,
    stdin: spec.stdin,
    environment: { CNI_PATH: spec.cniPath },
    timeoutMs: TIME_LIMIT_MS[command],
  };
  requireSuccess(command, spec.program, await programs.execute(call, signal), signal);
}

async function executeSomewhere(
  connected: IpamPrograms | undefined,
  own: IpamPrograms,
  call: IpamCall,
  signal: AbortSignal,
): Promise<IpamOutcome> {
  if (connected === undefined) return own.execute(call, signal);
  try {
    return await connected.execute(call, signal);
  } catch (error) {
    if (!(error instanceof BerthError) || error.reason !== 'ipam-place-gone') throw error;
    return await own.execute(call, signal);
  }
}

function callOf(command: 'ADD' | 'DEL' | 'CHECK', place: DelegatedPlace, owner: IpamOwner): IpamCall {
  return {
    command,
    program: place.program,
    stdin: place.stdin,
    environment: {
      CNI_CONTAINERID: owner.containerId,
      CNI_IFNAME: owner.ifname,
      CNI_PATH: place.cniPath,
      CNI_ARGS: place.cniArgs,
    },
    ...(place.foundAt === undefined ? {} : { foundAt: place.foundAt }),
    timeoutMs: TIME_LIMIT_MS[command],
  };
}

function requireSuccess(command: string, program: string, outcome: IpamOutcome, signal: AbortSignal): void {
  if (outcome.end.kind === 'exited' && outcome.end.status === 0) return;
  throw failureOf(`${command} of the IPAM program ${program}`, program, outcome, signal);
}

function failureOf(what: string, program: string, outcome: IpamOutcome, signal: AbortSignal): BerthError {
  const { end, stdout, stderr } = outcome;
  switch (end.kind) {
    case 'exited':
      return failed(what, stdout, stderr, end.status);
    case 'cancelled':
      return interrupted(signal, what);
    case 'not-found':
      return new BerthError({
        code: 'NotFound',
        reason: 'ipam-program-missing',
        message: `there is no IPAM program ${program} in CNI_PATH`,
        remedy: 'Install the plugin beside the others (/opt/cni/bin), or correct ipam.type.',
      });
    case 'refused':
      return new BerthError({
        code: 'Io',
        reason: 'ipam-program-failed',
        message: `${what} could not be started (errno ${end.errno})`,
        remedy: 'Look at the limits of processes and memory of the runtime.',
      });
    case 'signalled':
      return new BerthError({
        code: 'Io',
        reason: 'ipam-program-failed',
        message: `${what} was ended by signal ${end.signal}${tailOf(stderr)}`,
        remedy: "Look at the plugin's own log, and at the memory limit of the runtime.",
      });
    case 'timed-out':
      return new BerthError({
        code: 'Busy',
        reason: 'ipam-program-timeout',
        message: `${what} did not end in time and was killed${tailOf(stderr)}`,
        remedy: 'Look at what the plugin waits for: its server, its datastore, a lock.',
      });
    case 'too-long':
      return new BerthError({
        code: 'Io',
        reason: 'ipam-answer-invalid',
        message: `${what} wrote more than a mebibyte and was killed`,
        remedy: 'Run it by hand with the same configuration.',
      });
    default:
      return end satisfies never;
  }
}

function failed(what: string, stdout: string, stderr: string, status: number): BerthError {
  const said = asFailure(stdout);
  if (said?.code === CNI_INCOMPATIBLE_VERSION) {
    return new BerthError({
      code: 'Unsupported',
      reason: 'ipam-version-refused',
      message: `${what} said: ${oneLine(said.msg, 1000)}`,
      remedy: 'Write a cniVersion that the plugin serves, or install a later release of it.',
    });
  }
  const text =
    said === undefined
      ? `exited with ${status}${tailOf(stderr)}`
      : `said: ${said.msg}${said.details === undefined || said.details === '' ? '' : ` (${said.details})`}`;
  return new BerthError({
    code: said?.code === CNI_TRY_AGAIN ? 'Busy' : 'Io',
    reason: 'ipam-program-failed',
    message: `${what} ${oneLine(text, 1000)}`,
    remedy: "Look the plugin's words up in its documentation; Berth only executed it.",
  });
}

function asFailure(stdout: string): z.output<typeof failure> | undefined {
  return failure.safeParse(asJson(stdout)).data;
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is no answer: the callers say so, with what they expected.
    return undefined;
  }
}

function parseAnswer(program: string, stdout: string): IpamResult {
  const json = asJson(stdout);
  const parsed = answer.safeParse(json);
  if (!parsed.success) {
    const wrong = parsed.error.issues.slice(0, 3).map(({ path, message }) => `${path.join('.')}: ${message}`);
    const isObject = typeof json === 'object' && json !== null && !Array.isArray(json);
    throw new BerthError({
      code: 'Io',
      reason: 'ipam-answer-invalid',
      message:
        stdout.trim() === ''
          ? `the IPAM program ${program} answered with nothing`
          : `the IPAM program ${program} answered with no CNI result: ${isObject ? wrong.join('; ') : 'it is no JSON object'} (it began ${JSON.stringify(oneLine(stdout, 60))})`,
      remedy: 'Run it by hand with the same configuration.',
    });
  }
  const { ips, ip4, ip6, dns: named } = parsed.data;
  const old = [ip4, ip6].flatMap((each) => (each === undefined || each === null ? [] : [each]));
  const addresses = [...(ips ?? []), ...old.map((each) => ({ address: each.ip, gateway: each.gateway }))];
  const ways = [...(parsed.data.routes ?? []), ...old.flatMap((each) => each.routes ?? [])];
  return {
    addresses: addresses.map((each) => ({ address: each.address, ...present({ gateway: each.gateway }) })),
    routes: ways.map(({ dst, gw, mtu, advmss, priority, table, scope }) => ({
      dst,
      ...present({ gateway: gw }),
      ...present({ mtu, advmss, priority, table, scope }),
    })),
    dns: present({
      nameservers: named?.nameservers,
      domain: named?.domain,
      search: named?.search,
      options: named?.options,
    }),
  };
}

/** Without the fields that are absent or empty text. */
function present<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== '')) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

function tailOf(stderr: string): string {
  const text = oneLine(stderr, 300);
  return text === '' ? '' : `: ${text}`;
}

/** Somebody else's text, fit for a message of one line. */
function oneLine(text: string, most: number): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  const line = text.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
  return line.length > most ? `${line.slice(0, most - 3)}...` : line;
}
