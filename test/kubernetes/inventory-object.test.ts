/** The object that stands for a node in the cluster, and the definition that the cluster has of it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import { parse } from 'yaml';
import { parseMacAddress } from '../../src/engine/values.ts';
import { conditionsOf } from '../../src/kubernetes/conditions.ts';
import { inventoryObject } from '../../src/kubernetes/inventory-object.ts';
import type { TreeSpec } from '../trees/generate.ts';
import { healthyStatus, inventoryOf, NODE, viewOf } from './node.ts';

const CRD = `${import.meta.dirname}/../../deploy/components/cluster-inventory/crd.yaml`;
const NOW = new Date('2026-01-02T03:04:05.678Z');

const RICH: TreeSpec = {
  numaNodes: 2,
  pfs: [
    { address: '0000:10:00.0', vfs: 4, ptp: 0, pcie: { now: [8, 4], best: [8, 8], slot: [8, 8] } },
    { address: '0000:90:00.0', ifname: null, driver: 'vfio-pci', totalVfs: 0, numaNode: 1 },
  ],
  virtual: [],
};

interface Schema {
  readonly type: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly enum?: readonly string[];
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
}

/** What the API server would refuse, or drop without a word because the schema does not name it. */
function misfits(value: unknown, schema: Schema, path: string): readonly string[] {
  switch (schema.type) {
    case 'object': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return [`${path} is no object`];
      // A schema without properties is `metadata`, which the API server knows itself.
      if (schema.properties === undefined) return [];
      const missing = (schema.required ?? [])
        .filter((key) => !(key in value))
        .map((key) => `${path}.${key} is missing`);
      const inner = Object.entries(value).flatMap(([key, each]) => {
        const of = schema.properties?.[key];
        return of === undefined ? [`${path}.${key} would be dropped`] : misfits(each, of, `${path}.${key}`);
      });
      return [...missing, ...inner];
    }
    case 'array': {
      if (!Array.isArray(value) || schema.items === undefined) return [`${path} is no list`];
      const keys = schema['x-kubernetes-list-map-keys'] ?? [];
      const ids = value.map((item) => keys.map((key) => String((item as Record<string, unknown>)[key])).join('/'));
      const twice = keys.length > 0 && new Set(ids).size < ids.length ? [`${path} has an entry twice`] : [];
      return [...twice, ...value.flatMap((item, i) => misfits(item, schema.items as Schema, `${path}[${i}]`))];
    }
    case 'integer':
      return Number.isInteger(value) ? [] : [`${path} is ${String(value)}`];
    case 'string':
      if (typeof value !== 'string') return [`${path} is no text`];
      return schema.enum === undefined || schema.enum.includes(value) ? [] : [`${path} is ${value}`];
    default:
      return typeof value === schema.type ? [] : [`${path} is no ${schema.type}`];
  }
}

function versionOfDefinition(): {
  readonly name: string;
  readonly schema: Schema;
  readonly columns: readonly string[];
} {
  const [version] = parse(readFileSync(CRD, 'utf8')).spec.versions;
  return {
    name: version.name,
    schema: version.schema.openAPIV3Schema,
    columns: version.additionalPrinterColumns.map(({ jsonPath }: { jsonPath: string }) => jsonPath),
  };
}

async function richObject() {
  const inventory = await inventoryOf(RICH);
  const owner = { pod: 'shop/web-0', containerId: 'c1', ifname: 'net1', since: NOW.toISOString() };
  const view = viewOf(inventory, { '0000:10:02.0': owner, '0000:10:01.0': owner });
  const status = healthyStatus({
    resources: [
      { resource: 'berth.dev/vf', devices: 4, healthy: 3, reasons: ['its PF eth0 is down'], registered: true },
    ],
  });
  return inventoryObject(view, status, conditionsOf(status, [], NOW));
}

test('everything in it is in the definition, with the right type', async () => {
  const { schema, name } = versionOfDefinition();
  const object = await richObject();
  assert.deepEqual(misfits(object, schema, 'object'), []);
  assert.equal(object.apiVersion, `berth.dev/${name}`);
  assert.ok(object.status.findings.length > 0, 'the tree has no findings to test with');
  assert.ok(object.status.nics[0]?.vfs?.length === 4);
});

test('the test notices what the definition does not have', () => {
  const { schema } = versionOfDefinition();
  const wrong = {
    status: {
      nics: [
        { address: 'a', state: 'lost' },
        { address: 'a', state: 'free', colour: 'red' },
      ],
    },
  };
  assert.deepEqual(misfits(wrong, schema, 'o'), [
    'o.status.nics has an entry twice',
    'o.status.nics[0].state is lost',
    'o.status.nics[1].colour would be dropped',
  ]);
});

test('the columns that kubectl prints are there', async () => {
  const object: unknown = await richObject();
  for (const path of versionOfDefinition().columns) {
    if (path.startsWith('.metadata.') || path.includes('[')) continue;
    const value = path
      .slice(1)
      .split('.')
      .reduce<unknown>((at, key) => (at as Record<string, unknown> | undefined)?.[key], object);
    assert.notEqual(value, undefined, path);
  }
});

test('it tells who has a VF, and how many are free', async () => {
  const { metadata, status } = await richObject();
  assert.equal(metadata.name, NODE);
  const taken = status.nics.flatMap(({ vfs = [] }) => vfs).filter(({ state }) => state === 'taken');
  assert.ok(taken.length > 0);
  for (const vf of taken) {
    assert.equal(vf.pod, 'shop/web-0');
    assert.equal(vf.podIfname, 'net1');
  }
  assert.equal(status.summary.taken, taken.length);
  assert.equal(status.summary.vfs, 4);
});

test('scalable functions are entries of their NIC, counted like VFs, and in the definition', async () => {
  const view = viewOf(await inventoryOf(RICH));
  const [nic, ...others] = view.inventory.nics;
  assert.ok(nic?.vfs[0]);
  const function_ = { driver: 'mlx5_core.sf', parent: nic.address };
  const scalable = [
    { ...function_, name: 'mlx5_core.sf.4', sfnum: 88 },
    { ...function_, name: 'mlx5_core.sf.5', sfnum: 89, parent: nic.vfs[0].address },
  ];
  const owner = { pod: 'shop/sf-0', containerId: 'c1', ifname: 'net1', since: NOW.toISOString() };
  const { status, ...rest } = inventoryObject(
    {
      ...view,
      inventory: { ...view.inventory, nics: [{ ...nic, scalable }, ...others] },
      owners: { 'mlx5_core.sf.4': owner },
      pools: { ...view.pools, 'mlx5_core.sf.4': 'berth.dev/sf', 'mlx5_core.sf.5': 'berth.dev/sf' },
    },
    healthyStatus(),
    [],
  );
  assert.deepEqual(status.nics[0]?.scalable, [
    {
      name: 'mlx5_core.sf.4',
      sfnum: 88,
      state: 'taken',
      driver: 'mlx5_core.sf',
      resource: 'berth.dev/sf',
      pod: 'shop/sf-0',
      podIfname: 'net1',
    },
    {
      name: 'mlx5_core.sf.5',
      sfnum: 89,
      parent: nic.vfs[0].address,
      state: 'free',
      driver: 'mlx5_core.sf',
      resource: 'berth.dev/sf',
    },
  ]);
  assert.equal(status.summary.taken, 1);
  assert.deepEqual(misfits({ ...rest, status }, versionOfDefinition().schema, 'object'), []);
});

test('a device that kubelet gave to a pod without an attachment is taken by that pod', async () => {
  const view = viewOf(await inventoryOf(RICH));
  const allocations = { '0000:10:02.0': { pod: 'shop/dpdk-0', container: 'fwd' } };
  const { status } = inventoryObject({ ...view, allocations }, healthyStatus(), []);
  const [vf] = status.nics[0]?.vfs ?? [];
  assert.deepEqual([vf?.state, vf?.pod, vf?.podIfname, status.summary.taken], ['taken', 'shop/dpdk-0', undefined, 1]);
});

test('a VF has the address that its PF set, or else its own', async () => {
  const view = viewOf(await inventoryOf(RICH));
  const [nic] = view.inventory.nics;
  const [first, second] = nic?.vfs ?? [];
  assert.ok(nic && first && second);
  const admin = (text: string) => ({ settings: { adminMac: parseMacAddress(text) } });
  const vfs = [
    { ...first, ...admin('02:aa:00:00:00:01') },
    { ...second, ...admin('00:00:00:00:00:00') },
  ];
  const nics = [{ ...nic, vfs }];
  const { status } = inventoryObject({ ...view, inventory: { ...view.inventory, nics } }, healthyStatus(), []);
  assert.deepEqual(
    status.nics[0]?.vfs?.map(({ mac }) => mac),
    ['02:aa:00:00:00:01', second.netdev?.mac],
  );
});

test('the same facts give the same object, whatever the time', async () => {
  const view = viewOf(await inventoryOf(RICH));
  const early = healthyStatus();
  const late = healthyStatus({ process: { rssBytes: 99, eventLoopMaxMs: 7 }, startedAt: '2026-01-03T00:00:00.000Z' });
  const before = conditionsOf(early, [], NOW);
  const after = conditionsOf(late, before, new Date(NOW.getTime() + 60_000));
  assert.deepEqual(inventoryObject(view, late, after), inventoryObject(view, early, before));
});

test('a condition that changes has a new time, the others keep theirs', () => {
  const before = conditionsOf(healthyStatus(), [], NOW);
  const broken = healthyStatus({ configuration: { source: 'f', problems: ['f:3: wrong'], warnings: [] } });
  const after = conditionsOf(broken, before, new Date(NOW.getTime() + 60_000));
  assert.deepEqual(
    after.map(({ type, status, lastTransitionTime }) => [type, status, lastTransitionTime.slice(14, 16)]),
    [
      ['Ready', 'True', '04'],
      ['ConfigurationValid', 'False', '05'],
      ['DevicesHealthy', 'True', '04'],
      ['AttachmentsClean', 'True', '04'],
      ['InventoryCurrent', 'True', '04'],
    ],
  );
  assert.match(after[1]?.message ?? '', /f:3: wrong/);
});

test('a built-in resource without a device is left out, and nothing is wrong because of it', async () => {
  const of = (resource: string, devices: number, registered: boolean) => {
    const problem = registered ? {} : { problem: 'not announced' };
    return { resource, devices, healthy: devices, reasons: [], registered, ...problem };
  };
  const without = healthyStatus({ resources: [of('berth.dev/vf', 0, false), of('berth.dev/lan', 8, true)] });
  const conditions = conditionsOf(without, [], NOW);
  assert.deepEqual(
    conditions.filter(({ status }) => status !== 'True'),
    [],
  );
  assert.equal(conditions[0]?.message, 'kubelet knows 1 resource');
  const { resources } = inventoryObject(viewOf(await inventoryOf(RICH)), without, conditions).status;
  assert.deepEqual(
    resources.map(({ name }) => name),
    ['berth.dev/lan'],
  );
  const broken = healthyStatus({
    resources: [],
    configuration: { source: 'f', running: 'nothing', problems: ['f:1: no'], warnings: [] },
  });
  assert.deepEqual(
    conditionsOf(broken, [], NOW)
      .filter(({ status }) => status === 'False')
      .map(({ type }) => type),
    ['Ready', 'ConfigurationValid'],
    'a configuration that is broken from the start offers nothing',
  );
  const shared = {
    resource: 'berth.dev/ipvlan',
    devices: 8,
    healthy: 4,
    usedElsewhere: 4,
    reasons: ['in use'],
    registered: true,
  };
  const unhealthy = (resource: typeof shared) =>
    conditionsOf(healthyStatus({ resources: [resource] }), [], NOW).filter(({ status }) => status === 'False');
  assert.deepEqual(unhealthy(shared), [], 'slots on an uplink that pods use in another way');
  assert.equal(unhealthy({ ...shared, usedElsewhere: 3 })[0]?.reason, 'DevicesUnhealthy');
  const unknown = healthyStatus({ resources: [of('berth.dev/lan', 8, false)] });
  assert.equal(conditionsOf(unknown, [], NOW)[0]?.reason, 'ResourcesNotRegistered');
});

test.run();
