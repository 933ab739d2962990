import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { DeviceUse } from '../../../src/engine/attachments/device-policy.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import { evaluate } from '../../../src/engine/pools/evaluate.ts';
import type { Plan } from '../../../src/engine/pools/model.ts';
import { createTenancy, type TenancySources } from '../../../src/engine/pools/tenancy.ts';
import { createPodNode, macvlan, vf as vfLink } from '../../standins/attachment-node.ts';
import { ManualClock } from '../../standins/manual-clock.ts';
import { context, nic, slotSpec, vf, vfSpec } from './build.ts';

const specs = [
  vfSpec({
    resource: 'berth.dev/a',
    namespaces: ['team-a'],
    selectors: [{ pfNames: [{ pf: 'eth0', ranges: [[0, 0]] }] }],
  }),
  vfSpec({ resource: 'berth.dev/all', selectors: [{}] }),
  slotSpec('macvlan', { resource: 'berth.dev/macvlan', namespaces: ['team-a', 'team-b'] }),
  slotSpec('ipvlan', { resource: 'berth.dev/ipvlan' }),
];
const plan = evaluate(specs, context([nic('eth0', [vf(0), vf(1)])]));

function sourcesOf(of: Plan): TenancySources {
  return { specs: () => of.pools.map(({ spec }) => spec), plan: () => of, clock: new ManualClock() };
}

const podOf = (namespace: string) => ({ pod: { namespace, name: 'web' } });

const cases: readonly (readonly [string, DeviceUse, string | undefined])[] = [
  ['a VF from the right namespace', { kind: 'vf', device: '0000:41:10.0', ...podOf('team-a') }, undefined],
  ['a VF from another', { kind: 'vf', device: '0000:41:10.0', ...podOf('team-b') }, 'berth.dev/a'],
  ['a VF for nobody', { kind: 'vf', device: '0000:41:10.0' }, 'berth.dev/a'],
  ['a VF of a pool for all', { kind: 'vf', device: '0000:41:10.1', ...podOf('team-z') }, undefined],
  ['a VF of no pool', { kind: 'vf', device: '0000:99:10.1', ...podOf('team-z') }, undefined],
  [
    'a slot from the right namespace',
    { kind: 'macvlan', device: 'eth0', slot: 'eth0-1', ...podOf('team-b') },
    undefined,
  ],
  ['a slot from another', { kind: 'macvlan', device: 'eth0', slot: 'eth0-1', ...podOf('team-z') }, 'berth.dev/macvlan'],
  ['the uplink without a slot', { kind: 'macvlan', device: 'eth0', ...podOf('team-z') }, 'berth.dev/macvlan'],
  ['the uplink for the other kind', { kind: 'ipvlan', device: 'eth0', slot: 'eth0-1', ...podOf('team-z') }, undefined],
];

for (const [name, use, refusedBy] of cases) {
  test(`${name} is ${refusedBy === undefined ? 'admitted' : 'refused'}`, () => {
    const tenancy = createTenancy(sourcesOf(plan));
    if (refusedBy === undefined) {
      tenancy.admit(use);
      assert.deepEqual([...tenancy.refusals()], []);
      return;
    }
    assert.throws(
      () => tenancy.admit(use),
      (thrown) => {
        const { code, reason, message } = toBerthError(thrown);
        assert.deepEqual([code, reason], ['Denied', 'namespace-not-allowed']);
        assert.match(message, new RegExp(`of ${refusedBy}, which is for the namespaces team-a`));
        return true;
      },
    );
    const refused = tenancy.refusals().get(refusedBy);
    assert.equal(refused?.count, 1);
    assert.equal(refused.lastPod, use.pod === undefined ? 'unknown' : `${use.pod.namespace}/web`);
    assert.match(refused.lastAt, /^2026-01-01T/);
  });
}

test('where no pool is limited, or none for the pod, the pools are not evaluated for an ADD', () => {
  const sources = { ...sourcesOf(plan), plan: () => assert.fail('the plan was asked for') };
  createTenancy({ ...sources, specs: () => [slotSpec('ipvlan')] }).admit({ kind: 'ipvlan', device: 'eth0' });
  createTenancy(sources).admit({ kind: 'vf', device: '0000:41:10.0', ...podOf('team-a') });
});

test('refusals are counted, and the last pod is remembered', () => {
  const tenancy = createTenancy(sourcesOf(plan));
  for (const namespace of ['x', 'y']) {
    assert.throws(() => tenancy.admit({ kind: 'vf', device: '0000:41:10.0', ...podOf(namespace) }));
  }
  const refusals = tenancy.refusals().get('berth.dev/a');
  assert.deepEqual([refusals?.count, refusals?.lastPod], [2, 'y/web']);
});

test('an ADD that is refused leaves the node as it was, and the right namespace gets the device', async () => {
  const node = createPodNode();
  const device = node.device(1);
  const pools = [
    vfSpec({ resource: 'berth.dev/a', namespaces: ['team-a'] }),
    slotSpec('macvlan', { resource: 'berth.dev/macvlan', namespaces: ['team-a'] }),
  ];
  const ofTheNode = evaluate(pools, context([nic('eth0', [{ ...vf(0), address: device.address }])]));
  node.policy = createTenancy(sourcesOf(ofTheNode));
  node.world.addSandbox('/run/netns/c1');
  const before = node.snapshot();
  for (const link of [vfLink(device), macvlan({ uplink: 'eth0' }), macvlan({ uplink: 'eth0', slot: 'eth0-1' })]) {
    await assert.rejects(node.attach('c1', link, podOf('team-b')), { reason: 'namespace-not-allowed' });
    await assert.rejects(node.attach('c1', link), { reason: 'namespace-not-allowed' });
  }
  assert.equal(node.snapshot(), before);
  assert.deepEqual(node.engine.list(), []);
  assert.equal((await node.attach('c1', vfLink(device), podOf('team-a'))).pci, device.address);
});

test.run();
