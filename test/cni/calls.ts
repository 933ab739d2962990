/** Calls as runtimes make them, and a handler around a fake engine. */
import { closeSync, openSync } from 'node:fs';
import {
  type CniCall,
  type CniHandler,
  type CniObservation,
  createHandler,
  type HandlerOptions,
} from '../../src/cni/handler.ts';
import type { Namespace } from '../../src/engine/attachments/port.ts';
import { type FakeAttachments, fakeAttachments } from './fake-attachments.ts';

export interface CallParts {
  readonly command?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Text goes in as it is. */
  readonly config?: Readonly<Record<string, unknown>> | string;
  readonly argv0?: string;
  readonly netnsErrno?: number;
  readonly sandboxFd?: number;
}

export function call(parts: CallParts): CniCall {
  const config = parts.config ?? {};
  const stdin = Buffer.from(
    typeof config === 'string' ? config : JSON.stringify({ cniVersion: '1.0.0', name: 'net-a', ...config }),
  );
  const environment = new Map(
    Object.entries({
      CNI_COMMAND: parts.command ?? 'ADD',
      CNI_CONTAINERID: 'c0ffee',
      CNI_IFNAME: 'net1',
      CNI_NETNS: '/var/run/netns/cni-1',
      CNI_PATH: '/opt/cni/bin',
      CNI_ARGS: 'IgnoreUnknown=true;K8S_POD_NAMESPACE=default;K8S_POD_NAME=p4;K8S_POD_UID=u-4',
      ...parts.env,
    }),
  );
  return {
    environment,
    stdin,
    argv0: parts.argv0 ?? 'berth',
    ...(parts.netnsErrno === undefined ? {} : { netnsErrno: parts.netnsErrno }),
    ...(parts.sandboxFd === undefined ? {} : { sandboxFd: parts.sandboxFd }),
  };
}

/** A descriptor that stands for a sandbox's; only the fake adopts it. */
export function sandboxDescriptor(): number {
  return openSync('/dev/null', 'r');
}

/** A namespace of which only identity and closing are used. */
export interface FakeNamespace extends Pick<Namespace, 'id' | 'isHost' | 'close'> {
  closed: number;
}

export function fakeNamespace(isHost = false): FakeNamespace {
  const namespace: FakeNamespace = {
    id: { cookie: '4711' },
    isHost,
    closed: 0,
    close: () => {
      namespace.closed++;
    },
  };
  return namespace;
}

export interface Bench {
  readonly engine: FakeAttachments;
  readonly namespace: FakeNamespace;
  readonly observations: CniObservation[];
  readonly handle: CniHandler;
  /** Sends a call with a sandbox unless told otherwise, and reads the answer. */
  send(parts: CallParts, signal?: AbortSignal): Promise<{ exitCode: number; answer: Record<string, unknown> }>;
}

export function bench(overrides: Partial<HandlerOptions> = {}, namespace: FakeNamespace = fakeNamespace()): Bench {
  const engine = fakeAttachments();
  const observations: CniObservation[] = [];
  const handle = createHandler({
    attachments: engine,
    // The engine under test is a fake, which uses nothing else of it.
    adoptSandbox: async (fd) => {
      closeSync(fd);
      return namespace as unknown as Namespace;
    },
    uplinkName: async (name) => (name.startsWith('alt-') ? name.slice(4) : name),
    observe: (observation) => observations.push(observation),
    ...overrides,
  });
  return {
    engine,
    namespace,
    observations,
    handle,
    send: async (parts, signal = new AbortController().signal) => {
      const withSandbox = 'sandboxFd' in parts || parts.netnsErrno !== undefined || parts.env?.CNI_NETNS === '';
      const reply = await handle(call(withSandbox ? parts : { ...parts, sandboxFd: sandboxDescriptor() }), signal);
      reply.sent?.();
      return { exitCode: reply.exitCode, answer: reply.stdout === '' ? {} : JSON.parse(reply.stdout) };
    },
  };
}

export const VF = { type: 'sriov', deviceID: '0000:41:10.1' };
export const MACVLAN = { type: 'macvlan', master: 'eth1' };
