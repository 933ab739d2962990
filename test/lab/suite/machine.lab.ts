/** What every other file in the lab takes for granted: two NICs whose driver makes virtual functions. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'uvu';
import { hasLinkKind, hasSriov, isRoot } from '../../runner/features.ts';

const NET = '/sys/class/net';

function pfs(): string[] {
  return readdirSync(NET).filter((name) => existsSync(join(NET, name, 'device/sriov_totalvfs')));
}

test('the machine belongs to root and has SR-IOV', () => {
  assert.ok(isRoot());
  assert.ok(hasSriov());
});

test('two PFs run on igb, each on a NUMA node of its own', () => {
  const drivers = pfs().map((name) => basename(readlinkSync(join(NET, name, 'device/driver'))));
  assert.deepEqual(drivers, ['igb', 'igb']);
  const nodes = pfs().map((name) => readFileSync(join(NET, name, 'device/numa_node'), 'utf8').trim());
  assert.deepEqual(nodes.sort(), ['0', '1']);
});

test('a PF makes virtual functions and takes them back', () => {
  const [pf] = pfs();
  assert.ok(pf !== undefined);
  const device = join(NET, pf, 'device');
  const functions = (): string[] => readdirSync(device).filter((name) => name.startsWith('virtfn'));
  writeFileSync(join(device, 'sriov_numvfs'), '2');
  try {
    assert.deepEqual(functions().sort(), ['virtfn0', 'virtfn1']);
  } finally {
    writeFileSync(join(device, 'sriov_numvfs'), '0');
  }
  assert.deepEqual(functions(), []);
});

for (const kind of ['macvlan', 'ipvlan', 'dummy', 'vlan', 'bridge', 'veth'] as const) {
  test(`the kernel makes ${kind} links`, () => assert.ok(hasLinkKind(kind)));
}

test.run();
