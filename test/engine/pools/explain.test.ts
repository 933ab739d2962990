import assert from 'node:assert/strict';
import { test } from 'uvu';
import { explain } from '../../../src/engine/pools/explain.ts';
import { zeroConfigPools } from '../../../src/engine/pools/zero-config.ts';
import { parseMacAddress, parsePciAddress } from '../../../src/engine/values.ts';
import { away, context, nic, slotSpec, vf, vfio, vfSpec, virtual } from './build.ts';

const specs = zeroConfigPools();
const node = context(
  [nic('eth0', [vf(0), vfio(1)], {}, { altnames: ['enp65s0f0'], defaultRoute: true })],
  [virtual('veth', 'veth0')],
);

for (const name of ['0000:41:00.0', '41:00.0', 'eth0', 'enp65s0f0', 'eth0-17']) {
  test(`the NIC answers to ${name}`, () => assert.equal(explain(specs, node, name)?.device, '0000:41:00.0'));
}
for (const name of ['0000:41:10.0', '41:10.0', 'v41n0']) {
  test(`the VF answers to ${name}`, () => assert.equal(explain(specs, node, name)?.device, '0000:41:10.0'));
}

test('a device says what else it answers to', () => {
  const serial = context([
    nic('eth0', [vf(0)], { serial: 'MT42' }, { permanentMac: parseMacAddress('3c:fd:fe:00:00:01') }),
  ]);
  assert.deepEqual(explain(specs, serial, 'MT42#0')?.names, [
    '0000:41:00.0#0',
    'eth0#0',
    '3c:fd:fe:00:00:01#0',
    'MT42@0#0',
  ]);
  assert.deepEqual(explain(specs, serial, 'MT42')?.names, ['3c:fd:fe:00:00:01', 'MT42@0']);
  assert.equal(explain(specs, node, 'veth0')?.names, undefined);
});

test('a name that nothing has is explained by nothing', () => {
  assert.equal(explain(specs, node, 'eth7'), undefined);
  assert.equal(explain(specs, node, '0000:99:00.0'), undefined);
});

test('a VF is told the verdict of every pool', () => {
  const { verdicts, what, offered } = explain(specs, node, '41:10.0') ?? {};
  assert.equal(what, 'VF 0 of eth0');
  assert.deepEqual(offered, [{ resource: 'berth.dev/vf', healthy: true }]);
  assert.deepEqual(verdicts, [
    { resource: 'berth.dev/vf', takes: true, why: 'an idle VF of driver igbvf' },
    { resource: 'berth.dev/vf-vfio', takes: false, why: 'drivers: igbvf is not in [vfio-pci]' },
    {
      resource: 'berth.dev/macvlan',
      takes: false,
      why: 'v41n0 is a VF, which is given away whole; name it to use it as an uplink',
    },
    {
      resource: 'berth.dev/ipvlan',
      takes: false,
      why: 'v41n0 is a VF, which is given away whole; name it to use it as an uplink',
    },
  ]);
});

test('a NIC that carries the node says so, and what it may carry all the same', () => {
  const { verdicts = [], carriesNode, offered } = explain(specs, node, 'eth0') ?? {};
  assert.equal(carriesNode, 'carries a default route');
  assert.deepEqual(offered, [{ resource: 'berth.dev/macvlan', healthy: true, slots: 100 }]);
  assert.deepEqual(
    verdicts.map((verdict) => verdict.takes),
    [false, false, true, false],
  );
  assert.equal(verdicts[0]?.why, 'eth0 is not a VF; only its VFs can be in this pool');
  assert.match(verdicts[3]?.why ?? '', /it carries a default route/);
});

test('a veth is told that it has to be named', () => {
  const { verdicts = [], kind } = explain(specs, node, 'veth0') ?? {};
  assert.equal(kind, 'virtual');
  assert.equal(verdicts[2]?.why, 'veth0 is a veth link, not a NIC, bond or VLAN; name it to use it as an uplink');
});

test('a pool that comes second says who was first', () => {
  const both = [vfSpec({ resource: 'berth.dev/a' }), vfSpec({ resource: 'berth.dev/b' })];
  const { verdicts = [] } = explain(both, node, '41:10.0') ?? {};
  assert.deepEqual(verdicts[1], {
    resource: 'berth.dev/b',
    takes: false,
    why: 'berth.dev/a has it; otherwise it would be here: the pool takes every VF',
  });
});

test('a device that is offered and unhealthy says why', () => {
  const down = context([nic('eth0', [], {}, { adminUp: false })]);
  const { verdicts = [] } = explain([slotSpec('macvlan')], down, 'eth0') ?? {};
  assert.equal(verdicts[0]?.why, 'eth0 may be shared; unhealthy: eth0 is down; "ip link set eth0 up" brings it up');
});

test('a VF in a pod is explained without its network device', () => {
  const held = new Map([[parsePciAddress('0000:41:10.0'), { resource: 'berth.dev/vf' }]]);
  const { verdicts = [] } =
    explain(specs, context([nic('eth0', [away(0)])], [], { heldDevices: held }), '41:10.0') ?? {};
  assert.deepEqual(verdicts[0], { resource: 'berth.dev/vf', takes: true, why: 'a VF of driver igbvf, in a pod' });
  assert.equal(verdicts[2]?.why, 'it has no network device on the node');
});

test.run();
