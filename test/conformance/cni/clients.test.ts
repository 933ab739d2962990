/**
 * Real runtimes of Debian execute the shim: `ctr run --cni` under containerd, and podman with its CNI
 * back end. Agent, runtimes and uplink are in namespaces of the test's own. ctr 1.6 sends no DEL for
 * containers that it started in the background, so what Berth collects by itself is seen here too.
 */
import * as assert from 'node:assert/strict';
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import type { AttachmentSummary } from '../../../src/engine/attachments/model.ts';
import { getFromAgent } from '../../../src/http/client.ts';
import { ip, leaveMachine } from '../../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../../runner/features.ts';
import { type AgentNode, createAgentNode } from '../../standins/agent-node.ts';
import { type ClientPlace, createClientPlace } from '../../standins/client-place.ts';
import { eventually } from '../../standins/eventually.ts';
import { createPodman, type Podman } from '../../standins/podman.ts';

interface Context {
  node: AgentNode;
  place: ClientPlace;
}

const test = suite<Context>('real runtimes');
const LIMIT_MS = 30_000;
const SOCKET = '/run/containerd/containerd.sock';
const CONFIG = 'pools: []\n';

/** The environment in which a runtime finds the agent of the test. */
function agentEnvironment(node: AgentNode): Record<string, string> {
  return {
    BERTH_CNI_SOCKET: join(node.folder, 'run', 'cni.sock'),
    BERTH_SPOOL_FOLDER: join(node.folder, 'state', 'spool'),
  };
}

function definition(node: AgentNode, cniVersion: string): string {
  return JSON.stringify({
    cniVersion,
    name: 'lan',
    plugins: [
      {
        type: 'macvlan',
        master: 'up0',
        capabilities: { mac: true, ips: true },
        ipam: { type: 'host-local', dataDir: join(node.folder, 'networks'), ranges: [[{ subnet: '10.88.0.0/24' }]] },
      },
    ],
  });
}

async function attachments(node: AgentNode): Promise<readonly AttachmentSummary[]> {
  return (await getFromAgent(join(node.folder, 'run', 'api.sock'), '/v1/attachments')) as readonly AttachmentSummary[];
}

function reservations(node: AgentNode): readonly string[] {
  const folder = join(node.folder, 'networks', 'lan');
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('10.')) : [];
}

async function assertNothingLeft(node: AgentNode): Promise<void> {
  await eventually(
    async () => {
      assert.deepEqual(await attachments(node), []);
      assert.deepEqual(reservations(node), []);
    },
    LIMIT_MS,
    () => `nothing to be left; the agent said\n${node.agentLog()}`,
  );
}

if (requireFeature('root and macvlan', isRoot() && hasLinkKind('macvlan'))) {
  leaveMachine();

  test.before.each(async (context) => {
    context.node = await createAgentNode(CONFIG);
    await context.node.startAgent();
    context.place = await createClientPlace({ macvlan: context.node.shimPath });
  });
  test.after.each(async ({ node, place }) => {
    await place.end();
    await node.remove();
    assert.deepEqual(
      (JSON.parse(ip('-j', 'link', 'show')) as readonly { ifname: string }[]).map(({ ifname }) => ifname).sort(),
      ['lo', 'up0', 'up1'],
    );
  });

  if (requireFeature('containerd and busybox', existsSync('/usr/bin/ctr') && existsSync('/bin/busybox'))) {
    const ctr = ({ place, node }: Context, ...words: readonly string[]): Promise<string> =>
      place.run(['ctr', '--address', SOCKET, ...words], agentEnvironment(node));

    const startContainerd = async (context: Context, cniVersion: string): Promise<void> => {
      const { node, place } = context;
      const config = join(place.folder, 'containerd.toml');
      writeFileSync(
        config,
        [
          'version = 2',
          'root = "/var/lib/containerd"',
          'state = "/run/containerd"',
          'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs"]',
          `[grpc]\n  address = "${SOCKET}"`,
        ].join('\n'),
      );
      const conflist = join(place.folder, '10-lan.conflist');
      writeFileSync(conflist, definition(node, cniVersion));
      await place.run(['cp', conflist, '/etc/cni/net.d/10-lan.conflist']);
      await place.start(['containerd', '--config', config, '--log-level', 'error']);
      await eventually(
        () => ctr(context, 'version'),
        LIMIT_MS,
        () => 'containerd to answer',
      );
    };

    for (const version of ['0.3.1', '0.4.0', '1.0.0']) {
      test(`ctr at ${version}: the container has its link, and nothing is left when it ends`, async (context) => {
        const { node, place } = context;
        await startContainerd(context, version);
        const shown = await ctr(
          context,
          ...['run', '--rm', '--cni', '--cgroup', `${place.cgroup}/c1`, '--rootfs', place.rootfs],
          ...['c1', '/bin/ip', 'address', 'show', 'eth0'],
        );
        assert.match(shown, /inet 10\.88\.0\.2\/24/);
        await assertNothingLeft(node);
      });
    }

    test('ctr in the background sends no DEL, and Berth collects what it left', async (context) => {
      const { node, place } = context;
      await startContainerd(context, '1.0.0');
      await ctr(
        context,
        ...['run', '--detach', '--cni', '--cgroup', `${place.cgroup}/c2`, '--rootfs', place.rootfs],
        ...['c2', '/bin/sleep', '1000'],
      );
      const [attachment, ...others] = await attachments(node);
      assert.deepEqual(others, []);
      assert.deepEqual(
        [attachment?.containerId, attachment?.ifname, attachment?.state, attachment?.addresses],
        ['default-c2', 'eth0', 'attached', ['10.88.0.2/24']],
      );
      await ctr(context, 'task', 'kill', '--signal', 'SIGKILL', 'c2');
      await eventually(
        () => ctr(context, 'task', 'rm', 'c2'),
        LIMIT_MS,
        () => 'the task to end',
      );
      await assertNothingLeft(node);
    });
  }

  if (requireFeature('podman and busybox', existsSync('/usr/bin/podman') && existsSync('/bin/busybox'))) {
    const preparePodman = ({ node, place }: Context, cniVersion: string): Podman => {
      const podman = createPodman(place, 'lan', agentEnvironment(node));
      podman.define(definition(node, cniVersion));
      return podman;
    };

    for (const version of ['0.4.0', '1.0.0']) {
      test(`podman at ${version}: the MAC that was asked for, and nothing is left when it ends`, async (context) => {
        const podman = preparePodman(context, version);
        const mac = '02:11:22:33:44:55';
        const shown = await podman.run(
          ...['run', '--rm', '--mac-address', mac, ...podman.container('p1')],
          ...['/bin/ip', 'address', 'show', 'eth0'],
        );
        assert.match(shown, new RegExp(`link/ether ${mac}`));
        assert.match(shown, /inet 10\.88\.0\.2\/24/);
        await assertNothingLeft(context.node);
      });
    }

    test('podman stops and starts a container: another sandbox, the same container id', async (context) => {
      const podman = preparePodman(context, '1.0.0');
      const { node } = context;
      await podman.run(
        ...['run', '--detach', '--stop-signal', 'KILL', ...podman.container('p2')],
        ...['/bin/sleep', '1000'],
      );
      const [before] = await attachments(node);
      assert.equal(before?.state, 'attached');
      await podman.run('stop', 'p2');
      await assertNothingLeft(node);
      await podman.run('start', 'p2');
      const [after, ...others] = await attachments(node);
      assert.deepEqual(others, []);
      assert.equal(after?.containerId, before?.containerId);
      assert.match(await podman.run('exec', 'p2', '/bin/ip', 'address', 'show', 'eth0'), /inet 10\.88\.0\./);
      await podman.run('rm', '--force', '--time', '0', 'p2');
      await assertNothingLeft(node);
    });

    test('podman says what Berth says when there is no such uplink', async (context) => {
      const podman = preparePodman(context, '1.0.0');
      const { node } = context;
      podman.define(definition(node, '1.0.0').replace('up0', 'none0'));
      await assert.rejects(
        podman.run('run', '--rm', ...podman.container('p3'), '/bin/true'),
        /the node has no network interface named or called none0/,
      );
      await assertNothingLeft(node);
    });
  }
}

test.run();
