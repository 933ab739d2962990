/** The contract of the `Kernel` port on the live kernel, and what only the live kernel has. */
import * as assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, openSync, readdirSync } from 'node:fs';
import { test } from 'uvu';
import { BerthError } from '../../src/engine/errors.ts';
import { parseIfName } from '../../src/engine/values.ts';
import { hasLinkKind, isRoot, requireFeature } from '../runner/features.ts';
import { kernelContract } from './contract.ts';
import { ip, leaveMachine, liveFixture } from './own-namespace.ts';

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

if (
  requireFeature('root', isRoot()) &&
  requireFeature('veth', hasLinkKind('veth')) &&
  requireFeature('macvlan', hasLinkKind('macvlan'))
) {
  leaveMachine();
  kernelContract('live kernel', test, liveFixture);

  test('200 openings and closings of a namespace leave no descriptor', async () => {
    const fixture = await liveFixture();
    try {
      const place = await fixture.makeSandbox();
      const visit = async (): Promise<void> => {
        const namespace = await fixture.kernel.open(place.path);
        assert.ok(namespace);
        await namespace.links();
        namespace.close();
      };
      await visit();
      const before = openDescriptors();
      for (let i = 0; i < 200; i++) await visit();
      assert.equal(openDescriptors(), before);
    } finally {
      await fixture.end();
    }
  });

  test('a namespace that is closed during a request stays until the answer', async () => {
    const fixture = await liveFixture();
    try {
      const place = await fixture.makeSandbox();
      const before = openDescriptors();
      const namespace = await fixture.kernel.adopt(place.descriptor());
      const answers = Promise.all([namespace.links(), namespace.link({ name: 'lo' }), namespace.addresses(1)]);
      namespace.close();
      const [links, lo] = await answers;
      assert.equal(links.length, 1);
      assert.equal(lo?.name, 'lo');
      assert.equal(openDescriptors(), before);
      await assert.rejects(
        namespace.links(),
        (error) => error instanceof BerthError && error.reason === 'namespace-closed',
      );
    } finally {
      await fixture.end();
    }
  });

  test('the descriptor of the own namespace is the host', async () => {
    const fixture = await liveFixture();
    try {
      const before = openDescriptors();
      const own = await fixture.kernel.open(`/proc/${process.pid}/ns/net`);
      assert.equal(own, fixture.kernel.host);
      assert.equal(openDescriptors(), before);
    } finally {
      await fixture.end();
    }
  });

  test('a FIFO, a folder and a plain file are no namespaces', async () => {
    const fixture = await liveFixture();
    try {
      for (const path of ['/etc/passwd', '/', '/dev/null', '/proc/self/ns/uts', '/proc/self/ns/user']) {
        assert.equal(await fixture.kernel.open(path), undefined, path);
        const descriptor = openSync(path, 'r');
        await assert.rejects(
          fixture.kernel.adopt(descriptor),
          (error) => error instanceof BerthError && error.reason === 'sandbox-not-a-namespace',
          path,
        );
        assert.throws(() => fstatSync(descriptor), /EBADF/, path);
      }
    } finally {
      await fixture.end();
    }
  });

  test("the kernel's own words are in the error", async () => {
    const fixture = await liveFixture();
    try {
      const place = await fixture.makeSandbox();
      const sandbox = await fixture.kernel.adopt(place.descriptor());
      const address = { op: 'address.add', index: 1, address: '10.1.2.3/32' } as const;
      await sandbox.apply([address]);
      await assert.rejects(sandbox.apply([address]), (error) => {
        assert.ok(error instanceof BerthError);
        assert.match(error.extack ?? '', /already assigned/i);
        assert.ok(error.message.includes(error.extack ?? '-'));
        return true;
      });
      sandbox.close();
    } finally {
      await fixture.end();
    }
  });

  test('more operations than one message to the kernel takes are all done', async () => {
    const fixture = await liveFixture();
    try {
      const place = await fixture.makeSandbox();
      const sandbox = await fixture.kernel.adopt(place.descriptor());
      const addresses = Array.from({ length: 200 }, (_, i) => `10.1.${i}.1/32`);
      await sandbox.apply(addresses.map((address) => ({ op: 'address.add', index: 1, address }) as const));
      const found = new Set((await sandbox.addresses(1)).map((entry) => entry.address));
      assert.deepEqual(
        addresses.filter((address) => !found.has(address)),
        [],
      );
      sandbox.close();
    } finally {
      await fixture.end();
    }
  });

  test('an alternative name longer than 15 bytes finds its link', async () => {
    const fixture = await liveFixture();
    const altname = 'a-name-longer-than-fifteen-bytes';
    try {
      ip('link', 'property', 'add', 'dev', fixture.uplink, 'altname', altname);
      const link = await fixture.kernel.host.link({ name: altname });
      assert.equal(link?.name, parseIfName(fixture.uplink));
      assert.deepEqual(link?.altnames, [altname]);
    } finally {
      ip('link', 'property', 'del', 'dev', fixture.uplink, 'altname', altname);
      await fixture.end();
    }
  });

  test('what is listed while links come and go is consistent, or asked again', async () => {
    const fixture = await liveFixture();
    try {
      const lines = Array.from({ length: 60 }, (_, i) => `link add busy${i} type veth peer name ybus${i}`);
      const changing = spawn('ip', ['-batch', '-'], { stdio: ['pipe', 'ignore', 'inherit'] });
      const ended = once(changing, 'exit');
      changing.stdin.end(lines.join('\n'));
      let isChanging = true;
      ended.then(() => {
        isChanging = false;
      });
      while (isChanging) {
        const names = (await fixture.kernel.host.links()).map((link) => link.name);
        assert.equal(new Set(names).size, names.length);
        assert.ok(names.includes(fixture.uplink));
      }
      assert.deepEqual(await ended, [0, null]);
      assert.equal((await fixture.kernel.host.links()).filter((link) => /^(busy|ybus)/.test(link.name)).length, 120);
    } finally {
      await fixture.end();
    }
  });

  test('many requests at once on one namespace are answered each for itself', async () => {
    const fixture = await liveFixture();
    try {
      const names = (await fixture.kernel.host.links()).map((link) => link.name);
      const asked = Array.from({ length: 100 }, (_, i) => names[i % names.length] ?? 'lo');
      const answers = await Promise.all(asked.map((name) => fixture.kernel.host.link({ name })));
      assert.deepEqual(
        answers.map((link) => link?.name),
        asked,
      );
    } finally {
      await fixture.end();
    }
  });
}

test.run();
