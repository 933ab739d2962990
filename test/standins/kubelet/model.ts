/** What a stand-in kubelet is told and tells. */

/** A pod as far as a node's device manager is concerned. */
export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly initContainers?: readonly Container[];
  readonly containers: readonly Container[];
}

export interface Container {
  readonly name: string;
  /** Count by resource name. */
  readonly resources: Readonly<Record<string, number>>;
}

/** What a container got from the plugins. */
export interface AdmittedContainer {
  readonly name: string;
  /** Device ids by resource. */
  readonly devices: Readonly<Record<string, readonly string[]>>;
  readonly envs: Readonly<Record<string, string>>;
  /** `hostPath` of each granted node, with permissions. */
  readonly deviceNodes: readonly { readonly path: string; readonly permissions: string }[];
  /** What the runtime is to look up in its CDI specifications. */
  readonly cdiDevices: readonly string[];
}

export interface AdmittedPod {
  readonly pod: Pod;
  readonly containers: readonly AdmittedContainer[];
}

/** Something kubelet did or saw, by the names of the recorded exchanges. */
export interface KubeletEvent {
  readonly event: string;
  readonly resource?: string;
  readonly msg?: unknown;
}

/** Delays in milliseconds. The recorded ones are seconds; these are short enough for tests. */
export interface KubeletTimings {
  /** From a socket's appearance in plugins_registry to GetInfo; recorded 600 to 1700. */
  readonly noticeMs: readonly [number, number];
  readonly getInfoTimeoutMs: number;
  readonly dialTimeoutMs: number;
  /** First delay after a failed GetInfo; it doubles. */
  readonly retryMs: number;
  /** How long capacity outlives its plugin. */
  readonly graceMs: number;
}

export const TEST_TIMINGS: KubeletTimings = {
  noticeMs: [5, 20],
  getInfoTimeoutMs: 1_000,
  dialTimeoutMs: 10_000,
  retryMs: 50,
  graceMs: 300_000,
};

/** The pod ends in phase Failed with reason UnexpectedAdmissionError and this message. */
export class AdmissionError extends Error {
  override readonly name = 'AdmissionError';

  constructor(cause: string) {
    super(`Pod was rejected: Allocate failed due to ${cause}, which is unexpected`);
  }
}

export function podKey(pod: { readonly namespace: string; readonly name: string }): string {
  return `${pod.namespace}/${pod.name}`;
}
