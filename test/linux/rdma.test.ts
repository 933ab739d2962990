/** The RDMA port where the kernel has no such subsystem: nothing is asked over netlink, which would load it. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { createKernel } from '../../src/linux/kernel.ts';
import type { KernelNamespace } from '../../src/linux/netns/namespace.ts';
import { createRdma } from '../../src/linux/rdma.ts';

test('there is no mode, and no device anywhere', async () => {
  const kernel = createKernel({ pciFunction: async () => undefined });
  try {
    const rdma = createRdma(kernel.host as KernelNamespace, '/nonexistent/infiniband');
    assert.deepEqual([await rdma.mode(), await rdma.has(kernel.host, 'mlx5_0')], [undefined, false]);
  } finally {
    kernel.close();
  }
});

test.run();
