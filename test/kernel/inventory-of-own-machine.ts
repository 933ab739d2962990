/**
 * A program, not a test: makes links in the network namespace it was started in, whose own sysfs is
 * on /sys, and prints what the inventory says of them, live and from a capture, as JSON.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createLiveInventory } from '../../src/engine/inventory/live.ts';
import { captureTree } from '../../src/linux/capture.ts';
import { createChangeSource } from '../../src/linux/changes.ts';
import { liveFacts } from '../../src/linux/facts/live.ts';
import { createHostFacts } from '../../src/linux/netlink/host-facts.ts';
import { createNodeReader } from '../../src/linux/node-reader.ts';

const ip = (...args: string[]): Buffer => execFileSync('ip', args);

ip('link', 'set', 'lo', 'up');
ip('link', 'add', 'br0', 'type', 'bridge');
ip('link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'up1');
ip('link', 'set', 'up1', 'master', 'br0', 'up');

const host = createHostFacts();
const facts = liveFacts(host);
const reader = createNodeReader({ root: '/', facts });
const live = await createLiveInventory({ reader, changes: createChangeSource() });
const folder = mkdtempSync(join(tmpdir(), 'berth-own-'));
try {
  const isSeen = new Promise<void>((resolve) => {
    live.subscribe((_diff, { virtual }) => {
      const isWhole = virtual.some(
        (link) => link.ifname === 'up0' && link.defaultRoute && link.uppers.includes('shared0'),
      );
      if (isWhole && virtual.some((link) => link.ifname === 'shared0')) resolve();
    });
  });
  ip('link', 'set', 'up0', 'up');
  ip('address', 'add', '192.0.2.2/24', 'dev', 'up0');
  ip('route', 'add', 'default', 'via', '192.0.2.1');
  ip('link', 'add', 'link', 'up0', 'name', 'shared0', 'type', 'macvlan', 'mode', 'bridge');
  await isSeen;
  const followed = live.current;
  await live.refresh();
  const whole = live.current;
  await captureTree('/', join(folder, 'tree'), facts);
  const captured = await createNodeReader({ root: join(folder, 'tree') }).read();
  process.stdout.write(JSON.stringify({ followed, whole, captured, now: await reader.read() }));
} finally {
  await live.stop();
  host.close();
  rmSync(folder, { recursive: true, force: true });
}
