/**
 * Addresses from other IPAM plugins, by the whole program on the live kernel: Debian's own under
 * other names, and such as hang while an agent dies. And probing for addresses that a neighbour has.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { ip, leaveMachine } from '../kernel/own-namespace.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { type AgentNode, createAgentNode } from '../standins/agent-node.ts';
import { createDhcpServer } from '../standins/dhcp-server.ts';
import { eventually } from '../standins/eventually.ts';
import { type NetworkDefinition, PluginFailure, type Pod } from '../standins/runtime/index.ts';

const PEERS = '/usr/lib/cni';
const CONFIG = 'pools:\n  - { name: shared, kind: macvlan, capacity: 8, uplinks: [{ names: [up0] }] }\n';
const LIMIT_MS = 10_000;

const test = suite<{ node: AgentNode; bin: string }>('agent and IPAM programs');

const pod = (name: string): Pod => ({ namespace: 'default', name, uid: `uid-${name}` });

function network(node: AgentNode, type: string, more: Readonly<Record<string, unknown>> = {}): NetworkDefinition {
  const lan = node.network('lan', more);
  return {
    ...lan,
    config: {
      ...lan.config,
      cniVersion: '1.0.0',
      ipam: {
        type,
        dataDir: join(node.folder, 'networks'),
        ranges: [[{ subnet: '10.88.0.0/24' }]],
        routes: [{ dst: '0.0.0.0/0' }],
      },
    },
  };
}

function reserved(node: AgentNode): readonly string[] {
  const folder = join(node.folder, 'networks', 'lan');
  return existsSync(folder) ? readdirSync(folder).filter((name) => name.startsWith('10.')) : [];
}

function addressesIn(netns: string): readonly string[] {
  const links = JSON.parse(
    ip('-n', netns.split('/').at(-1) ?? '', '-j', 'address', 'show', 'dev', 'net1'),
  ) as readonly {
    addr_info: readonly { local: string; family: string }[];
  }[];
  return links.flatMap((link) => link.addr_info).flatMap(({ family, local }) => (family === 'inet' ? [local] : []));
}

async function refusalOf(work: Promise<unknown>): Promise<PluginFailure> {
  const failure = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  // When the DEL that follows fails as well.
  const first: unknown = failure instanceof AggregateError ? failure.errors[0] : failure;
  assert.ok(first instanceof PluginFailure, String(first));
  return first;
}

const ready = isRoot() && hasLinkKind('macvlan') && existsSync(`${PEERS}/host-local`);
if (requireFeature('root, macvlan and containernetworking-plugins', ready)) {
  leaveMachine();

  test.before.each(async (context) => {
    context.bin = mkdtempSync(join(tmpdir(), 'berth-cni-'));
    symlinkSync(`${PEERS}/host-local`, join(context.bin, 'pooled'));
    symlinkSync(`${PEERS}/static`, join(context.bin, 'fixed'));
    symlinkSync(`${PEERS}/dhcp`, join(context.bin, 'dhcp'));
    context.node = await createAgentNode(CONFIG, { cniPath: context.bin });
  });
  test.after.each(async ({ node, bin }) => {
    await node.remove();
    rmSync(bin, { recursive: true });
  });

  test('ADD, CHECK and DEL with a Go plugin: its addresses and routes, and nothing left', async ({ node }) => {
    await node.startAgent();
    const sandbox = await node.runtime.addPod(pod('app'), [{ network: network(node, 'pooled') }]);
    assert.deepEqual(sandbox.attachments[0]?.result.ips, [
      { address: '10.88.0.2/24', gateway: '10.88.0.1', interface: 0 },
    ]);
    assert.deepEqual(addressesIn(sandbox.netns), ['10.88.0.2']);
    assert.match(
      ip('-n', sandbox.netns.split('/').at(-1) ?? '', 'route', 'show', 'default'),
      /via 10\.88\.0\.1 dev net1/,
    );
    await node.runtime.checkPod(pod('app'));
    rmSync(join(node.folder, 'networks', 'lan', '10.88.0.2'));
    const changed = await refusalOf(node.runtime.checkPod(pod('app')));
    assert.match(changed.answer?.msg ?? '', /pooled/);
    await node.runtime.deletePod(pod('app'));
    assert.deepEqual(reserved(node), []);
    assert.equal((await node.status()).attachments.total, 0);
  });

  test('a DEL that comes while the agent is away is done by the agent, with the program of the ADD', async ({
    node,
  }) => {
    const agent = await node.startAgent();
    await node.runtime.addPod(pod('app'), [{ network: network(node, 'pooled') }]);
    await node.endAgent(agent, 'SIGKILL');
    await node.runtime.deletePod(pod('app'));
    assert.deepEqual(reserved(node), ['10.88.0.2'], 'nobody was there to release it');
    await node.startAgent();
    assert.deepEqual(reserved(node), []);
  });

  test('a sandbox that dies without DEL has its delegated addresses released', async ({ node }) => {
    await node.startAgent();
    await node.runtime.addPod(pod('app'), [{ network: network(node, 'pooled') }]);
    await node.runtime.loseSandbox(pod('app'));
    await eventually(
      () => assert.deepEqual(reserved(node), []),
      LIMIT_MS,
      () => `the address to be released\n${node.agentLog()}`,
    );
  });

  test('an agent that is killed while the program works leaves neither program nor address', async ({ node, bin }) => {
    // It reserves, tells where it is, and does not end.
    writeFileSync(
      join(bin, 'slow'),
      `#!/bin/sh\n${PEERS}/host-local >/dev/null || exit 1\n[ "$CNI_COMMAND" = ADD ] || exit 0\necho $$ >${bin}/pid.new\nmv ${bin}/pid.new ${bin}/pid\nexec sleep 60\n`,
      { mode: 0o755 },
    );
    const agent = await node.startAgent();
    const adding = refusalOf(node.runtime.addPod(pod('app'), [{ network: network(node, 'slow') }]));
    await eventually(
      () => assert.ok(existsSync(join(bin, 'pid'))),
      LIMIT_MS,
      () => 'the program to have reserved',
    );
    assert.deepEqual(reserved(node), ['10.88.0.2']);
    await node.endAgent(agent, 'SIGKILL');
    assert.equal((await adding).answer?.code, 11);
    await node.startAgent();
    assert.deepEqual(reserved(node), []);
    assert.equal((await node.status()).attachments.total, 0);
  });

  test("dhcp: the daemon gets a lease over the pod's link, and hands it back before the link goes", async ({
    node,
    bin,
  }) => {
    ip('address', 'add', '10.89.0.1/24', 'dev', 'up1');
    ip('route', 'add', '255.255.255.255', 'dev', 'up1');
    const server = await createDhcpServer({ address: '10.89.0.1', offer: '10.89.0.20' });
    const daemonSocketPath = join(bin, 'dhcp.sock');
    const daemon = spawn(`${PEERS}/dhcp`, ['daemon', '-socketpath', daemonSocketPath], { stdio: 'ignore' });
    try {
      await eventually(
        () => assert.ok(existsSync(daemonSocketPath)),
        LIMIT_MS,
        () => 'the daemon to listen',
      );
      await node.startAgent();
      const lan = network(node, 'dhcp');
      const definition = { ...lan, config: { ...lan.config, ipam: { type: 'dhcp', daemonSocketPath } } };
      const sandbox = await node.runtime.addPod(pod('app'), [{ network: definition }]);
      assert.deepEqual(addressesIn(sandbox.netns), ['10.89.0.20']);
      // No CHECK: the plugin's own takes a second lease.
      await node.runtime.deletePod(pod('app'));
      await eventually(
        () => assert.deepEqual(server.asked, ['DISCOVER', 'REQUEST', 'RELEASE']),
        LIMIT_MS,
        () => `the lease to be handed back, of ${server.asked.join()}`,
      );
      assert.equal((await node.status()).attachments.total, 0);
    } finally {
      daemon.kill('SIGKILL');
      await server.close();
      ip('address', 'flush', 'dev', 'up1', 'scope', 'global');
    }
  });

  test('what a plugin says of its failure reaches the runtime', async ({ node }) => {
    await node.startAgent();
    const failure = await refusalOf(node.runtime.addPod(pod('app'), [{ network: network(node, 'dhcp') }]));
    assert.match(failure.answer?.msg ?? '', /ADD of the IPAM program dhcp said: error dialing DHCP daemon/);
    // Its DEL needs the daemon as well, so that the release waits, and is seen.
    const { attachments } = await node.status();
    assert.deepEqual([attachments.total, attachments.stuck], [1, 1]);
  });

  test('a plugin that is not there is named', async ({ node }) => {
    await node.startAgent();
    const failure = await refusalOf(node.runtime.addPod(pod('app'), [{ network: network(node, 'whereabouts') }]));
    assert.match(failure.answer?.msg ?? '', /there is no IPAM program whereabouts in CNI_PATH/);
  });

  test('a plugin that is our own shim does not wait for itself', async ({ node, bin }) => {
    symlinkSync(node.shimPath, join(bin, 'berth'));
    await node.startAgent();
    const failure = await refusalOf(node.runtime.addPod(pod('app'), [{ network: network(node, 'berth') }]));
    assert.match(failure.answer?.msg ?? '', /ipam\.type names Berth's own shim/);
  });

  test('an IPv6 address that a neighbour has is found by the kernel, refused, and given back', async ({ node }) => {
    await node.startAgent();
    ip('address', 'add', 'fd88::2/64', 'dev', 'up1', 'nodad');
    try {
      const lan = network(node, 'host-local');
      const ipam = { type: 'host-local', dataDir: join(node.folder, 'networks'), ranges: [[{ subnet: 'fd88::/64' }]] };
      const definition = { ...lan, config: { ...lan.config, ipam } };
      const failure = await refusalOf(node.runtime.addPod(pod('app'), [{ network: definition }]));
      assert.equal(failure.answer?.code, 11);
      assert.match(failure.answer?.msg ?? '', /a neighbour already uses fd88::2\/64/);
      assert.equal((await node.status()).attachments.total, 0);
      const sandbox = await node.runtime.addPod(pod('app'), [{ network: definition }]);
      const ips = sandbox.attachments[0]?.result.ips as readonly { address: string }[];
      assert.equal(ips[0]?.address, 'fd88::3/64');
    } finally {
      ip('-6', 'address', 'flush', 'dev', 'up1', 'scope', 'global');
    }
  });

  test('a route of a plugin has every field that it was given', async ({ node, bin }) => {
    await node.startAgent();
    const answer = {
      cniVersion: '1.1.0',
      ips: [{ address: '10.88.0.7/24', gateway: '10.88.0.1' }],
      routes: [
        { dst: '10.90.0.0/16', mtu: 1400, advmss: 1300, priority: 77, table: 100 },
        { dst: '10.91.0.0/16', scope: 253 },
      ],
    };
    writeFileSync(
      join(bin, 'routing'),
      `#!/bin/sh\ncat >/dev/null\n[ "$CNI_COMMAND" = ADD ] && echo '${JSON.stringify(answer)}'\nexit 0\n`,
      { mode: 0o755 },
    );
    const lan = network(node, 'routing');
    const sandbox = await node.runtime.addPod(pod('app'), [
      { network: { ...lan, config: { ...lan.config, cniVersion: '1.1.0' } } },
    ]);
    const name = sandbox.netns.split('/').at(-1) ?? '';
    assert.match(
      ip('-n', name, 'route', 'show', 'table', '100'),
      /^10\.90\.0\.0\/16 via 10\.88\.0\.1 dev net1 metric 77 mtu 1400 advmss 1300/,
    );
    assert.match(ip('-n', name, 'route', 'show', '10.91.0.0/16'), /^10\.91\.0\.0\/16 dev net1 scope link/);
    assert.deepEqual(sandbox.attachments[0]?.result.routes, answer.routes);
    await node.runtime.checkPod(pod('app'));
    ip(
      '-n',
      name,
      'route',
      'change',
      '10.90.0.0/16',
      'via',
      '10.88.0.1',
      'dev',
      'net1',
      'metric',
      '77',
      'table',
      '100',
    );
    const changed = await refusalOf(node.runtime.checkPod(pod('app')));
    assert.match(changed.answer?.msg ?? '', /net1 lacks the route 10\.90\.0\.0\/16/);
  });

  test('an address that a neighbour has is refused with its MAC; the next ADD takes the next address', async ({
    node,
  }) => {
    await node.startAgent();
    ip('address', 'add', '10.88.0.2/24', 'dev', 'up1');
    try {
      const probed = network(node, 'host-local', { duplicateAddressDetection: true });
      const failure = await refusalOf(node.runtime.addPod(pod('app'), [{ network: probed }]));
      const [up1] = JSON.parse(ip('-j', 'link', 'show', 'up1')) as readonly { address: string }[];
      assert.equal(failure.answer?.code, 11);
      assert.match(failure.answer?.msg ?? '', new RegExp(`10\\.88\\.0\\.2 is used by ${up1?.address} already`));
      assert.deepEqual(reserved(node), []);
      const sandbox = await node.runtime.addPod(pod('app'), [{ network: probed }]);
      assert.deepEqual(addressesIn(sandbox.netns), ['10.88.0.3']);
      // Without the probe it would have been taken.
      assert.equal(
        (await node.runtime.addPod(pod('b'), [{ network: network(node, 'host-local') }])).attachments.length,
        1,
      );
    } finally {
      ip('address', 'flush', 'dev', 'up1', 'scope', 'global');
    }
  });
}

test.run();
