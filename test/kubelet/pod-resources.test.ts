import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'uvu';
import type { Clock } from '../../src/engine/clock.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { createPodResources, type PodResources } from '../../src/kubelet/index.ts';
import { pod, RESOURCE, type TestNode, testNode } from './node.ts';

async function withPods(body: (node: TestNode, ask: (clock?: Clock) => PodResources) => Promise<void>): Promise<void> {
  const node = await testNode();
  const clients: PodResources[] = [];
  try {
    await node.frontEnd().start();
    await node.allocatable(4);
    await body(node, (clock) => {
      const client = createPodResources({
        socketPath: node.kubelet.paths.podResourcesSocket,
        log: silentLogger,
        ...(clock === undefined ? {} : { clock }),
      });
      clients.push(client);
      return client;
    });
  } finally {
    for (const client of clients) client.close();
    await node.close();
  }
}

/** Time that moves only when told; delays end at once. */
function handClock(): Clock & { advance(ms: number): void } {
  let now = 0;
  return {
    now: () => new Date(now),
    delay: () => new Promise((resolve) => setTimeout(resolve, 20)),
    advance: (ms) => {
      now += ms;
    },
  };
}

test('holders are known by device, with pod and container', async () => {
  await withPods(async (node, ask) => {
    await node.kubelet.admit(pod('p1', 2));
    const holders = await ask().holders();
    const holder = { resource: RESOURCE, pod: { namespace: 'default', name: 'p1' }, container: 'main' };
    assert.deepEqual(
      [...(holders ?? [])].toSorted(([a], [b]) => a.localeCompare(b)),
      [
        ['0000:41:10.0', [holder]],
        ['0000:41:10.1', [holder]],
      ],
    );
  });
});

test('it is known which pods are listed, and which devices kubelet gives to pods at all', async () => {
  await withPods(async (node, ask) => {
    const asked = ask();
    assert.deepEqual([asked.isThere(), await asked.listsAny()], [true, false]);
    await node.kubelet.admit(pod('p1', 1));
    const fresh = ask();
    assert.equal(await fresh.listsAny(), true);
    assert.equal(await fresh.lists({ namespace: 'default', name: 'p1' }), true);
    assert.equal(await fresh.lists({ namespace: 'other', name: 'p1' }), false);
    assert.equal(await fresh.manages('0000:41:10.3'), true);
    assert.equal(await fresh.manages('0000:99:00.0'), false);
  });
});

test('a node without kubelet lists nothing and gives nothing', async () => {
  const nowhere = createPodResources({ socketPath: '/nowhere/kubelet.sock', log: silentLogger });
  const pod1 = { namespace: 'default', name: 'p1' };
  assert.deepEqual(
    [nowhere.isThere(), await nowhere.lists(pod1), await nowhere.listsAny(), await nowhere.manages('eth0-1')],
    [false, false, false, false],
  );
  assert.equal(await nowhere.holders(), undefined);
  nowhere.close();
});

test('resources of others can be left out', async () => {
  await withPods(async (node) => {
    await node.kubelet.admit(pod('p1', 1));
    const client = createPodResources({
      socketPath: node.kubelet.paths.podResourcesSocket,
      isOurs: (resource) => resource.startsWith('berth.dev/'),
      log: silentLogger,
    });
    assert.equal((await client.holders())?.size, 0);
    client.close();
  });
});

test('questions at the same time are one call, and its answer serves for a moment', async () => {
  await withPods(async (node, ask) => {
    const clock = handClock();
    const client = ask(clock);
    await Promise.all(Array.from({ length: 50 }, () => client.holders()));
    assert.equal(node.kubelet.podResourcesCalls.served, 1);
    clock.advance(74);
    await client.holders();
    assert.equal(node.kubelet.podResourcesCalls.served, 1);
    clock.advance(1);
    await client.holders();
    assert.equal(node.kubelet.podResourcesCalls.served, 2);
  });
});

test('a throttled question is asked again and answered', async () => {
  await withPods(async (node, ask) => {
    const greedy = Array.from({ length: 40 }, () => ask(handClock()));
    const answers = await Promise.all(greedy.map((client) => client.holders()));
    assert.ok(node.kubelet.podResourcesCalls.refused > 0);
    assert.ok(answers.some((answer) => answer !== undefined));
    // Whoever was refused too often was told so, not failed.
    for (const answer of answers) assert.ok(answer === undefined || answer.size === 0);
  });
});

test('a kubelet that is away is not known about, and is asked anew when it is back', async () => {
  await withPods(async (node, ask) => {
    const clock = handClock();
    const client = ask(clock);
    await node.kubelet.admit(pod('p1', 1));
    await node.kubelet.stop();
    assert.equal(await client.holders(), undefined);
    await node.kubelet.start();
    clock.advance(1000);
    // Right after a restart the list is empty, which proves nothing.
    assert.equal((await client.holders())?.size, 0);
    node.kubelet.readmit();
    clock.advance(1000);
    assert.equal((await client.holders())?.size, 1);
  });
});

test('a socket that is not there is no exception', async () => {
  await withPods(async (node) => {
    const client = createPodResources({ socketPath: join(node.dir, 'none.sock'), log: silentLogger });
    assert.equal(await client.holders(), undefined);
    client.close();
    assert.equal(await client.holders(), undefined);
  });
});

test.run();
