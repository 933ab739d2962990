/** The inventory of a namespace with links of its own, through the kernel's real files and messages. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import type { Inventory } from '../../src/engine/inventory/model.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';

if (
  requireFeature('root', isRoot()) &&
  requireFeature('bridge', hasLinkKind('bridge')) &&
  requireFeature('macvlan', hasLinkKind('macvlan'))
) {
  const program = fileURLToPath(import.meta.resolve('./inventory-of-own-machine.ts'));
  // sysfs shows the network namespace of whoever mounted it.
  const script = 'mount -t sysfs berth /sys && exec "$@"';
  const output = execFileSync('unshare', ['--net', '--mount', 'sh', '-c', script, 'sh', process.execPath, program]);
  const seen: Readonly<Record<'followed' | 'whole' | 'captured' | 'now', Inventory>> = JSON.parse(output.toString());
  /** Carrier of the pair settles at its own pace; everything else must be equal. */
  const settled = (inventory: Inventory) => ({
    ...inventory,
    virtual: inventory.virtual.map(({ operstate, carrier, speedMbps, ...link }) => link),
  });

  test('links, their kinds, neighbours, addresses and routes were followed by notifications alone', () => {
    const links = new Map(seen.followed.virtual.map((link) => [String(link.ifname), link]));
    assert.deepEqual([...links.keys()], ['br0', 'lo', 'shared0', 'up0', 'up1']);
    assert.deepEqual(
      [...links.values()].map((link) => link.kind),
      ['bridge', 'loopback', 'macvlan', 'veth', 'veth'],
    );
    assert.deepEqual(links.get('up0')?.addresses, ['192.0.2.2/24']);
    assert.deepEqual(links.get('up0')?.uppers, ['shared0']);
    assert.deepEqual(links.get('shared0')?.lowers, ['up0']);
    assert.equal(links.get('up1')?.master, 'br0');
    assert.deepEqual(links.get('br0')?.lowers, ['up1']);
  });

  test('what was followed equals what a full read says', () => {
    assert.deepEqual(settled(seen.followed), settled(seen.whole));
  });

  test('a capture says the same', () => {
    assert.deepEqual(settled(seen.captured), settled(seen.now));
  });
}

test.run();
