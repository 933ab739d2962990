/** What the stand-in for a runtime with Multus is told and what it tells. */

export interface Pod {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** A NetworkAttachmentDefinition: `spec.config` parsed, and its resource annotation. */
export interface NetworkDefinition {
  readonly namespace: string;
  readonly name: string;
  /** `k8s.v1.cni.cncf.io/resourceName` */
  readonly resourceName?: string;
  readonly config: Readonly<Record<string, unknown>> & { readonly type: string; readonly cniVersion?: string };
}

/** One entry of the annotation `k8s.v1.cni.cncf.io/networks`. */
export interface NetworkSelection {
  readonly network: NetworkDefinition;
  /** `net1`, `net2` ... unless given. */
  readonly interface?: string;
  readonly mac?: string;
  readonly ips?: readonly string[];
  readonly cniArgs?: Readonly<Record<string, unknown>>;
}

/** One execution of the plugin. */
export interface PluginCall {
  readonly command: string;
  readonly containerId: string;
  readonly ifname: string;
  readonly argv0: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
  readonly exitCode: number;
  readonly stdout: string;
  readonly durationMs: number;
}

/** The error object that a plugin printed (CNI specification, "Error"). */
export interface PluginError {
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/** A plugin's failure, as the runtime sees it. */
export class PluginFailure extends Error {
  override readonly name = 'PluginFailure';
  readonly call: PluginCall;
  readonly answer: PluginError | undefined;

  constructor(call: PluginCall, answer: PluginError | undefined) {
    super(
      `${call.command} ${call.ifname} exited with ${call.exitCode}: ${answer === undefined ? call.stdout : `code ${answer.code}, ${answer.msg}`}`,
    );
    this.call = call;
    this.answer = answer;
  }
}

export interface Attachment {
  readonly ifname: string;
  readonly network: NetworkDefinition;
  /** What ADD printed. */
  readonly result: Readonly<Record<string, unknown>>;
  readonly addDurationMs: number;
}

/** A pod's sandbox as it runs. */
export interface Sandbox {
  readonly pod: Pod;
  readonly containerId: string;
  /** `/var/run/netns/cni-<uuid>` */
  readonly netns: string;
  readonly attachments: readonly Attachment[];
}
