/**
 * Real runtimes of Debian with a real VF: `ctr run --cni` under containerd, and podman with its CNI
 * back end, execute the shim as `sriov`. The same for macvlan on any machine:
 * test/conformance/cni/clients.test.ts.
 */
import * as assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { type ClientPlace, createClientPlace } from '../../standins/client-place.ts';
import { eventually } from '../../standins/eventually.ts';
import { createPodman } from '../../standins/podman.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

interface Context {
  lab: LabNode;
  node: AgentNode;
  place: ClientPlace;
}

const test = suite<Context>('a runtime and a VF');
const PF = 'eth0';
const LIMIT_MS = 90_000;
const SOCKET = '/run/containerd/containerd.sock';
const DISABLED = [
  'grpc.v1.cri',
  'snapshotter.v1.btrfs',
  'snapshotter.v1.devmapper',
  'snapshotter.v1.zfs',
  'snapshotter.v1.aufs',
];

/** The environment in which a runtime finds the agent of the test. */
function agentEnvironment({ folder }: AgentNode): Record<string, string> {
  return {
    BERTH_CNI_SOCKET: join(folder, 'run', 'cni.sock'),
    BERTH_SPOOL_FOLDER: join(folder, 'state', 'spool'),
  };
}

function ctr({ place, node }: Context, ...words: readonly string[]): Promise<string> {
  return place.run(['ctr', '--address', SOCKET, ...words], agentEnvironment(node));
}

function definition({ lab, node }: Context): string {
  const ipam = { type: 'host-local', dataDir: join(node.folder, 'networks'), ranges: [[{ subnet: '10.88.0.0/24' }]] };
  const plugins = [{ type: 'sriov', deviceID: lab.vfs[0], vlan: 77, trust: 'on', ipam }];
  return JSON.stringify({ cniVersion: '1.0.0', name: 'vf', plugins });
}

async function assertAsBefore({ lab, node }: Context, before: string): Promise<void> {
  await eventually(
    async () => {
      assert.equal((await node.status()).attachments.total, 0);
      assert.equal(lab.baseline(), before);
    },
    LIMIT_MS,
    () => `the VF to be as it was; the agent said\n${node.agentLog()}`,
  );
}

async function startContainerd(context: Context): Promise<void> {
  const { place } = context;
  const config = join(place.folder, 'containerd.toml');
  const disabled = JSON.stringify(DISABLED.map((name) => `io.containerd.${name}`));
  writeFileSync(
    config,
    [
      'version = 2',
      'root = "/var/lib/containerd"',
      'state = "/run/containerd"',
      `disabled_plugins = ${disabled}`,
      `[grpc]\n  address = "${SOCKET}"`,
    ].join('\n'),
  );
  const conflist = join(place.folder, '10-vf.conflist');
  writeFileSync(conflist, definition(context));
  await place.run(['cp', conflist, '/etc/cni/net.d/10-vf.conflist']);
  await place.start(['containerd', '--config', config, '--log-level', 'error']);
  await eventually(
    () => ctr(context, 'version'),
    LIMIT_MS,
    () => 'containerd to answer',
  );
}

if (
  requireFeature(
    'SR-IOV, containerd and busybox',
    hasSriov() && existsSync('/usr/bin/ctr') && existsSync('/bin/busybox'),
  )
) {
  test.before(async (context) => {
    context.lab = await createLabNode(PF, 1);
    context.node = await createAgentNode('pools: []\n', { onMachine: true });
    await context.node.startAgent();
    context.place = await createClientPlace({ sriov: context.node.shimPath });
    // From its first use on igb lists a VF's own MAC: the baseline is that of a used one.
    await context.lab.attach('first', { kind: 'vf', device: context.lab.vfs[0] as never });
    await context.lab.detach('first');
  });
  test.after(async ({ lab, node, place }) => {
    await place.end();
    await node.remove();
    await lab.remove();
  });

  test('ctr: the container has the VF as its eth0, and when it ends the VF is as it was', async (context) => {
    const { lab, place } = context;
    const before = lab.baseline();
    await startContainerd(context);
    const shown = await ctr(
      context,
      ...['run', '--rm', '--cni', '--cgroup', `${place.cgroup}/c1`, '--rootfs', place.rootfs],
      ...['c1', '/bin/ip', 'address', 'show', 'eth0'],
    );
    assert.match(shown, /inet 10\.88\.0\.2\/24/);
    await assertAsBefore(context, before);
  });

  if (requireFeature('podman', existsSync('/usr/bin/podman'))) {
    test('podman: a VF for its eth0, another sandbox after stop and start, and the VF is as it was', async (context) => {
      const { lab, node, place } = context;
      const before = lab.baseline();
      const podman = createPodman(place, 'vf', agentEnvironment(node));
      podman.define(definition(context));
      await podman.run(
        ...['run', '--detach', '--stop-signal', 'KILL', ...podman.container('p1')],
        ...['/bin/sleep', '1000'],
      );
      const show = ['exec', 'p1', '/bin/ip', 'address', 'show', 'eth0'] as const;
      assert.match(await podman.run(...show), /inet 10\.88\.0\./);
      assert.equal(lab.link(PF).vfinfo_list?.[0]?.vlan_list?.[0]?.vlan, 77);
      await podman.run('stop', 'p1');
      await assertAsBefore(context, before);
      await podman.run('start', 'p1');
      assert.match(await podman.run(...show), /inet 10\.88\.0\./);
      await podman.run('rm', '--force', '--time', '0', 'p1');
      await assertAsBefore(context, before);
    });
  }
}

test.run();
