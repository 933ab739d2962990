/**
 * What of InfiniBand and RDMA the lab's kernel can show without such a NIC: a VF's driver bound anew,
 * a GUID refused by a driver that has none, and the RDMA subsystem's mode and devices (rdma_rxe).
 */
import { execFileSync } from 'node:child_process';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { hasSriov, requireFeature } from '../../runner/features.ts';
import { eventually } from '../../standins/eventually.ts';
import { createLabNode, type LabNode } from './vf-node.ts';

const PF = 'eth1';
const test = suite<{ node: LabNode }>('InfiniBand and RDMA', { node: undefined as never });

function run(command: string, ...words: readonly string[]): string {
  return execFileSync(command, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

if (requireFeature('SR-IOV', hasSriov())) {
  test.before.each(async (context) => {
    context.node = await createLabNode(PF, 1);
  });
  test.after.each((context) => context.node.remove());

  test('a VF whose driver is bound anew has another netdev', async ({ node }) => {
    const [address] = node.vfs;
    assert.ok(address);
    const before = await node.kernel.pciFunction(address);
    const index = (await node.kernel.host.link({ name: before?.ifname ?? '' }))?.index;
    await node.kernel.rebind(address, before?.driver ?? '');
    await eventually(
      async () => {
        const after = await node.kernel.pciFunction(address);
        const link = await node.kernel.host.link({ name: after?.ifname ?? '' });
        assert.ok(link);
        assert.is.not(link.index, index);
        assert.equal([after?.driver, after?.incarnation], [before?.driver, before?.incarnation]);
      },
      20_000,
      () => 'the netdev of the VF',
    );
  });

  test('a driver without GUIDs refuses one, and nothing stays', async ({ node }) => {
    const [device] = node.vfs;
    assert.ok(device);
    const before = node.baseline();
    const failure = await node.refusal('a', { kind: 'vf', device, guid: '02:00:00:00:00:00:00:99' });
    assert.is(failure.reason, 'vf-setting-refused');
    assert.match(failure.message, 'EOPNOTSUPP');
    assert.is(node.baseline(), before);
  });

  test('the mode of the RDMA subsystem and its devices are seen', async ({ node }) => {
    run('modprobe', 'rdma_rxe');
    run('rdma', 'link', 'add', 'rxe0', 'type', 'rxe', 'netdev', PF);
    const { rdma, host } = node.kernel;
    assert.is(await rdma.mode(), /netns shared/.test(run('rdma', 'system')) ? 'shared' : 'exclusive');
    assert.equal([await rdma.has(host, 'rxe0'), await rdma.has(host, 'rxe1')], [true, false]);
    run('rdma', 'link', 'delete', 'rxe0');
    assert.not(await rdma.has(host, 'rxe0'));
  });
}

test.run();
