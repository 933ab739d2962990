/** GUIDs of InfiniBand VFs, and RDMA devices that move with their netdevs. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { MacAddress } from '../../../src/engine/values.ts';
import { createPodNode, type PodNode, vf } from '../../standins/attachment-node.ts';
import { linkOf, settingsOf, type WorldVf } from '../../standins/fake-world.ts';

const test = suite('InfiniBand');

const OLD = '02:00:00:00:00:00:00:01';
const NEW = '02:00:00:00:00:00:00:99';
const UNSET = '00:00:00:00:00:00:00:00';
const ANY = 'ff:ff:ff:ff:ff:ff:ff:ff';

function address(guid: string): MacAddress {
  return `00:00:01:07:fe:80:00:00:00:00:00:00:${guid}` as MacAddress;
}

/** VF 1 on an InfiniBand PF. */
function onInfiniband(node: PodNode, guid = OLD): WorldVf {
  const device = node.device(1);
  linkOf(device).mac = address(guid);
  Object.assign(settingsOf(device), { nodeGuid: guid, portGuid: guid });
  return device;
}

function withRdma(node: PodNode, mode: 'shared' | 'exclusive' | undefined): WorldVf {
  const device = node.device(1);
  node.world.rdmaMode = mode;
  node.world.rdma.set('mlx5_3', { pci: device.address, at: node.world.host });
  return device;
}

async function reasonOf(work: Promise<unknown>): Promise<string> {
  return toBerthError(await work.catch((error: unknown) => error)).reason;
}

test('a GUID is set on the PF, taken over by the netdev, and given back', async () => {
  const node = createPodNode();
  const device = onInfiniband(node);
  const name = linkOf(device).name;
  const result = await node.attach('c1', vf(device, { guid: NEW }));
  assert.equal([settingsOf(device).nodeGuid, settingsOf(device).portGuid], [NEW, NEW]);
  assert.ok(result.mac?.endsWith(NEW));
  await node.detach('c1');
  assert.equal([settingsOf(device).nodeGuid, settingsOf(device).portGuid], [OLD, OLD]);
  assert.equal([linkOf(device).name, linkOf(device).mac?.slice(-23)], [name, OLD]);
  assert.equal(node.engine.list(), []);
});

test('a VF that had none is left with what stands for any', async () => {
  const node = createPodNode();
  const device = onInfiniband(node, UNSET);
  await node.attach('c1', vf(device, { guid: NEW }));
  await node.detach('c1');
  assert.is(settingsOf(device).portGuid, ANY);
});

test('a GUID that it has already needs no new netdev', async () => {
  const node = createPodNode();
  const device = onInfiniband(node, NEW);
  const link = linkOf(device);
  await node.attach('c1', vf(device, { guid: NEW }));
  assert.is(linkOf(device), link);
});

test('a VF without a GUID is refused when none is asked for', async () => {
  const node = createPodNode();
  assert.is(await reasonOf(node.attach('c1', vf(onInfiniband(node, UNSET)))), 'guid-missing');
  assert.is(await reasonOf(node.attach('c2', vf(onInfiniband(node, ANY)))), 'guid-missing');
  assert.is(await reasonOf(node.attach('c3', vf(onInfiniband(node), { guid: ANY }))), 'guid-invalid');
});

test('killed between unbinding and binding, the VF gets its driver back', async () => {
  const node = createPodNode();
  const device = onInfiniband(node);
  let stopped = false;
  const killed = new Promise<void>((resolve) => {
    node.kernel.intercept((step) => {
      if (stopped) return new Promise<void>(() => undefined);
      if (step.what !== 'rebind') return undefined;
      stopped = true;
      const link = linkOf(device);
      node.world.host.links.delete(link.index);
      delete (device as { driver?: string }).driver;
      delete device.link;
      resolve();
      return new Promise<void>(() => undefined);
    });
  });
  node.attach('c1', vf(device, { guid: NEW })).catch(() => undefined);
  await killed;
  const report = await node.restart().recover();
  assert.equal(report.stuck, []);
  assert.equal([device.driver, settingsOf(device).portGuid], ['igbvf', OLD]);
});

for (const rdma of ['required', 'where-exclusive'] as const) {
  test(`in exclusive mode the RDMA device goes along and comes back (${rdma})`, async () => {
    const node = createPodNode();
    const device = withRdma(node, 'exclusive');
    await node.attach('c1', vf(device, { rdma }));
    assert.is(node.world.rdma.get('mlx5_3')?.at, node.world.paths.get('/run/netns/c1'));
    await node.detach('c1');
    assert.is(node.world.rdma.get('mlx5_3')?.at, node.world.host);
  });
}

test('from a sandbox that died the kernel brings it home', async () => {
  const node = createPodNode();
  await node.attach('c1', vf(withRdma(node, 'exclusive'), { rdma: 'required' }));
  const nsid = node.world.destroySandbox('/run/netns/c1');
  await node.engine.onNamespaceGone(nsid as number);
  assert.equal(node.engine.list(), []);
  assert.is(node.world.rdma.get('mlx5_3')?.at, node.world.host);
});

test('where all share all it stays, unless that is refused', async () => {
  for (const mode of ['shared', undefined] as const) {
    const node = createPodNode();
    const device = withRdma(node, mode);
    assert.is(await reasonOf(node.attach('c1', vf(device, { rdma: 'required' }))), 'rdma-not-exclusive');
    await node.attach('c2', vf(device, { rdma: 'where-exclusive' }));
    assert.is(node.world.rdma.get('mlx5_3')?.at, node.world.host);
  }
});

test('isolation of a VF without an RDMA device is refused', async () => {
  const node = createPodNode();
  node.world.rdmaMode = 'exclusive';
  assert.is(await reasonOf(node.attach('c1', vf(node.device(1), { rdma: 'required' }))), 'rdma-device-gone');
});

test('CHECK sees that the RDMA device has left', async () => {
  const node = createPodNode();
  const device = withRdma(node, 'exclusive');
  const result = await node.attach('c1', vf(device, { rdma: 'required' }));
  const moved = node.world.rdma.get('mlx5_3');
  assert.ok(moved);
  moved.at = node.world.host;
  const key = node.engine.list()[0];
  const sandbox = node.openSandbox('c1');
  const failure = toBerthError(
    await node.engine
      .check(
        { key, sandbox, link: vf(device, { rdma: 'required' }), expected: result } as never,
        {
          requestId: 'r',
          signal: new AbortController().signal,
        } as never,
      )
      .catch((error: unknown) => error),
  );
  sandbox.close();
  assert.match(failure.message, /RDMA device mlx5_3 is not in the sandbox/);
});

test.run();
