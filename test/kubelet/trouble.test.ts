/**
 * What kubelet and the node may do to a plugin, and what comes of it: a named error in the status,
 * or nothing at all. Each case counts descriptors and sockets before and after.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials } from '@grpc/grpc-js';
import { test } from 'uvu';
import { silentLogger } from '../../src/engine/logger.ts';
import { createPoolSet } from '../../src/engine/pools/pool-set.ts';
import {
  DevicePluginClient,
  type ListAndWatchResponse,
} from '../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import { createKubeletFrontEnd, kubeletPaths } from '../../src/kubelet/index.ts';
import { pluginSocketPath } from '../../src/kubelet/paths.ts';
import { inventory, nic, slotSpec, vfSpec } from '../engine/pools/build.ts';
import { eventually } from '../standins/eventually.ts';
import { steady } from './held.ts';
import { fourVfs, pod, RESOURCE, type TestNode, TIMINGS, testNode } from './node.ts';

/** Runs the body on a node that is there before it is counted, and counts again when it is closed. */
function troubleTest(
  name: string,
  options: Parameters<typeof testNode>[0],
  body: (node: TestNode) => Promise<void>,
): void {
  test(name, async () => {
    // inotify and gRPC keep something for ever after their first use.
    const warm = await testNode();
    await warm.frontEnd().start();
    await warm.allocatable(4);
    await warm.close();
    const before = await steady();
    const node = await testNode(options);
    try {
      await body(node);
    } finally {
      await node.close();
    }
    assert.deepEqual(await steady(), before);
  });
}

troubleTest(
  'a kubelet folder that is too deep for a socket is a named problem, and no socket is left',
  {},
  async () => {
    const root = mkdtempSync(join(tmpdir(), 'berth-'));
    const dir = join(root, 'd'.repeat(80));
    const paths = kubeletPaths(dir);
    mkdirSync(paths.pluginsRegistryDir, { recursive: true });
    const pools = createPoolSet({ specs: [vfSpec({ resource: RESOURCE })], inventory: fourVfs(), log: silentLogger });
    const frontEnd = createKubeletFrontEnd({
      pools,
      paths,
      deviceInfoDir: join(root, 'devinfo'),
      cdiDir: join(root, 'cdi'),
      nodeDevices: { has: () => true },
      registration: 'auto',
      log: silentLogger,
      timings: TIMINGS,
    });
    await frontEnd.start();
    await eventually(
      () => assert.match(frontEnd.status()[0]?.lastError ?? '', /^the socket path .* bytes; the kernel allows 107/),
      5_000,
      () => 'the problem in the status',
    );
    assert.equal(frontEnd.status()[0]?.registered, false);
    assert.deepEqual(readdirSync(paths.pluginsRegistryDir), []);
    await frontEnd.stop();
    pools.stop();
    rmSync(root, { recursive: true });
  },
);

const SLOTS = 5_000;
const large = (carrier: boolean) => inventory([nic('eth0', [], {}, { carrier })]);

troubleTest(
  'a kubelet that stops reading is told of, keeps one list waiting, and gets the newest when it reads again',
  { specs: [slotSpec('macvlan', { resource: RESOURCE, capacity: SLOTS, health: undamped() })] },
  async (node) => {
    const frontEnd = node.frontEnd();
    await frontEnd.start();
    await node.allocatable(SLOTS);
    const path = pluginSocketPath(node.kubelet.paths.pluginsRegistryDir, RESOURCE);
    const client = new DevicePluginClient(`unix:${path}`, credentials.createInsecure());
    const call = client.listAndWatch({});
    const lists: ListAndWatchResponse[] = [];
    await new Promise<void>((resolve) => call.once('data', () => resolve()));
    call.pause();
    call.on('error', () => undefined);
    for (let change = 0; change < 101; change++) {
      node.pools.update({ inventory: large(change % 2 === 1) });
      node.pools.plan();
      // The other stream is read, and its kubelet has every list.
      await node.allocatable(change % 2 === 1 ? SLOTS : 0);
    }
    await eventually(
      () => assert.match(frontEnd.status()[0]?.problems[0] ?? '', /^kubelet has not read the list of devices for/),
      5_000,
      () => 'the problem in the status',
    );
    const newest = new Promise<void>((resolve) => {
      call.on('data', (list: ListAndWatchResponse) => {
        lists.push(list);
        if (lists.length > 1 && list.devices.every(({ health }) => health === 'Unhealthy')) resolve();
      });
    });
    call.resume();
    await newest;
    assert.ok(lists.length < 20, `${lists.length} lists of 101 changes`);
    call.cancel();
    client.close();
    await eventually(
      () => assert.deepEqual(frontEnd.status()[0]?.problems, []),
      5_000,
      () => 'the problem to end',
    );
  },
);

function undamped() {
  return { ...slotSpec('macvlan').health, holdDownS: 0 };
}

for (const [what, watcher, answer] of [
  ['answers late', false, (attempt: number) => eventuallyAnswered(attempt)],
  ['refuses sixty times', false, (attempt: number) => Promise.resolve(attempt < 60 ? 'not now' : undefined)],
] as const) {
  troubleTest(`a kubelet that ${what}`, { watcher }, async (node) => {
    let attempts = 0;
    node.kubelet.onRegister(() => answer(attempts++));
    const frontEnd = node.frontEnd({ registration: 'legacy', timings: { retryFirstMs: 1, retryLimitMs: 2 } });
    await frontEnd.start();
    await node.allocatable(4);
    assert.equal(frontEnd.status()[0]?.lastError, undefined);
  });
}

/** By then the plugin is dialled already, or not yet: both orders happen. */
function eventuallyAnswered(attempt: number): Promise<string | undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), attempt === 0 ? 50 : 0));
}

for (const mode of ['legacy', 'watcher'] as const) {
  troubleTest(`${mode}: two agents on one node end in one registration and no fight`, {}, async (node) => {
    const first = node.frontEnd({ registration: mode });
    const second = node.frontEnd({ registration: mode });
    await first.start();
    await node.allocatable(4);
    await second.start();
    const registrations = (): number =>
      node.kubelet.events.filter(({ event }) => event === 'GetDevicePluginOptions').length;
    await node.kubelet.until(() => registrations() >= 2, 'the second agent');
    await node.allocatable(4);
    // Each of them keeps its place while the other one looks at the folder: pods are admitted, and nobody registers again.
    // One that comes just as the second takes the first one's place is rejected, by kubelet itself.
    await eventually(
      () => node.kubelet.admit(pod('p1', 1)),
      5_000,
      () => 'a pod to be admitted',
    );
    const settled = registrations();
    assert.ok(settled <= 6, `${settled} registrations`);
    await second.stop();
    await first.stop();
    await node.allocatable(0);
  });
}

test.run();
