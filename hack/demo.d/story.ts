/**
 * The demo's story, told from inside the lab. What it claims is looked at from outside of Berth: by
 * iproute2, sysfs, ping and kubelet's own bookkeeping. `hack/demo` starts it.
 */
import { isDeepStrictEqual } from 'node:util';
import type { NetworkDefinition } from '../../test/standins/runtime/index.ts';
import { BERTH, type Cluster, type RunningPod, startCluster } from './cluster.ts';
import { eventually, linkState, nameVfs, run, setVfCount } from './machine.ts';
import { createNarrator, type Narrator } from './narrator.ts';

const json = process.argv.includes('--json');
const narrator = createNarrator({ json, color: process.env['BERTH_DEMO_COLOR'] === '1' });

/** A VF's carrier comes some seconds after it is up, in this machine as on real NICs. */
const CARRIER_MS = 30_000;

function network(
  name: string,
  link: string,
  subnet: string,
  more: Readonly<Record<string, unknown>> = {},
): NetworkDefinition {
  return {
    namespace: 'default',
    name,
    resourceName: `berth.dev/${link}`,
    config: {
      cniVersion: '1.0.0',
      name,
      type: 'berth',
      link,
      ...more,
      ipam: { type: 'host-local', ranges: [[{ subnet }]] },
    },
  };
}

const NETWORKS = [
  network('fast', 'vf', '10.10.1.0/24', { vlan: 100, spoofchk: 'on', trust: 'off' }),
  network('shared', 'macvlan', '10.10.2.0/24', { mode: 'bridge' }),
  network('routed', 'ipvlan', '10.10.3.0/24', { mode: 'l2' }),
];

const OFFERED = NETWORKS.map((definition) => definition.resourceName ?? '');

async function berth(...args: string[]): Promise<string> {
  return await run(BERTH, ...args);
}

async function prepareNode(): Promise<void> {
  narrator.chapter('A node with two SR-IOV NICs, one on each NUMA node');
  for (const pf of ['eth0', 'eth1']) await run('ip', 'link', 'set', pf, 'up');
  setVfCount('eth0', 4);
  const vfs = await nameVfs('eth0');
  narrator.say('eth0 and eth1 are up; the admin made 4 virtual functions on eth0, and none on eth1. udev named them.');
  narrator.claim('the kernel made four VFs with a network device each', vfs.length === 4, vfs);
}

async function startAgent(): Promise<Cluster> {
  narrator.chapter('One agent, no configuration');
  narrator.say('$ berth agent');
  const cluster = await startCluster();
  const capacity = await eventually(() => {
    const known = cluster.kubelet.node().capacity;
    return OFFERED.every((resource) => resource in known) ? known : undefined;
  }, 20_000);
  narrator.say(`kubelet knows its resources ${cluster.registeredAfterMs} ms after the process was started`);
  narrator.claim('kubelet has 4 berth.dev/vf', capacity?.['berth.dev/vf'] === 4, capacity);
  narrator.claim(
    'kubelet has macvlan and ipvlan slots on both uplinks',
    capacity?.['berth.dev/macvlan'] === 200 && capacity['berth.dev/ipvlan'] === 200,
    capacity,
  );
  narrator.show('berth inventory', await berth('inventory'));
  return cluster;
}

async function runPods(cluster: Cluster): Promise<RunningPod[]> {
  narrator.chapter('Pods ask for a VF, for macvlan, for ipvlan');
  const pods: RunningPod[] = [];
  for (const definition of NETWORKS) {
    for (const letter of ['a', 'b']) {
      const pod = await cluster.runPod(`${definition.name}-${letter}`, definition);
      pods.push(pod);
      narrator.say(`pod ${definition.name}-${letter} runs with ${pod.device}, ${pod.address} on net1`);
    }
  }
  const [first] = pods;
  const environment = first?.admitted.containers[0]?.envs['PCIDEVICE_BERTH_DEV_VF'];
  narrator.claim(
    'its container reads the VF it got from PCIDEVICE_BERTH_DEV_VF',
    environment === first?.device,
    environment,
  );
  for (const definition of NETWORKS) await claimPing(definition, pods);
  const uplinks = new Set(
    pods.slice(2).map((pod) => `${pod.sandbox.pod.name.split('-')[0]} ${pod.device.split('-')[0]}`),
  );
  narrator.claim('macvlan and ipvlan, which exclude each other, got different uplinks', uplinks.size === 2, [
    ...uplinks,
  ]);
  narrator.show('berth inventory', await berth('inventory'));
  narrator.show('berth attachments', await berth('attachments'));
  return pods;
}

async function claimPing(definition: NetworkDefinition, pods: readonly RunningPod[]): Promise<void> {
  const [from, to] = pods.filter((pod) => pod.sandbox.attachments[0]?.network === definition);
  const netns = from?.sandbox.netns.split('/').at(-1) ?? '';
  const answer = await eventually(
    () => run('ip', 'netns', 'exec', netns, 'ping', '-c', '1', '-W', '1', to?.address ?? '').catch(() => undefined),
    CARRIER_MS,
  );
  const rtt = /time=[0-9.]+ ms/.exec(answer ?? '')?.[0];
  narrator.claim(`${definition.name}-a pings ${definition.name}-b (${rtt ?? 'no answer'})`, rtt !== undefined, answer);
}

async function growLive(cluster: Cluster): Promise<void> {
  narrator.chapter('The admin makes VFs on the second NIC while pods run');
  const startedAt = performance.now();
  setVfCount('eth1', 3);
  const grew = await eventually(
    () => (cluster.kubelet.node().allocatable['berth.dev/vf'] === 7 ? true : undefined),
    20_000,
  );
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  narrator.show('echo 3 > /sys/class/net/eth1/device/sriov_numvfs', (await nameVfs('eth1')).join('\n'));
  narrator.claim(
    `berth.dev/vf grew from 4 to 7 without a restart, ${seconds} s after the write (most of it is the driver making them)`,
    grew === true,
    cluster.kubelet.node().allocatable,
  );
}

async function deletePods(
  cluster: Cluster,
  pods: readonly RunningPod[],
  before: Record<string, unknown>,
): Promise<void> {
  narrator.chapter('The pods are deleted');
  for (const pod of [...pods].reverse()) await cluster.deletePod(pod);
  const left = JSON.parse(await berth('attachments', '-o', 'json')) as { attachments: readonly unknown[] };
  narrator.claim('no attachment is left', left.attachments.length === 0, left);
  const after = await linkState();
  for (const [name, state] of Object.entries(before).filter(([link]) => link !== 'lo')) {
    const now = name === 'eth1' ? withoutVfs(after[name]) : after[name];
    const then = name === 'eth1' ? withoutVfs(state) : state;
    narrator.claim(
      `${name} is as it was: name, MAC, MTU, state and the settings of its VFs`,
      isDeepStrictEqual(now, then),
      { then, now },
    );
  }
  const reservations = await run('find', '/var/lib/cni/networks', '-type', 'f', '-name', '10.*');
  narrator.claim('no address is reserved any more', reservations === '', reservations);
  narrator.show('berth status', await berth('status'));
}

/** eth1 has VFs now that it did not have before. */
function withoutVfs(state: unknown): unknown {
  return { ...(state as object), vfs: undefined };
}

async function tell(): Promise<void> {
  await prepareNode();
  const before = await linkState();
  const cluster = await startAgent();
  try {
    const pods = await runPods(cluster);
    await growLive(cluster);
    await deletePods(cluster, pods, before);
  } finally {
    await cluster.close();
  }
}

async function main(told: Narrator): Promise<void> {
  try {
    await tell();
  } catch (error) {
    told.claim('the story comes to its end', false, error instanceof Error ? error.stack : String(error));
  }
  process.exitCode = told.end() ? 0 : 1;
}

await main(narrator);
