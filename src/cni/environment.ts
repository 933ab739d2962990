/**
 * The parameters of a CNI call: the `CNI_*` variables and what CNI_ARGS holds. Everything that is
 * wrong with them is code 4 and names the variable (CNI specification 1.1.0, "Error").
 */

import type { PodIdentity } from '../engine/attachments/model.ts';
import { asContainerId, asIfName, type ContainerId, type IfName } from '../engine/values.ts';
import { CNI_CODES, CniFault } from './errors.ts';

export const CNI_COMMANDS = ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION'] as const;
export type CniCommand = (typeof CNI_COMMANDS)[number];

/** What CNI_ARGS asks for; keys of no meaning to Berth are dropped. */
export interface CniArgs {
  readonly mac?: string;
  readonly ips: readonly string[];
  readonly gateways: readonly string[];
  readonly pod?: PodIdentity;
}

function bad(reason: string, message: string, remedy: string): CniFault {
  return new CniFault(CNI_CODES.badEnvironment, { reason, message, remedy });
}

export function parseCommand(environment: ReadonlyMap<string, string>): CniCommand {
  const text = environment.get('CNI_COMMAND') ?? '';
  const command = CNI_COMMANDS.find((known) => known === text);
  if (command !== undefined) return command;
  throw bad(
    'unknown-command',
    text === '' ? 'CNI_COMMAND is not set' : `CNI_COMMAND is ${JSON.stringify(text)}, which Berth does not know`,
    `Berth serves ${CNI_COMMANDS.join(', ')}; the runtime may speak a newer specification.`,
  );
}

export function parseContainer(environment: ReadonlyMap<string, string>): ContainerId {
  const text = environment.get('CNI_CONTAINERID') ?? '';
  const id = asContainerId(text);
  if (id !== undefined) return id;
  throw bad(
    'invalid-container-id',
    text === '' ? 'CNI_CONTAINERID is not set' : `CNI_CONTAINERID is ${JSON.stringify(text)}, which is no container id`,
    'Letters, digits, "_", "." and "-", beginning with a letter or digit, at most 200.',
  );
}

export function parseInterface(environment: ReadonlyMap<string, string>): IfName {
  const text = environment.get('CNI_IFNAME') ?? '';
  const ifname = asIfName(text);
  // What stands for bytes that are no UTF-8: the kernel would take it, and the runtime look for another name.
  if (ifname !== undefined && !ifname.includes('\ufffd')) return ifname;
  throw bad(
    'invalid-interface-name',
    text === ''
      ? 'CNI_IFNAME is not set'
      : `CNI_IFNAME is ${JSON.stringify(text)}, which the kernel takes for no interface name`,
    'Use 1 to 15 bytes without "/", ":", "%" or white space, and not "all" or "default"; with Multus it is "interface" in the pod\'s networks annotation.',
  );
}

/** Keys that mean something here or are always sent by kubelet's runtimes. */
const KNOWN_ARGS: ReadonlySet<string> = new Set([
  'IgnoreUnknown',
  'K8S_POD_NAMESPACE',
  'K8S_POD_NAME',
  'K8S_POD_INFRA_CONTAINER_ID',
  'K8S_POD_UID',
  'MAC',
  'IP',
  'GATEWAY',
]);

/**
 * `K=V;K=V`. Thin Multus sends every K8S_ key twice (its own and the inherited ones) in an order
 * that changes from call to call, and IgnoreUnknown both as `true` and as `1`: equal repetitions are
 * one, IgnoreUnknown holds when any of them says so, and what contradicts itself is refused, since
 * the order that would decide is chance.
 */
export function parseArgs(text: string): CniArgs {
  const values = new Map<string, string>();
  let ignoreUnknown = false;
  for (const part of text.split(';')) {
    if (part === '') continue;
    const equals = part.indexOf('=');
    if (equals < 1) {
      throw bad(
        'invalid-cni-args',
        `CNI_ARGS has ${JSON.stringify(part)}, which is not KEY=VALUE`,
        'Write CNI_ARGS as KEY=VALUE;KEY=VALUE.',
      );
    }
    const key = part.slice(0, equals);
    const value = part.slice(equals + 1);
    if (key === 'IgnoreUnknown') {
      ignoreUnknown = parseBoolean(value) || ignoreUnknown;
      continue;
    }
    const before = values.get(key);
    if (before !== undefined && before !== value && KNOWN_ARGS.has(key)) {
      throw bad(
        'contradicting-cni-args',
        `CNI_ARGS has ${key} twice, as ${JSON.stringify(before)} and as ${JSON.stringify(value)}`,
        'Two components set it: give each one the same value, or let only one set it.',
      );
    }
    values.set(key, value);
  }
  const unknown = [...values.keys()].filter((key) => !KNOWN_ARGS.has(key));
  if (unknown.length > 0 && !ignoreUnknown) {
    throw bad(
      'unknown-cni-args',
      `CNI_ARGS has ${unknown.map((key) => JSON.stringify(key)).join(', ')}, which Berth does not know`,
      'Remove them, or add IgnoreUnknown=true.',
    );
  }
  const mac = values.get('MAC');
  const pod = podOf(values);
  return {
    ips: list(values.get('IP')),
    gateways: list(values.get('GATEWAY')),
    ...(mac === undefined || mac === '' ? {} : { mac }),
    ...(pod === undefined ? {} : { pod }),
  };
}

function parseBoolean(value: string): boolean {
  const lower = value.toLowerCase();
  if (lower === 'true' || lower === '1') return true;
  if (lower === 'false' || lower === '0') return false;
  throw bad('invalid-cni-args', `CNI_ARGS has IgnoreUnknown=${JSON.stringify(value)}`, 'It is true, 1, false or 0.');
}

function list(text: string | undefined): readonly string[] {
  return (text ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

/** podman sends only K8S_POD_NAME: a pod without a namespace is no pod of Kubernetes. */
function podOf(values: ReadonlyMap<string, string>): PodIdentity | undefined {
  const namespace = values.get('K8S_POD_NAMESPACE') ?? '';
  const name = values.get('K8S_POD_NAME') ?? '';
  const uid = values.get('K8S_POD_UID') ?? '';
  if (namespace === '' || name === '') return undefined;
  return uid === '' ? { namespace, name } : { namespace, name, uid };
}
