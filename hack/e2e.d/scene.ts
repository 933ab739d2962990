/** What the steps work with: the cluster, the node's own side, and how pods are made and seen. */
import type { Cluster } from './cluster.ts';
import type { KubeObject } from './kube-client.ts';
import type { LoadedImage } from './node.ts';
import type * as objects from './objects.ts';
import type { PodRequest } from './pods.ts';
import type { Preflight, PreflightSide } from './preflight.ts';
import type { Found } from './removal.ts';
import type { Steps } from './steps.ts';

/** What the steps do on the node itself. */
export interface NodeSide extends PreflightSide {
  readonly place: Omit<objects.Place, 'hostname' | 'apiServer'>;
  /** Builds it first, when none was given. */
  loadImage(runtime: string): Promise<LoadedImage>;
  makeUplink(): void;
  removeUplink(): void;
  /** Answers how to end it. */
  takeDefaultNetwork(config: object): () => void;
  reservations(): readonly string[];
  askAgent(path: string): Promise<unknown>;
  /** Of the agent's HTTP port. */
  fetch(path: string): Promise<{ readonly status: number; readonly body: string }>;
  /** Ends the process of the agent's pod as a crash would. */
  killAgent(podUid: string): void;
  /** DELs that wait for an agent. */
  spooled(): readonly string[];
  /** Berth's folders that are there. */
  folders(): readonly string[];
  /** Removes the shim and every file of Berth's, but not these folders. */
  uninstall(kept: readonly string[]): void;
  /** What is left on the node besides these folders, to be read by a person. */
  left(kept: readonly string[]): readonly string[];
  /** How the node was found, kept on it until everything is as it was: for the run after one that was killed. */
  readonly memory: { read(): Found | undefined; write(found: Found): void; clear(): void };
}

/** Of `GET /v1/attachments`. */
export interface Attachment {
  readonly pod?: { readonly namespace: string; readonly name: string };
  readonly ifname: string;
  readonly kind: string;
  readonly addresses: readonly string[];
}

/** What every step works with. */
export interface Scene {
  readonly steps: Steps;
  readonly cluster: Cluster;
  readonly side: NodeSide;
  readonly nodeName: string;
  readonly preflight: Preflight;
  readonly daemonSet: KubeObject;
  /** Makes a pod of the test. */
  start(request: Pick<PodRequest, 'name' | 'program' | 'target'>, network?: string): Promise<void>;
  attachments(): Promise<readonly Attachment[]>;
}

/** A pod of that name connects to the server and ends well. */
export async function reach({ cluster, start }: Scene, server: Attachment, name: string): Promise<void> {
  await start({ name, program: 'client', target: targetOf(server) });
  await cluster.podPhase(name, 'Succeeded');
}

export function targetOf({ addresses }: Attachment): string {
  return addresses[0]?.split('/')[0] ?? '';
}
