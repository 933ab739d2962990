/** Notifications of the live kernel, in a namespace of the test's own. */
import * as assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import type { ChangeHint } from '../../src/engine/inventory/port.ts';
import { createChangeSource } from '../../src/linux/changes.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { ip, ipBatch, leaveMachine, liveFixture } from './own-namespace.ts';

interface Heard {
  /** The next hint that is as wanted, also one heard before. */
  hint(wanted: (hint: ChangeHint) => boolean): Promise<ChangeHint>;
  gone(nsid: number): Promise<void>;
  /** All so far. */
  heard(): readonly ChangeHint[];
}

async function listening(run: (heard: Heard) => Promise<void>): Promise<void> {
  const hints: ChangeHint[] = [];
  const gone: number[] = [];
  let onNews = (): void => undefined;
  const until = async <T>(find: () => T | undefined): Promise<T> => {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        onNews = resolve;
      });
    }
  };
  const stop = await createChangeSource().start(
    (hint) => {
      hints.push(hint);
      onNews();
    },
    (nsid) => {
      gone.push(nsid);
      onNews();
    },
  );
  try {
    await run({
      heard: () => hints,
      hint: (wanted) => until(() => hints.find(wanted)),
      gone: async (nsid) => {
        await until(() => gone.find((each) => each === nsid));
      },
    });
  } finally {
    await stop();
  }
}

if (requireFeature('root', isRoot()) && requireFeature('veth', hasLinkKind('veth'))) {
  leaveMachine();

  test('a link that is renamed is told with its new name', () =>
    listening(async ({ hint }) => {
      ip('link', 'add', 'old0', 'type', 'veth', 'peer', 'name', 'old1');
      const made = await hint((each) => each.kind === 'link' && each.ifname === 'old0');
      ip('link', 'set', 'old0', 'name', 'new0');
      const renamed = await hint((each) => each.kind === 'link' && each.ifname === 'new0');
      assert.equal(renamed.kind === 'link' && renamed.ifindex, made.kind === 'link' && made.ifindex);
      ip('link', 'del', 'new0');
      await hint((each) => each.kind === 'link' && each.ifname === 'new0' && each.action === 'del');
    }));

  test('addresses and default routes are told, of both families', () =>
    listening(async ({ hint }) => {
      const ifindex = JSON.parse(ip('-j', 'link', 'show', 'up0'))[0].ifindex;
      ip('addr', 'add', '10.9.0.2/24', 'dev', 'up0');
      await hint((each) => each.kind === 'address' && each.ifindex === ifindex);
      ip('route', 'add', 'default', 'via', '10.9.0.1');
      await hint((each) => each.kind === 'route');
      ip('route', 'del', 'default');
      ip('addr', 'del', '10.9.0.2/24', 'dev', 'up0');
    }));

  test('a namespace that ends is told by its id', () =>
    listening(async ({ gone }) => {
      const fixture = await liveFixture();
      try {
        const place = await fixture.makeSandbox();
        const sandbox = await fixture.kernel.adopt(place.descriptor());
        const nsid = await fixture.kernel.nsid(sandbox);
        sandbox.close();
        await place.end();
        await gone(nsid);
      } finally {
        await fixture.end();
      }
    }));

  test('more notifications than the kernel keeps give one hint: read everything', () =>
    listening(async ({ hint }) => {
      // In one synchronous call: nothing is taken from the sockets meanwhile.
      ipBatch(Array.from({ length: 12_000 }, (_, i) => `link set dev up0 alias n${i}`));
      const all = await hint((each) => each.kind === 'all');
      assert.match(all.kind === 'all' ? all.why : '', /ENOBUFS/);
      ip('link', 'set', 'dev', 'up0', 'alias', 'the last');
      ip('link', 'add', 'after0', 'type', 'veth', 'peer', 'name', 'after1');
      await hint((each) => each.kind === 'link' && each.ifname === 'after0');
    }));

  const [device] = readdirSync('/sys/bus/pci/devices');
  if (requireFeature('python3', spawnSync('python3', ['--version']).status === 0) && device !== undefined) {
    test('a uevent that a process sends is not believed', () =>
      listening(async ({ hint, heard }) => {
        const script = [
          'import socket',
          's = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15)',
          "s.sendto(b'remove@/devices/x\\0ACTION=remove\\0DEVPATH=/devices/x\\0SUBSYSTEM=pci\\0PCI_SLOT_NAME=ffff:ff:1f.7\\0', (0, 1))",
        ];
        execFileSync('python3', ['-c', script.join('\n')]);
        // The kernel's own, asked for behind it, arrives behind it.
        writeFileSync(`/sys/bus/pci/devices/${device}/uevent`, 'change');
        await hint((each) => each.kind === 'pci' && each.address === device);
        assert.deepEqual(
          heard().filter((each) => each.kind === 'pci' && each.address !== device),
          [],
        );
      }));
  }

  test('stopping closes everything that starting opened', async () => {
    const before = readdirSync('/proc/self/fd').length;
    const listeners = process.listenerCount('exit');
    for (let i = 0; i < 20; i++) {
      const stop = await createChangeSource().start(
        () => undefined,
        () => undefined,
      );
      await stop();
    }
    assert.equal(readdirSync('/proc/self/fd').length, before);
    assert.equal(process.listenerCount('exit'), listeners);
  });

  test('a program that exits without stopping does end', () => {
    const script = `
      const { createChangeSource } = await import(${JSON.stringify(new URL('../../src/linux/changes.ts', import.meta.url).href)});
      await createChangeSource().start(() => undefined, () => undefined);
      setImmediate(() => process.exit(3));
    `;
    const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], { timeout: 20_000 });
    assert.equal(ran.status, 3, `signal ${ran.signal}: ${ran.stderr}`);
  });
}

test.run();
