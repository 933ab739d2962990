/** The manifests as tests read them: the rendered file, and the parts of a pod that they look at. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly [field: string]: unknown;
}

export interface PodSpec {
  readonly hostNetwork: boolean;
  readonly containers: readonly ContainerSpec[];
  readonly volumes: readonly {
    readonly name: string;
    readonly hostPath?: { readonly path: string; readonly type: string };
    readonly configMap?: { readonly name: string };
  }[];
  readonly securityContext: { readonly seccompProfile: { readonly type: string } };
}

export interface ContainerSpec {
  readonly image: string;
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value?: string }[];
  readonly securityContext: {
    readonly readOnlyRootFilesystem: boolean;
    readonly capabilities: { readonly drop: readonly string[]; readonly add: readonly string[] };
  };
  readonly volumeMounts: readonly {
    readonly name: string;
    readonly mountPath: string;
    readonly readOnly?: boolean;
    readonly mountPropagation?: string;
  }[];
}

export const DEPLOY = join(import.meta.dirname, '../../deploy');

/** Every document of a file of manifests. */
export function readManifests(text: string): readonly Manifest[] {
  return parseAllDocuments(text).map((document) => {
    if (document.errors.length > 0) throw document.errors[0];
    return document.toJS() as Manifest;
  });
}

/** The pod of the agent's DaemonSet in deploy/berth.yaml. */
export function agentPod(): { readonly pod: PodSpec; readonly container: ContainerSpec } {
  const documents = readManifests(readFileSync(join(DEPLOY, 'berth.yaml'), 'utf8'));
  const daemonSet = documents.find(({ kind }) => kind === 'DaemonSet');
  const { spec } = (daemonSet as unknown as { spec: { template: { spec: PodSpec } } }).spec.template;
  const [container] = spec.containers;
  if (container === undefined) throw new Error('the DaemonSet has no container');
  return { pod: spec, container };
}
