/** What the test applies: deploy/ for this node, a configuration and networks. Its pods are in pods.ts. */
import { resolve } from 'node:path';
import { render } from '../manifests.d/render.ts';
import type { KubeObject } from './kube-client.ts';
import { UPLINK } from './node.ts';

export { UPLINK } from './node.ts';

const KUSTOMIZATION = resolve(import.meta.dirname, 'kustomization');

export const AGENT_NAMESPACE = 'berth-system';
export const NAMESPACE = 'berth-e2e';
export const NETWORK = 'berth-e2e';
/** Of a configuration that Berth has to refuse. */
export const REFUSED_NETWORK = 'berth-e2e-refused';
export const STARTUP_TAINT = { key: 'berth.dev/agent-not-ready', effect: 'NoSchedule' } as const;
export const LABEL_PREFIX = 'network.berth.dev/';
export const RESOURCE = 'berth.dev/e2e';
export const CAPACITY = 8;
const SUBNET = '10.249.77.0/24';
/** On everything that this test makes, and on nothing that a person installed. */
export const OWNER = { 'app.kubernetes.io/managed-by': 'berth-e2e' } as const;

export interface Place {
  /** The node's label kubernetes.io/hostname. */
  readonly hostname: string;
  readonly cniBin: string;
  readonly cniConf: string;
  /** Kubelet's root folder. */
  readonly kubelet: string;
  readonly sharedMounts: boolean;
  /** For a node that does not reach the API server's service. */
  readonly apiServer?: URL;
}

/** The manifests as they are shipped, on this node only, with the image that was loaded here. */
export function agentObjects(place: Place): readonly KubeObject[] {
  const objects = render(KUSTOMIZATION) as unknown as readonly KubeObject[];
  const ours = objects.map((object) => ({ ...placed(object, place), ...labelled(object) }));
  // The configuration before the pod that reads it: kubelet brings a later one after a minute only.
  const isAgent = ({ kind }: KubeObject): boolean => kind === 'DaemonSet';
  return [...ours.filter((object) => !isAgent(object)), configMap(), ...ours.filter(isAgent)];
}

/** Of the same, what lies in no namespace, and the namespace. */
export function clusterWide(): readonly KubeObject[] {
  const objects = render(KUSTOMIZATION) as unknown as readonly KubeObject[];
  return objects.filter(({ metadata }) => metadata.namespace === undefined);
}

export function isOurs({ metadata }: KubeObject): boolean {
  return Object.entries(OWNER).every(([key, value]) => metadata.labels?.[key] === value);
}

/** The same DaemonSet as somebody updates it: its pods are made anew. */
export function updated(daemonSet: KubeObject): KubeObject {
  const copy = structuredClone(daemonSet);
  const { metadata } = copy.spec.template;
  metadata.annotations = { ...metadata.annotations, 'berth.dev/e2e': 'updated' };
  return copy;
}

/** The same DaemonSet, for no node at all. */
export function withoutNodes(daemonSet: KubeObject): KubeObject {
  const copy = structuredClone(daemonSet);
  copy.spec.template.spec.nodeSelector['berth.dev/e2e'] = 'nowhere';
  return copy;
}

function labelled({ metadata }: KubeObject): Pick<KubeObject, 'metadata'> {
  return { metadata: { ...metadata, labels: { ...metadata.labels, ...OWNER } } };
}

function placed(
  object: KubeObject,
  { apiServer, hostname, cniBin, cniConf, kubelet, sharedMounts }: Place,
): KubeObject {
  if (object.kind !== 'DaemonSet') return object;
  const copy = structuredClone(object);
  const pod = copy.spec.template.spec;
  pod.nodeSelector = { ...pod.nodeSelector, 'kubernetes.io/hostname': hostname };
  for (const volume of pod.volumes) {
    if (volume.name === 'cni-bin') volume.hostPath.path = cniBin;
    if (volume.name === 'cni-conf') volume.hostPath.path = cniConf;
  }
  const [container] = pod.containers;
  container.imagePullPolicy = 'Never';
  container.env.push({ name: 'BERTH_LOG_LEVEL', value: 'debug' });
  // Kubelet dials the path that the agent names: it is the same inside.
  const own = (path: string): string => path.replace(/^\/var\/lib\/kubelet(?=\/)/, kubelet);
  for (const volume of pod.volumes) if (volume.hostPath !== undefined) volume.hostPath.path = own(volume.hostPath.path);
  for (const mount of container.volumeMounts) mount.mountPath = own(mount.mountPath);
  container.env.push({ name: 'BERTH_KUBELET_DIR', value: kubelet });
  if (apiServer !== undefined) {
    container.env.push({ name: 'KUBERNETES_SERVICE_HOST', value: apiServer.hostname.replace(/^\[|\]$/g, '') });
    container.env.push({ name: 'KUBERNETES_SERVICE_PORT', value: apiServer.port === '' ? '443' : apiServer.port });
  }
  if (!sharedMounts) for (const mount of container.volumeMounts) delete mount.mountPropagation;
  return copy;
}

/** Slots on an uplink of the test's own, so that no NIC of the node is touched. */
function configMap(): KubeObject {
  const config = {
    pools: [{ name: 'e2e', kind: 'macvlan', capacity: CAPACITY, uplinks: [{ names: [UPLINK] }] }],
  };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'berth-config', namespace: AGENT_NAMESPACE, labels: OWNER },
    data: { 'config.yaml': JSON.stringify(config) },
  };
}

export function testNamespace(): KubeObject {
  const labels = { ...OWNER, 'pod-security.kubernetes.io/enforce': 'privileged' };
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: NAMESPACE, labels } };
}

const IPAM = { type: 'host-local', ranges: [[{ subnet: SUBNET }]] };

/** More than any uplink takes. */
const REFUSED = { mtu: 1_000_000 };

export function networkDefinition(name: typeof NETWORK | typeof REFUSED_NETWORK): KubeObject {
  const more = name === REFUSED_NETWORK ? REFUSED : {};
  return {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: {
      name,
      namespace: NAMESPACE,
      labels: OWNER,
      annotations: { 'k8s.v1.cni.cncf.io/resourceName': RESOURCE },
    },
    spec: {
      config: JSON.stringify({ cniVersion: '1.0.0', name, type: 'berth', link: 'macvlan', ...more, ipam: IPAM }),
    },
  };
}

/** For nodes without Multus: Berth as the network that every new pod gets. */
export function defaultNetwork(name: typeof NETWORK | typeof REFUSED_NETWORK): object {
  const more = name === REFUSED_NETWORK ? REFUSED : {};
  return {
    cniVersion: '1.0.0',
    name,
    plugins: [{ type: 'berth', link: 'macvlan', master: UPLINK, ...more, ipam: IPAM }],
  };
}
