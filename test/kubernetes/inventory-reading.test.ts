/** What becomes of an object of a node: what the agent wrote comes back, and nothing else does harm. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'uvu';
import type { ClusterNode } from '../../src/engine/cluster/document.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import { readInventoryObject } from '../../src/kubernetes/inventory-reading.ts';
import { inventoryNamed } from './inventories.ts';

const VF = parsePciAddress('0000:10:02.1');
const OWNER = { pod: 'shop/web-0', containerId: 'c'.repeat(64), ifname: 'net1', since: '2026-01-01T00:00:00Z' };
const written = await inventoryNamed('worker-1', { numaNodes: 2, pfs: [{ vfs: 2, driver: 'igb' }] }, { [VF]: OWNER });

/** Changed by a person: `change` is given a copy of it. */
function edited(change: (object: { metadata: Fields; status: Fields }) => void): ClusterNode {
  const copy = structuredClone(written) as unknown as { metadata: Fields; status: Fields };
  change(copy);
  const node = readInventoryObject(copy);
  assert.ok(node);
  return node;
}

// biome-ignore lint/suspicious/noExplicitAny: what a person types has no type
type Fields = Record<string, any>;

test('what the agent wrote is read whole, without a word of damage', () => {
  const { devices, facts } = edited(() => undefined);
  assert.deepEqual(facts.damage, []);
  assert.equal(facts.name, 'worker-1');
  assert.deepEqual([...devices.keys()], ['0000:10:00.0', '0000:10:02.0', '0000:10:02.1']);
  const taken = devices.get(VF);
  assert.deepEqual([taken?.state, taken?.owner], ['taken', { pod: 'shop/web-0', ifname: 'net1' }]);
  assert.match(taken?.netdev?.mac ?? '', /^02:/);
  const [nic] = devices.values();
  assert.ok(nic && !('pf' in nic));
  assert.deepEqual(nic.sriov, { totalVfs: 128, numVfs: 2 });
  assert.equal(nic.driver, 'igb');
  assert.equal(nic.netdev?.adminUp, true);
  assert.equal(facts.resources[0]?.name, 'berth.dev/vf');
  assert.equal(facts.conditions.find(({ type }) => type === 'Ready')?.status, 'True');
  assert.equal(facts.findingsTotal, facts.findings.length);
});

test('scalable functions are read with their NIC, and lie below it when nothing else is said', () => {
  const { devices, facts } = edited(({ status }) => {
    status.nics[0].scalable = [
      { name: 'mlx5_core.sf.4', sfnum: 88, state: 'taken', pod: 'shop/sf-0', resource: 'berth.dev/sf' },
      { name: 'mlx5_core.sf.5', sfnum: 89, state: 'unused', parent: VF },
    ];
  });
  assert.deepEqual(facts.damage, []);
  const [nic] = devices.values();
  assert.deepEqual(nic !== undefined && 'scalable' in nic ? nic.scalable : undefined, [
    {
      name: 'mlx5_core.sf.4',
      sfnum: 88,
      parent: '0000:10:00.0',
      state: 'taken',
      pool: 'berth.dev/sf',
      owner: { pod: 'shop/sf-0' },
    },
    { name: 'mlx5_core.sf.5', sfnum: 89, parent: VF, state: 'unused' },
  ]);
});

for (const [what, change, damage] of [
  [
    'a status that is text',
    (object) => Object.assign(object, { status: 'gone' }),
    /^status is a string, not an object$/,
  ],
  [
    'no status',
    (object) => Reflect.deleteProperty(object, 'status'),
    /^status is missing: no agent has written it yet$/,
  ],
  ['NICs that are no list', ({ status }) => (status.nics = { a: 1 }), /^status.nics is an object, not a list$/],
  ['a NIC that is none', ({ status }) => status.nics.push(7), /^status.nics\[1\] is a number, not an object$/],
  [
    'a NIC without an address',
    ({ status }) => status.nics.push({ state: 'free' }),
    /^status.nics\[1\].address is missing$/,
  ],
  [
    'an address that is none',
    ({ status }) => status.nics.push({ address: '__proto__', state: 'free' }),
    /address is "__proto__"$/,
  ],
  [
    'the same address twice',
    ({ status }) => status.nics.push({ ...status.nics[0], vfs: [] }),
    /^status.nics\[1\].address 0000:10:00.0 is there twice$/,
  ],
  [
    'a state that is none',
    ({ status }) => (status.nics[0].vfs[0].state = 'mine'),
    /vfs\[0\].state is none of taken, broken, free, unused$/,
  ],
  [
    'a speed that is text',
    ({ status }) => (status.nics[0].speedMbps = 'fast'),
    /speedMbps is a string, not a whole number from 0$/,
  ],
  [
    'a scalable function whose name is none',
    ({ status }) => (status.nics[0].scalable = [{ name: 'sf4', sfnum: 4, state: 'free' }]),
    /^status.nics\[0\].scalable\[0\].name is "sf4"$/,
  ],
  [
    'a scalable function without its number',
    ({ status }) => (status.nics[0].scalable = [{ name: 'mlx5_core.sf.4', state: 'free' }]),
    /^status.nics\[0\].scalable\[0\].sfnum is missing$/,
  ],
  [
    'a scalable function twice',
    ({ status }) => {
      const sf = { name: 'mlx5_core.sf.4', sfnum: 4, state: 'free' };
      status.nics[0].scalable = [sf, sf];
    },
    /^status.nics\[0\].scalable\[1\].name mlx5_core.sf.4 is there twice$/,
  ],
  ['an MTU below 0', ({ status }) => (status.nics[0].mtu = -1), /mtu is a number, not a whole number from 0$/],
  ['up that is text', ({ status }) => (status.nics[0].up = 'yes'), /up is a string, not true or false$/],
  ['a MAC that is none', ({ status }) => (status.nics[0].mac = 'zz'), /mac is "zz"$/],
  [
    'a VF without an index',
    ({ status }) => Reflect.deleteProperty(status.nics[0].vfs[0], 'index'),
    /vfs\[0\].index is missing$/,
  ],
  [
    'a finding that nobody weighs so',
    ({ status }) => status.findings.push({ id: 'x', severity: 'dire', subject: 'y' }),
    /severity is none of error, warning, info$/,
  ],
  [
    'a condition without a type',
    ({ status }) => status.conditions.push({ status: 'True' }),
    /conditions\[5\].type is missing$/,
  ],
  [
    'another version of the API',
    (object) => Object.assign(object, { apiVersion: 'berth.dev/v2' }),
    /^apiVersion is "berth.dev\/v2"$/,
  ],
] as readonly (readonly [string, (object: { metadata: Fields; status: Fields }) => unknown, RegExp])[]) {
  test(`${what} is named, and the rest is shown`, () => {
    const { facts } = edited((object) => void change(object));
    assert.equal(facts.damage.length, 1, facts.damage.join('\n'));
    assert.match(facts.damage[0] ?? '', damage);
    assert.equal(facts.name, 'worker-1');
  });
}

test('a device whose state cannot be read looks broken, not free', () => {
  const { devices } = edited(({ status }) => (status.nics[0].vfs[0].state = 'mine'));
  assert.equal(devices.get(parsePciAddress('0000:10:02.0'))?.state, 'broken');
});

test('the first ten faults are named, the others counted', () => {
  const { facts } = edited(({ status }) => (status.nics = Array.from({ length: 30 }, () => 'x')));
  assert.equal(facts.damage.length, 11);
  assert.equal(facts.damage[10], 'and 20 more');
});

test('text without end is cut off', () => {
  const { facts } = edited(({ status }) => (status.agentVersion = 'x'.repeat(100_000)));
  assert.equal(facts.agentVersion?.length, 1000);
});

for (const name of [undefined, 7, '', 'Worker', '../x', '<b>', '__proto__', 'x'.repeat(254)]) {
  test(`an object named ${JSON.stringify(name)?.slice(0, 20)} is none of a node`, () => {
    const object = { ...structuredClone(written), metadata: { name } };
    assert.equal(readInventoryObject(object), undefined);
  });
}

for (const value of [undefined, null, 'x', 7, [], {}]) {
  test(`${JSON.stringify(value)} is no object of a node`, () => {
    assert.equal(readInventoryObject(value), undefined);
  });
}

test('who else wrote to it is told, newest first, and when the agent did', () => {
  const managedFields = [
    { manager: 'berth', operation: 'Apply', time: '2026-01-01T10:00:00Z', fieldsV1: { 'f:status': {} } },
    { manager: 'kubectl-edit', operation: 'Update', time: '2026-01-01T11:00:00Z', fieldsV1: { 'f:status': {} } },
    { manager: 'argocd', operation: 'Update', time: '2026-01-01T12:00:00Z', fieldsV1: { 'f:status': {} } },
    { manager: 'labeller', operation: 'Update', time: '2026-01-01T13:00:00Z', fieldsV1: { 'f:metadata': {} } },
    { manager: 7, time: 'x', fieldsV1: { 'f:status': {} } },
    'nothing',
  ];
  const { facts } = edited(({ metadata }) => (metadata.managedFields = managedFields));
  assert.equal(facts.writtenAt, '2026-01-01T10:00:00Z');
  assert.deepEqual(facts.alsoWrittenBy, [
    { manager: 'argocd', at: '2026-01-01T12:00:00Z' },
    { manager: 'kubectl-edit', at: '2026-01-01T11:00:00Z' },
  ]);
});

test('no JSON at all makes it throw', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      readInventoryObject(value);
      readInventoryObject({ metadata: { name: 'n' }, status: value });
      readInventoryObject({
        metadata: { name: 'n', managedFields: value },
        status: { nics: value, findings: [value] },
      });
    }),
    { numRuns: 300 },
  );
});

test('any one field of it may be anything', () => {
  const paths = pathsOf(written);
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.jsonValue(), (path, value) => {
      const copy = structuredClone(written);
      const last = path.at(-1) ?? '';
      const holder = path.slice(0, -1).reduce((at, key) => (at as Fields)[key] as unknown, copy as unknown) as Fields;
      holder[last] = value;
      const node = readInventoryObject(copy);
      if (path[0] !== 'metadata') assert.equal(node?.facts.name, 'worker-1');
    }),
    { numRuns: 500 },
  );
});

function pathsOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [path];
  const inner = Object.entries(value).flatMap(([key, part]) => pathsOf(part, [...path, key]));
  return path.length === 0 ? inner : [path, ...inner];
}

test.run();
