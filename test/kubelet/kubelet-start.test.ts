/** That another kubelet runs is noticed, also on a node that offers it nothing. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { eventually } from '../standins/eventually.ts';
import { testNode } from './node.ts';

test('each start of kubelet is told once, with pools and without', async () => {
  for (const specs of [undefined, []]) {
    const node = await testNode(specs === undefined ? {} : { specs });
    try {
      const frontEnd = node.frontEnd();
      let starts = 0;
      const end = frontEnd.onKubeletStart(() => {
        starts += 1;
      });
      await frontEnd.start();
      const told = (count: number) =>
        eventually(
          () => assert.equal(starts, count),
          5000,
          () => `start ${count} of kubelet`,
        );
      await node.kubelet.restart();
      await told(1);
      await node.kubelet.stop();
      await node.kubelet.start();
      await told(2);
      end();
      await node.kubelet.restart();
      await node.kubelet.restart();
      assert.equal(starts, 2);
    } finally {
      await node.close();
    }
  }
});

test.run();
