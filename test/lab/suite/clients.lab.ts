/**
 * A real runtime of Debian with a real VF: `ctr run --cni` under containerd executes the shim as
 * `sriov`. The same for macvlan, and podman, on any machine: test/conformance/cni/clients.test.ts.
 */
import * as assert from 'node:assert/strict';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { type ClientPlace, createClientPlace } from '../../standins/client-place.ts';
import { eventually } from '../../standins/eventually.ts';
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

function ctr({ place, node }: Context, ...words: readonly string[]): Promise<string> {
  return place.run(['ctr', '--address', SOCKET, ...words], {
    BERTH_CNI_SOCKET: join(node.folder, 'run', 'cni.sock'),
    BERTH_SPOOL_FOLDER: join(node.folder, 'state', 'spool'),
  });
}

async function startContainerd(context: Context): Promise<void> {
  const { lab, node, place } = context;
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
  const ipam = { type: 'host-local', dataDir: join(node.folder, 'networks'), ranges: [[{ subnet: '10.88.0.0/24' }]] };
  const plugins = [{ type: 'sriov', deviceID: lab.vfs[0], vlan: 77, trust: 'on', ipam }];
  writeFileSync(conflist, JSON.stringify({ cniVersion: '1.0.0', name: 'vf', plugins }));
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
    const { lab, node, place } = context;
    const before = lab.baseline();
    await startContainerd(context);
    const shown = await ctr(
      context,
      ...['run', '--rm', '--cni', '--cgroup', `${place.cgroup}/c1`, '--rootfs', place.rootfs],
      ...['c1', '/bin/ip', 'address', 'show', 'eth0'],
    );
    assert.match(shown, /inet 10\.88\.0\.2\/24/);
    await eventually(
      async () => {
        assert.equal((await node.status()).attachments.total, 0);
        assert.equal(lab.baseline(), before);
      },
      LIMIT_MS,
      () => `the VF to be as it was; the agent said\n${node.agentLog()}`,
    );
  });
}

test.run();
