import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { BerthError } from '../../../src/engine/errors.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { recordedFacts } from '../../../src/linux/facts/recorded.ts';
import { openTree } from '../../../src/linux/sysfs/tree.ts';

const test = suite<{ root: string }>('recorded facts');
test.before.each((context) => {
  context.root = mkdtempSync(join(tmpdir(), 'berth-facts-'));
  mkdirSync(join(context.root, 'berth'));
});
test.after.each(({ root }) => rmSync(root, { recursive: true, force: true }));

const PF = { ifindex: 2, ifname: 'eth0' };
const ADDRESS = parsePciAddress('0000:10:00.0');

function facts(root: string, content: string | object) {
  writeFileSync(join(root, 'berth/facts.json'), typeof content === 'string' ? content : JSON.stringify(content));
  return recordedFacts(openTree(root));
}

const LINK = { ifindex: 2, altnames: ['a'], addresses: ['192.0.2.1/24'], defaultRoute: true };

test('without a file everything is unknown', async ({ root }) => {
  const source = recordedFacts(openTree(root));
  assert.equal(await source.links(), undefined);
  assert.equal(await source.link(2), undefined);
  assert.equal(await source.defaultRoutes(), undefined);
  assert.equal(await source.vfSettings(PF), undefined);
  assert.equal(await source.driver(ADDRESS, PF), undefined);
});

test('what was recorded is answered', async ({ root }) => {
  const links = [
    { ...LINK, permanentMac: '02:00:00:00:00:0A', vfs: { 3: { vlan: 9 } } },
    { ...LINK, ifindex: 3, defaultRoute: false, vfs: 'none' },
  ];
  const source = facts(root, { schema: 1, links, functions: { '0000:10:00.0': { serial: 'X' } } });
  assert.deepEqual(await source.link(2), {
    ifindex: 2,
    altnames: ['a'],
    permanentMac: '02:00:00:00:00:0a',
    addresses: ['192.0.2.1/24'],
  });
  assert.deepEqual(await source.defaultRoutes(), new Set([2]));
  assert.deepEqual(await source.vfSettings(PF), { settings: new Map([[3, { vlan: 9 }]]), missing: [] });
  assert.equal(await source.vfSettings({ ifindex: 3, ifname: 'eth1' }), 'none');
  assert.deepEqual(await source.driver(ADDRESS, PF), { serial: 'X' });
});

const bad: readonly (readonly [string, string | object, RegExp])[] = [
  ['text that is not JSON', '{"schema": 1', /JSON/],
  ['an unknown schema', { schema: 2, links: [], functions: {} }, /schema/],
  ['an unknown field', { schema: 1, links: [], functions: {}, more: 1 }, /more/],
  ['a MAC that is none', { schema: 1, links: [{ ...LINK, permanentMac: 'x' }], functions: {} }, /hardware address/],
  [
    'an address without its length',
    { schema: 1, links: [{ ...LINK, addresses: ['192.0.2.1'] }], functions: {} },
    /its length/,
  ],
  [
    'an address in short form',
    { schema: 1, links: [{ ...LINK, addresses: ['10.1/16'] }], functions: {} },
    /its length/,
  ],
  ['a VLAN out of range', { schema: 1, links: [{ ...LINK, vfs: { 0: { vlan: 4096 } } }], functions: {} }, /vlan/],
  ['a VF index that is no number', { schema: 1, links: [{ ...LINK, vfs: { x: {} } }], functions: {} }, /vfs/],
  ['a function that is no address', { schema: 1, links: [], functions: { '../../etc': {} } }, /functions/],
  ['a text that is too long', { schema: 1, links: [{ ...LINK, kind: 'x'.repeat(257) }], functions: {} }, /kind/],
];

for (const [name, content, message] of bad) {
  test(`${name} is refused with its place`, async ({ root }) => {
    await assert.rejects(facts(root, content).links(), (error) => {
      assert.ok(error instanceof BerthError);
      assert.equal(error.reason, 'facts-invalid');
      assert.match(error.message, message);
      return true;
    });
  });
}

test('a file that links out of the tree is refused', async ({ root }) => {
  symlinkSync('../../../../../../../../etc/hostname', join(root, 'berth/facts.json'));
  await assert.rejects(recordedFacts(openTree(root)).links(), /leads out of the tree/);
});

test.run();
