/** CDI specifications: complete before Allocate answers, one file for each pool, gone when nobody needs them. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { silentLogger } from '../../src/engine/logger.ts';
import { NO_HOLDS } from '../../src/engine/pools/holds.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import { CdiFolder } from '../../src/kubelet/cdi-folder.ts';
import { cdiEntries, cdiFileName, cdiKind, cdiName, cdiText, resourceOfCdiFile } from '../../src/kubelet/cdi-spec.ts';
import { inventory, nic, vfio, vfSpec } from '../engine/pools/build.ts';
import { eventually } from '../standins/eventually.ts';
import { pod, RESOURCE, type TestNode, testNode } from './node.ts';

const KIND = 'rig.example/vf';
const FILE = 'berth-pool-rig.example_vf.json';

interface Spec {
  readonly cdiVersion: string;
  readonly kind: string;
  readonly devices: readonly {
    readonly name: string;
    readonly containerEdits: {
      readonly deviceNodes: readonly { readonly path: string; readonly permissions: string }[];
    };
  }[];
}

function specIn(node: TestNode, file = FILE): Spec {
  return JSON.parse(readFileSync(join(node.dir, 'cdi', file), 'utf8'));
}

async function withVfioNode(body: (node: TestNode) => Promise<void>, start = true): Promise<void> {
  const node = await testNode({ specs: [vfSpec({ resource: RESOURCE })] });
  try {
    node.pools.update({ inventory: inventory([nic('eth0', [vfio(0, '40'), vfio(1, '41'), vfio(2, '42')])]) });
    if (start) {
      await node.frontEnd({ useCdi: true }).start();
      await node.allocatable(3);
    }
    await body(node);
  } finally {
    await node.close();
  }
}

test('devices are given by their CDI names, and the file has all devices of the pool by then', () =>
  withVfioNode(async (node) => {
    const { containers } = await node.kubelet.admit(pod('p1', 2));
    assert.deepEqual(containers[0]?.cdiDevices, [`${KIND}=0000:41:10.0`, `${KIND}=0000:41:10.1`]);
    assert.deepEqual(containers[0]?.deviceNodes, []);
    const spec = specIn(node);
    assert.equal(spec.cdiVersion, '0.5.0');
    assert.equal(spec.kind, KIND);
    assert.deepEqual(
      spec.devices.map(({ name, containerEdits }) => [name, containerEdits.deviceNodes.map(({ path }) => path)]),
      [0, 1, 2].map((index) => [`0000:41:10.${index}`, ['/dev/vfio/vfio', `/dev/vfio/4${index}`]]),
    );
  }));

test('a group that changed just now is in the file when Allocate answers', () =>
  withVfioNode(async (node) => {
    await node.kubelet.admit(pod('p1', 1));
    node.pools.update({ inventory: inventory([nic('eth0', [vfio(0, '40'), vfio(1, '77'), vfio(2, '42')])]) });
    const { containers } = await node.kubelet.admit(pod('p2', 1));
    assert.deepEqual(containers[0]?.cdiDevices, [`${KIND}=0000:41:10.1`]);
    const entry = specIn(node).devices.find(({ name }) => name === '0000:41:10.1');
    assert.deepEqual(entry?.containerEdits.deviceNodes[1], { path: '/dev/vfio/77', permissions: 'rw' });
  }));

for (const [what, damage] of [
  ['removed', (path: string) => rmSync(path)],
  ['overwritten', (path: string) => writeFileSync(path, '{"devices": 7}')],
] as const) {
  test(`a file that somebody has ${what} is whole again when Allocate answers`, () =>
    withVfioNode(async (node) => {
      await node.kubelet.admit(pod('p1', 1));
      damage(join(node.dir, 'cdi', FILE));
      await node.kubelet.admit(pod('p2', 1));
      assert.equal(specIn(node).devices.length, 3);
    }));
}

test('two pools have two files', async () => {
  const specs = [
    vfSpec({ resource: 'rig.example/a', selectors: [{ pciAddresses: [parsePciAddress('0000:41:10.0')] }] }),
    vfSpec({ resource: 'rig.example/b' }),
  ];
  const node = await testNode({ specs });
  try {
    node.pools.update({ inventory: inventory([nic('eth0', [vfio(0, '40'), vfio(1, '41')])]) });
    await node.frontEnd({ useCdi: true }).start();
    await node.allocatable(1, 'rig.example/a');
    await node.allocatable(1, 'rig.example/b');
    const both = {
      namespace: 'default',
      name: 'p1',
      containers: [{ name: 'main', resources: { 'rig.example/a': 1, 'rig.example/b': 1 } }],
    };
    const { containers } = await node.kubelet.admit(both);
    assert.deepEqual(containers[0]?.cdiDevices?.toSorted(), [
      'rig.example/a=0000:41:10.0',
      'rig.example/b=0000:41:10.1',
    ]);
    for (const name of ['a', 'b']) assert.equal(specIn(node, `berth-pool-rig.example_${name}.json`).devices.length, 1);
  } finally {
    await node.close();
  }
});

test('devices that bring no node need no CDI, and make no file', async () => {
  const node = await testNode();
  try {
    await node.frontEnd({ useCdi: true }).start();
    await node.allocatable(4);
    const { containers } = await node.kubelet.admit(pod('p1', 1));
    assert.deepEqual(containers[0]?.cdiDevices, []);
    assert.equal(existsSync(join(node.dir, 'cdi', FILE)), false);
  } finally {
    await node.close();
  }
});

test('a folder that cannot be written gives the nodes as such, and the status says why until it can', () =>
  withVfioNode(async (node) => {
    writeFileSync(join(node.dir, 'cdi'), 'in the way');
    const frontEnd = node.frontEnd({ useCdi: true });
    await frontEnd.start();
    await node.allocatable(3);
    const { containers } = await node.kubelet.admit(pod('p1', 1));
    assert.deepEqual(containers[0]?.cdiDevices, []);
    assert.deepEqual(
      containers[0]?.deviceNodes.map(({ path }) => path),
      ['/dev/vfio/vfio', '/dev/vfio/40'],
    );
    assert.match(frontEnd.status()[0]?.problems[0] ?? '', /^no CDI specification for rig.example\/vf: cannot write/);
    rmSync(join(node.dir, 'cdi'));
    const second = await node.kubelet.admit(pod('p2', 1));
    assert.equal(second.containers[0]?.cdiDevices?.length, 1);
    assert.deepEqual(frontEnd.status()[0]?.problems, []);
  }, false));

test('the file goes when CDI is used no more, and when its pool is gone, and never while a pod holds a device', () =>
  withVfioNode(async (node) => {
    await node.kubelet.admit(pod('p1', 1));
    const held = parsePciAddress('0000:41:10.0');
    node.pools.update({ holds: { ...NO_HOLDS, devices: new Map([[held, { resource: RESOURCE }]]) }, specs: [] });
    await eventually(
      () =>
        assert.deepEqual(
          specIn(node).devices.map(({ name }) => name),
          [held],
        ),
      5_000,
      () => 'the devices that nobody holds to go',
    );
    node.pools.update({ holds: NO_HOLDS, specs: [vfSpec({ resource: 'rig.example/other' })] });
    await eventually(
      () => assert.ok(!readdirSync(join(node.dir, 'cdi')).includes(FILE)),
      5_000,
      () => 'the file to go with its last device',
    );
  }));

test('an agent that does not use CDI removes what an earlier one left, and nothing else', () =>
  withVfioNode(async (node) => {
    const folder = join(node.dir, 'cdi');
    mkdirSync(folder);
    writeFileSync(join(folder, FILE), cdiText(RESOURCE, new Map([['0000:41:10.0', ['/dev/vfio/vfio']]])));
    writeFileSync(join(folder, 'nvidia.json'), '{}');
    // Of an agent that was killed while it wrote.
    writeFileSync(join(folder, '.berth-77-3.tmp'), '{');
    await node.frontEnd().start();
    await eventually(
      () => assert.deepEqual(readdirSync(folder), ['nvidia.json']),
      5_000,
      () => 'the file of the earlier agent to go',
    );
  }, false));

test('what an earlier agent wrote is kept while the folder cannot be changed', () => {
  const root = mkdtempSync(join(tmpdir(), 'berth-'));
  const folder = new CdiFolder(root, silentLogger);
  const entries = new Map([['0000:41:10.0', ['/dev/vfio/1']]]);
  folder.update(RESOURCE, entries);
  const path = join(root, FILE);
  const before = readFileSync(path, 'utf8');
  rmSync(root, { recursive: true });
  writeFileSync(root, '');
  assert.throws(() => folder.update(RESOURCE, new Map([['0000:41:10.1', ['/dev/vfio/2']]])), {
    reason: 'cdi-not-written',
  });
  assert.match(folder.problem(RESOURCE)?.message ?? '', /cannot write/);
  rmSync(root);
  mkdirSync(root);
  writeFileSync(path, before);
  chmodSync(path, 0o644);
  folder.update(RESOURCE, new Map([['0000:41:10.1', ['/dev/vfio/2']]]));
  assert.deepEqual([...cdiEntries(readFileSync(path, 'utf8')).keys()], ['0000:41:10.0', '0000:41:10.1']);
  assert.equal(folder.problem(RESOURCE), undefined);
  rmSync(root, { recursive: true });
});

for (const [resource, kind, version] of [
  ['rig.example/vf', 'rig.example/vf', '0.5.0'],
  ['3com.example/10g', 'v-3com.example/c-10g', '0.5.0'],
  ['rig.example/vf.fast', 'rig.example/vf.fast', '0.6.0'],
] as const) {
  test(`${resource} is ${kind} in CDI, by version ${version}`, () => {
    assert.equal(cdiKind(resource), kind);
    assert.equal(cdiName(resource, '0000:41:10.0'), `${kind}=0000:41:10.0`);
    assert.equal(JSON.parse(cdiText(resource, new Map())).cdiVersion, version);
    assert.equal(resourceOfCdiFile(cdiFileName(resource)), resource);
  });
}

test('an id that CDI cannot name has none, and other files are not ours', () => {
  assert.equal(cdiName('a.b/c', 'eth0@7-1'), undefined);
  for (const file of ['nvidia.json', 'berth-pool-x.json', 'berth-pool-a.b_c.yaml'])
    assert.equal(resourceOfCdiFile(file), undefined);
});

test.run();
