/** What the test applies: deploy/berth.yaml for this node, a configuration, networks and pods. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from './kube-client.ts';
import { UPLINK } from './node.ts';

export { UPLINK } from './node.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');

export const AGENT_NAMESPACE = 'berth-system';
export const NAMESPACE = 'berth-e2e';
export const NETWORK = 'berth-e2e';
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
}

/** The manifest as it is shipped, on this node only, with the image that was loaded here. */
export function agentObjects(place: Place): readonly KubeObject[] {
  const text = readFileSync(resolve(CHECKOUT, 'deploy/berth.yaml'), 'utf8');
  const objects = parseAllDocuments(text).map((document) => document.toJS() as KubeObject);
  const ours = objects.map((object) => ({ ...placed(object, place), ...labelled(object) }));
  // The configuration before the pod that reads it: kubelet brings a later one after a minute only.
  const isAgent = ({ kind }: KubeObject): boolean => kind === 'DaemonSet';
  return [...ours.filter((object) => !isAgent(object)), configMap(), ...ours.filter(isAgent)];
}

function labelled({ metadata }: KubeObject): Pick<KubeObject, 'metadata'> {
  return { metadata: { ...metadata, labels: { ...metadata.labels, ...OWNER } } };
}

function placed(object: KubeObject, { hostname, cniBin, cniConf, kubelet, sharedMounts }: Place): KubeObject {
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

export function networkDefinition(): KubeObject {
  return {
    apiVersion: 'k8s.cni.cncf.io/v1',
    kind: 'NetworkAttachmentDefinition',
    metadata: {
      name: NETWORK,
      namespace: NAMESPACE,
      labels: OWNER,
      annotations: { 'k8s.v1.cni.cncf.io/resourceName': RESOURCE },
    },
    spec: {
      config: JSON.stringify({ cniVersion: '1.0.0', name: NETWORK, type: 'berth', link: 'macvlan', ipam: IPAM }),
    },
  };
}

/** For nodes without Multus: Berth as the network that every new pod gets. */
export function defaultNetwork(): object {
  return {
    cniVersion: '1.0.0',
    name: NETWORK,
    plugins: [{ type: 'berth', link: 'macvlan', master: UPLINK, ipam: IPAM }],
  };
}

const SERVER = "require('net').createServer((s) => s.end('reached')).listen(7000, () => console.log('listening'));";
const CLIENT = `
const net = require('net');
const end = Date.now() + 60000;
const attempt = () => {
  const socket = net.connect({ host: process.env.TARGET, port: 7000, timeout: 2000 });
  const again = (why) => { socket.destroy(); if (Date.now() > end) { console.log(why); process.exit(1); } setTimeout(attempt, 500); };
  let text = '';
  socket.on('data', (bytes) => { text += bytes; });
  socket.on('end', () => { console.log(text); process.exit(text === 'reached' ? 0 : 1); });
  socket.on('timeout', () => again('no answer from ' + process.env.TARGET));
  socket.on('error', (error) => again(error.message));
};
attempt();`;

export interface PodRequest {
  readonly name: string;
  readonly image: string;
  readonly hostname: string;
  readonly throughMultus: boolean;
  /** Connects to that address and ends; serves when absent. */
  readonly target?: string;
}

/** A pod out of Berth's own image, which has Node.js: nothing has to be pulled. */
export function pod({ name, image, hostname, throughMultus, target }: PodRequest): KubeObject {
  const annotations = throughMultus ? { 'k8s.v1.cni.cncf.io/networks': NETWORK } : {};
  const script = target === undefined ? SERVER : CLIENT;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: NAMESPACE, labels: OWNER, annotations },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      nodeSelector: { 'kubernetes.io/hostname': hostname },
      tolerations: [{ operator: 'Exists' }],
      containers: [
        {
          name: 'main',
          image,
          imagePullPolicy: 'Never',
          command: ['/usr/lib/berth/node/bin/node', '-e', script],
          env: target === undefined ? [] : [{ name: 'TARGET', value: target }],
          resources: { requests: { [RESOURCE]: '1' }, limits: { [RESOURCE]: '1' } },
        },
      ],
    },
  };
}
