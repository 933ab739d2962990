/** Descriptors, sockets and listeners are the same after a hundred restarts of kubelet as before. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { RegistrationMode } from '../../src/kubelet/paths.ts';
import { vfSpec } from '../engine/pools/build.ts';
import { steady } from './held.ts';
import { type TestNode, testNode } from './node.ts';

async function restarted(node: TestNode, times: number): Promise<void> {
  for (let restart = 0; restart < times; restart++) {
    await node.kubelet.restart();
    await node.allocatable(4);
  }
}

for (const mode of ['legacy', 'watcher'] as const satisfies readonly RegistrationMode[]) {
  test(`${mode}: a hundred restarts of kubelet leave no descriptor, socket or listener`, async () => {
    const node = await testNode({ timings: { noticeMs: [0, 1] } });
    try {
      await node.frontEnd({ registration: mode, timings: { retryFirstMs: 30, retryLimitMs: 60, stableMs: 0 } }).start();
      await node.allocatable(4);
      await restarted(node, 3);
      const before = await steady();
      await restarted(node, 100);
      assert.deepEqual(await steady(), before);
    } finally {
      await node.close();
    }
  });

  test(`${mode}: a front end that stopped leaves nothing`, async () => {
    const node = await testNode({ timings: { noticeMs: [0, 1] } });
    try {
      const warm = node.frontEnd({ registration: mode });
      await warm.start();
      await node.allocatable(4);
      await warm.stop();
      await node.allocatable(0);
      const before = await steady();
      for (let round = 0; round < 10; round++) {
        const frontEnd = node.frontEnd({ registration: mode });
        await frontEnd.start();
        await node.allocatable(4);
        await frontEnd.stop();
        await node.allocatable(0);
      }
      assert.deepEqual(await steady(), before);
    } finally {
      await node.close();
    }
  });
}

test('legacy: failed registrations leave nothing', async () => {
  const node = await testNode({ watcher: false });
  try {
    let refusals = 0;
    node.kubelet.onRegister(() => Promise.resolve(refusals++ < 60 ? 'no' : undefined));
    const frontEnd = node.frontEnd({ registration: 'legacy', timings: { retryFirstMs: 1, retryLimitMs: 2 } });
    await frontEnd.start();
    await node.allocatable(4);
    const after60 = await steady();
    node.kubelet.onRegister(undefined);
    await restarted(node, 3);
    assert.equal(refusals, 61);
    assert.deepEqual(await steady(), after60);
  } finally {
    await node.close();
  }
});

test('watcher: refused registrations leave nothing', async () => {
  const node = await testNode({ timings: { noticeMs: [0, 1] }, specs: [vfSpec({ resource: 'kubernetes.io/vf' })] });
  try {
    const frontEnd = node.frontEnd({ registration: 'watcher', timings: { retryFirstMs: 1, retryLimitMs: 2 } });
    const before = await steady();
    await frontEnd.start();
    const refused = (): number =>
      node.kubelet.events.filter(({ event }) => event === 'NotifyRegistrationStatus').length;
    await node.kubelet.until(() => refused() >= 60, 'many refusals');
    await frontEnd.stop();
    const after = await steady();
    // The two folder watches have closed again; Node keeps its one inotify descriptor.
    assert.ok(after.descriptors <= before.descriptors + 1);
    assert.deepEqual({ ...after, descriptors: 0 }, { ...before, descriptors: 0 });
  } finally {
    await node.close();
  }
});

test.run();
