/** What differs between two states of a cluster, and what keeps its identity. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import {
  type ClusterDocument,
  type ClusterNode,
  clusterChange,
  type SparseDevice,
  shareNode,
} from '../../../src/engine/cluster/document.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';

const NIC = parsePciAddress('0000:10:00.0');
const VF0 = parsePciAddress('0000:10:02.0');
const VF1 = parsePciAddress('0000:10:02.1');

function node(name: string, devices: readonly SparseDevice[], damage: readonly string[] = []): ClusterNode {
  return {
    facts: { name, node: {}, resources: [], conditions: [], findings: [], findingsTotal: 0, alsoWrittenBy: [], damage },
    devices: new Map(devices.map((device) => [device.address, device])),
  };
}

const nic: SparseDevice = { address: NIC, state: 'unused' };
const vf = (address: typeof VF0, index: number, state: SparseDevice['state'] = 'free'): SparseDevice => ({
  address,
  index,
  pf: NIC,
  state,
});

function cluster(nodes: readonly ClusterNode[], changes: Partial<ClusterDocument> = {}): ClusterDocument {
  return {
    identity: { context: 'test', server: 'https://192.0.2.1' },
    connection: { state: 'live', since: '2026-01-01T00:00:00Z' },
    nodes: new Map(nodes.map((each) => [each.facts.name, each])),
    nameless: 0,
    ...changes,
  };
}

test('a node that is as before is the same object, whoever read it', () => {
  const before = node('a', [nic, vf(VF0, 0)]);
  assert.equal(shareNode(before, node('a', [nic, vf(VF0, 0)])), before);
});

test('of a node that changed only what changed is another object', () => {
  const before = node('a', [nic, vf(VF0, 0), vf(VF1, 1)]);
  const after = shareNode(before, node('a', [nic, vf(VF0, 0, 'taken'), vf(VF1, 1)]));
  assert.notEqual(after, before);
  assert.equal(after.facts, before.facts);
  assert.equal(after.devices.get(VF1), before.devices.get(VF1));
  assert.equal(after.devices.get(VF0)?.state, 'taken');
});

test('facts may change while the devices stay', () => {
  const before = node('a', [nic]);
  const after = shareNode(before, node('a', [nic], ['status.x is odd']));
  assert.equal(after.devices, before.devices);
  assert.deepEqual(after.facts.damage, ['status.x is odd']);
});

test('a change names the devices that are other, and what is gone', () => {
  const before = cluster([node('a', [nic, vf(VF0, 0), vf(VF1, 1)]), node('b', [])]);
  const [a] = before.nodes.values();
  const after = cluster([shareNode(a, node('a', [nic, vf(VF0, 0, 'taken')]))]);
  assert.deepEqual(clusterChange(before, after), {
    nodes: { a: { devices: { [VF0]: vf(VF0, 0, 'taken'), [VF1]: null } }, b: null },
  });
});

test('a new node is told whole', () => {
  const added = node('b', [nic]);
  assert.deepEqual(clusterChange(cluster([]), cluster([added])), {
    nodes: { b: { facts: added.facts, devices: { [NIC]: nic } } },
  });
});

test('a new node without devices is told, too', () => {
  const added = node('b', []);
  assert.deepEqual(clusterChange(cluster([]), cluster([added])), { nodes: { b: { facts: added.facts } } });
});

test('the connection and the objects without a name are told when they change, alone', () => {
  const before = cluster([]);
  const connection = { state: 'lost', since: '2026-01-01T00:01:00Z' } as const;
  assert.deepEqual(clusterChange(before, cluster([], { connection })), { connection });
  assert.deepEqual(clusterChange(before, cluster([], { nameless: 2 })), { nameless: 2 });
});

test('what is the same is no change', () => {
  assert.equal(clusterChange(cluster([node('a', [])]), cluster([])) === undefined, false);
  const one = cluster([]);
  assert.equal(clusterChange(one, cluster([])), undefined);
  assert.equal(clusterChange(one, one), undefined);
});

test.run();
