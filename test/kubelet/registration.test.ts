/** Registration, both ways, and everything that can go wrong with it. */
import assert from 'node:assert/strict';
import { existsSync, lstatSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { test } from 'uvu';
import { type Logger, silentLogger } from '../../src/engine/logger.ts';
import { zeroConfigPools } from '../../src/engine/pools/zero-config.ts';
import { RegistrationClient } from '../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import { pluginSocketPath, type RegistrationMode } from '../../src/kubelet/paths.ts';
import { PluginService } from '../../src/kubelet/plugin-service.ts';
import { type ServedSocket, serveSocket } from '../../src/kubelet/served-socket.ts';
import { inventory, nic, slotSpec, vf, vfSpec } from '../engine/pools/build.ts';
import { DEVICES, deliveryOf, pod, RESOURCE, type TestNode, testNode } from './node.ts';

/** A test with a node that is closed whatever happens. */
function nodeTest(
  name: string,
  options: Parameters<typeof testNode>[0],
  body: (node: TestNode) => Promise<void>,
): void {
  test(name, async () => {
    const node = await testNode(options);
    try {
      await body(node);
    } finally {
      await node.close();
    }
  });
}

const modes: readonly RegistrationMode[] = ['legacy', 'watcher'];

function socketOf(node: TestNode, mode: RegistrationMode): string {
  const { devicePluginsDir, pluginsRegistryDir } = node.kubelet.paths;
  return pluginSocketPath(mode === 'legacy' ? devicePluginsDir : pluginsRegistryDir, RESOURCE);
}

/** A socket file that nobody listens on any more, as a killed agent leaves it. */
function staleSocket(path: string): Server {
  // Kubelet may have connected before it is replaced.
  const server = createServer((connection) => connection.destroy()).listen(`${path}.bound`, () =>
    renameSync(`${path}.bound`, path),
  );
  return server;
}

/** Somebody else's plugin of the same resource, under its own socket; it never registers again. */
async function otherPlugin(node: TestNode, mode: RegistrationMode): Promise<ServedSocket> {
  const { devicePluginsDir, pluginsRegistryDir } = node.kubelet.paths;
  const nothing = (): void => undefined;
  const service = new PluginService({
    resource: RESOURCE,
    pools: node.pools,
    delivery: deliveryOf(node),
    calls: {
      onGetInfo: nothing,
      onRegistrationStatus: nothing,
      onStreamOpened: nothing,
      onStreamsGone: nothing,
    },
    log: silentLogger,
  });
  const path = join(mode === 'legacy' ? devicePluginsDir : pluginsRegistryDir, 'other.sock');
  const socket = await serveSocket(path, (server) => service.addTo(server, mode === 'watcher'));
  if (mode === 'watcher') return socket;
  const client = new RegistrationClient(`unix:${join(devicePluginsDir, 'kubelet.sock')}`, credentials.createInsecure());
  await new Promise<void>((resolve, reject) => {
    const request = { version: 'v1beta1', endpoint: 'other.sock', resourceName: RESOURCE, options: undefined };
    client.register(request, (error) => (error === null ? resolve() : reject(error)));
  });
  client.close();
  return socket;
}

function count(node: TestNode, event: string): number {
  return node.kubelet.events.filter((entry) => entry.event === event).length;
}

for (const mode of modes) {
  nodeTest(`${mode}: kubelet counts the devices of a resource that registers`, {}, async (node) => {
    const frontEnd = node.frontEnd({ registration: mode });
    await frontEnd.start();
    await node.allocatable(4);
    assert.deepEqual(node.kubelet.node().capacity, { [RESOURCE]: 4 });
    const [status] = frontEnd.status();
    assert.equal(status?.registered, true);
    assert.equal(status?.mode, mode);
    assert.equal(status?.lastError, undefined);
  });

  nodeTest(`${mode}: the socket is there for root alone, and nothing else is left in the folders`, {}, async (node) => {
    await node.frontEnd({ registration: mode }).start();
    await node.allocatable(4);
    assert.equal(lstatSync(socketOf(node, mode)).mode & 0o777, 0o600);
    const { devicePluginsDir, pluginsRegistryDir } = node.kubelet.paths;
    const names = [...readdirSync(devicePluginsDir), ...readdirSync(pluginsRegistryDir)].toSorted();
    assert.deepEqual(names, ['berth-rig.example_vf.sock', 'kubelet.sock']);
  });

  nodeTest(`${mode}: a stale socket in its place is replaced`, {}, async (node) => {
    const stale = staleSocket(socketOf(node, mode));
    await node.frontEnd({ registration: mode }).start();
    await node.allocatable(4);
    stale.close();
  });

  nodeTest(`${mode}: a file in its place is replaced`, {}, async (node) => {
    writeFileSync(socketOf(node, mode), 'not a socket');
    await node.frontEnd({ registration: mode }).start();
    await node.allocatable(4);
  });

  nodeTest(`${mode}: a removed socket is made anew and registered again`, {}, async (node) => {
    await node.frontEnd({ registration: mode }).start();
    await node.allocatable(4);
    const before = count(node, 'GetDevicePluginOptions');
    rmSync(socketOf(node, mode));
    await node.kubelet.until(() => count(node, 'GetDevicePluginOptions') > before, 'another registration');
    await node.allocatable(4);
    assert.ok(existsSync(socketOf(node, mode)));
  });

  nodeTest(`${mode}: a restart of kubelet is survived, with the devices that pods have`, {}, async (node) => {
    const frontEnd = node.frontEnd({ registration: mode });
    await frontEnd.start();
    await node.allocatable(4);
    await node.kubelet.admit(pod('p1', 3));
    await node.kubelet.restart();
    await node.allocatable(4);
    await assert.rejects(node.kubelet.admit(pod('p2', 2)), /Requested: 2, Available: 1,/);
    assert.equal(frontEnd.status()[0]?.registered, true);
  });

  nodeTest(`${mode}: whoever listens hears of a registration that comes, goes and comes again`, {}, async (node) => {
    const heard: (boolean | undefined)[] = [];
    const frontEnd = node.frontEnd({ registration: mode });
    const end = frontEnd.subscribe(() => void heard.push(frontEnd.status()[0]?.registered));
    await frontEnd.start();
    await node.allocatable(4);
    await node.kubelet.restart();
    await node.allocatable(4);
    end();
    assert.equal(heard[0], true);
    assert.ok(heard.includes(false));
    assert.equal(heard.at(-1), true);
  });

  nodeTest(`${mode}: a kubelet that is away for several attempts is waited for`, {}, async (node) => {
    let attempts = 0;
    const log: Logger = {
      ...silentLogger,
      warn: () => {
        if (++attempts === 4) void node.kubelet.start();
      },
    };
    const timings = { streamTimeoutMs: 20 };
    await node.frontEnd({ registration: mode, log, timings }).start();
    await node.allocatable(4);
    await node.kubelet.stop();
    await node.kubelet.until(() => count(node, 'kubelet started') === 2, 'four attempts');
    await node.allocatable(4);
  });

  nodeTest(`${mode}: taking a resource over from another plugin survives the end of that plugin`, {}, async (node) => {
    const other = await otherPlugin(node, mode);
    await node.allocatable(4);
    const frontEnd = node.frontEnd({ registration: mode });
    await frontEnd.start();
    await node.kubelet.until(() => count(node, 'ListAndWatch.send') === 2, 'the list of the second plugin');
    const registrations = count(node, 'GetDevicePluginOptions');
    await other.close();
    await node.kubelet.until(() => count(node, 'ListAndWatch.done') >= 2, 'kubelet to disconnect the wrong one');
    await node.kubelet.until(() => count(node, 'GetDevicePluginOptions') > registrations, 'a registration after that');
    await node.allocatable(4);
    assert.equal(frontEnd.status()[0]?.registered, true);
  });

  nodeTest(`${mode}: after the stop no socket is left and kubelet has no devices`, {}, async (node) => {
    const frontEnd = node.frontEnd({ registration: mode });
    await frontEnd.start();
    await node.allocatable(4);
    await frontEnd.stop();
    await node.allocatable(0);
    assert.equal(existsSync(socketOf(node, mode)), false);
    assert.deepEqual(frontEnd.status(), []);
  });

  nodeTest(`${mode}: changes reach kubelet: unhealthy, gone, new`, {}, async (node) => {
    await node.frontEnd({ registration: mode }).start();
    await node.allocatable(4);
    const vfs = [0, 1, 2, 3, 4].map((index) => vf(index));
    node.pools.update({ inventory: inventory([nic('eth0', vfs.slice(0, 4), {}, { carrier: false })]) });
    await node.allocatable(0);
    assert.equal(node.kubelet.node().capacity[RESOURCE], 4);
    node.pools.update({ inventory: inventory([nic('eth0', vfs.slice(0, 3))]) });
    await node.allocatable(3);
    assert.equal(node.kubelet.node().capacity[RESOURCE], 3);
    node.pools.update({ inventory: inventory([nic('eth0', vfs)]) });
    await node.allocatable(5);
  });

  nodeTest(`${mode}: two agents in a row and the second alone end in one registration`, {}, async (node) => {
    const first = node.frontEnd({ registration: mode });
    await first.start();
    await node.allocatable(4);
    await first.stop();
    await node.allocatable(0);
    await node.frontEnd({ registration: mode }).start();
    await node.allocatable(4);
  });
}

nodeTest('auto: the plugin watcher is used where kubelet has its folder, and nothing else', {}, async (node) => {
  const frontEnd = node.frontEnd();
  await frontEnd.start();
  await node.allocatable(4);
  assert.equal(frontEnd.status()[0]?.mode, 'watcher');
  assert.equal(count(node, 'Register.call'), 0);
  assert.equal(existsSync(socketOf(node, 'legacy')), false);
});

nodeTest('auto: without the folder it is the legacy way', { watcher: false }, async (node) => {
  const frontEnd = node.frontEnd();
  await frontEnd.start();
  await node.allocatable(4);
  assert.equal(frontEnd.status()[0]?.mode, 'legacy');
});

nodeTest('a socket of the other way, left by an agent that was killed, is removed', {}, async (node) => {
  const path = socketOf(node, 'watcher');
  const stale = staleSocket(path);
  await node.frontEnd({ registration: 'legacy' }).start();
  await node.allocatable(4);
  assert.equal(existsSync(path), false);
  stale.close();
});

nodeTest(
  'legacy: a refused Register is tried again until it is taken, and the refusal can be seen',
  {},
  async (node) => {
    let refusals = 0;
    let seen: string | undefined;
    const frontEnd = node.frontEnd({ registration: 'legacy' });
    node.kubelet.onRegister(() => {
      seen ??= frontEnd.status()[0]?.lastError;
      return Promise.resolve(refusals++ < 3 ? 'not now' : undefined);
    });
    await frontEnd.start();
    await node.allocatable(4);
    assert.equal(refusals, 4);
    assert.equal(seen, 'Register failed: UNKNOWN: not now');
    assert.equal(frontEnd.status()[0]?.lastError, undefined);
  },
);

nodeTest('legacy: a Register that is never answered is given up and called again', {}, async (node) => {
  let calls = 0;
  node.kubelet.onRegister(() => (calls++ === 0 ? new Promise(() => undefined) : Promise.resolve(undefined)));
  await node.frontEnd({ registration: 'legacy', timings: { registerTimeoutMs: 50 } }).start();
  await node.allocatable(4);
  assert.equal(calls, 2);
});

nodeTest('legacy: a Register that is pending does not hold up the stop', {}, async (node) => {
  const called = new Promise<void>((resolve) => {
    node.kubelet.onRegister(() => {
      resolve();
      return new Promise(() => undefined);
    });
  });
  const frontEnd = node.frontEnd({ registration: 'legacy', timings: { registerTimeoutMs: 600_000 } });
  await frontEnd.start();
  await called;
  await frontEnd.stop();
  assert.equal(existsSync(socketOf(node, 'legacy')), false);
});

nodeTest('legacy: an agent that starts before kubelet registers when it comes', {}, async (node) => {
  await node.kubelet.stop();
  rmSync(join(node.kubelet.paths.devicePluginsDir, 'kubelet.sock'), { force: true });
  const frontEnd = node.frontEnd({ registration: 'legacy', timings: { retryFirstMs: 600_000, retryLimitMs: 600_000 } });
  await frontEnd.start();
  await node.kubelet.start();
  await node.allocatable(4);
});

nodeTest(
  'watcher: a resource that kubelet refuses is offered again, and the refusal can be seen',
  { specs: [vfSpec({ resource: 'kubernetes.io/vf' })] },
  async (node) => {
    const frontEnd = node.frontEnd({ registration: 'watcher' });
    await frontEnd.start();
    const refused = () => count(node, 'NotifyRegistrationStatus');
    await node.kubelet.until(() => refused() >= 3, 'three refusals');
    const [status] = frontEnd.status();
    assert.equal(status?.registered, false);
    assert.match(
      status?.lastError ?? '',
      /kubelet refused the registration: the ResourceName "kubernetes.io\/vf" is invalid/,
    );
  },
);

nodeTest('a folder of kubelet that is missing is waited for', { watcher: false }, async (node) => {
  await node.kubelet.stop();
  rmSync(node.kubelet.paths.devicePluginsDir, { recursive: true });
  const frontEnd = node.frontEnd({ registration: 'legacy' });
  await frontEnd.start();
  await node.kubelet.start();
  await node.allocatable(4);
});

nodeTest('a pool that leaves the configuration leaves kubelet, one that joins joins', {}, async (node) => {
  const frontEnd = node.frontEnd();
  await frontEnd.start();
  await node.allocatable(4);
  node.pools.update({ specs: [slotSpec('macvlan', { resource: 'rig.example/macvlan' })] });
  await node.allocatable(0);
  await node.allocatable(2, 'rig.example/macvlan');
  assert.deepEqual(
    frontEnd.status().map(({ resource }) => resource),
    ['rig.example/macvlan'],
  );
  assert.equal(existsSync(socketOf(node, 'watcher')), false);
});

nodeTest(
  'a built-in pool registers when it first has a device, a configured one at once',
  { specs: [...zeroConfigPools(), vfSpec({ resource: 'rig.example/none' })] },
  async (node) => {
    const frontEnd = node.frontEnd();
    await frontEnd.start();
    await node.allocatable(0, 'rig.example/none');
    await node.allocatable(4, 'berth.dev/vf');
    assert.deepEqual(
      frontEnd
        .status()
        .map(({ resource }) => resource)
        .toSorted(),
      ['berth.dev/ipvlan', 'berth.dev/macvlan', 'berth.dev/vf', 'rig.example/none'],
    );
  },
);

nodeTest('the NUMA node is told, unless the pool excludes it', {}, async (node) => {
  await node.frontEnd().start();
  await node.allocatable(4);
  const lists = () => node.kubelet.events.filter(({ event }) => event === 'ListAndWatch.send').map(({ msg }) => msg);
  const expected = DEVICES.map((id, at) => ({
    ID: id,
    health: 'Healthy',
    topology: { nodes: [{ ID: at < 2 ? 0 : 1 }] },
  }));
  assert.deepEqual(lists(), [{ devices: expected }]);
  node.pools.update({ specs: [vfSpec({ resource: RESOURCE, excludeTopology: true })] });
  await node.kubelet.until(() => lists().length === 2, 'another list');
  assert.deepEqual(lists()[1], { devices: expected.map((device) => ({ ...device, topology: undefined })) });
});

test.run();
