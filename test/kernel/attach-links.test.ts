/** macvtap, host devices, VLANs that cannot be had, and links on links of the sandbox, on the live kernel. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttachmentEngine, createAttachments } from '../../src/engine/attachments/index.ts';
import type { AttachResult, LinkSpec } from '../../src/engine/attachments/model.ts';
import { toBerthError } from '../../src/engine/errors.ts';
import type { IpamSpec } from '../../src/engine/ipam/model.ts';
import { tapIndexOf, tapPath } from '../../src/engine/links/tap-index.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { type MacAddress, parseContainerId, parseIfName, parseNetworkName } from '../../src/engine/values.ts';
import { createOwnedAddresses } from '../../src/linux/files/owned-addresses.ts';
import { createRecordStore } from '../../src/linux/files/record-store.ts';
import { createReservationStore } from '../../src/linux/files/reservation-store.ts';
import { hasLinkKind, requireFeature } from '../runner/features.ts';
import { eventually } from '../standins/eventually.ts';
import { createPrivateNode, type PrivateNode } from '../standins/private-node.ts';
import { waitingClock } from '../standins/waiting-clock.ts';
import { ip, leaveMachine } from './own-namespace.ts';

interface Context {
  node: PrivateNode;
  engine: AttachmentEngine;
}

interface ShownLink {
  readonly ifname: string;
  readonly ifindex: number;
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly ifalias?: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly mode?: string } };
  readonly addr_info?: readonly { readonly local: string; readonly scope: string }[];
}

const test = suite<Context>('links on the live kernel', undefined as never);
const never = new AbortController().signal;
const MAC = '02:00:00:00:be:02' as MacAddress;
const addressing: IpamSpec = { type: 'static', addresses: [{ address: '10.78.0.2/24' }], routes: [], dns: {} };
const TAP = { kind: 'macvtap', uplink: 'up0', owner: { uid: 107, gid: 108 } } as const;
const SLOT = `up0-${process.pid}`;

function start(node: PrivateNode): AttachmentEngine {
  return createAttachments({
    kernel: node.kernel,
    records: createRecordStore(`${node.folder}/attachments`),
    reservations: createReservationStore(waitingClock),
    ownedAddresses: createOwnedAddresses(`${node.folder}/addresses`),
    clock: waitingClock,
    log: silentLogger,
    bootId: 'boot',
  });
}

const keyOf = (sandbox: string, ifname = 'net1') => ({
  containerId: parseContainerId(sandbox),
  ifname: parseIfName(ifname),
});

async function attach(
  { node, engine }: Context,
  sandbox: string,
  path: string,
  link: LinkSpec,
  ifname = 'net1',
): Promise<AttachResult> {
  const opened = await node.kernel.open(path);
  assert.ok(opened);
  try {
    return await engine.attach(
      {
        key: keyOf(sandbox, ifname),
        network: parseNetworkName(ifname),
        sandbox: opened,
        sandboxPath: path,
        link,
        ipam: addressing,
      },
      { requestId: 'r', signal: never },
    );
  } finally {
    opened.close();
  }
}

async function check({ node, engine }: Context, sandbox: string, path: string, link: LinkSpec, result: AttachResult) {
  const opened = await node.kernel.open(path);
  assert.ok(opened);
  try {
    await engine.check(
      { key: keyOf(sandbox), sandbox: opened, link, expected: result },
      { requestId: 'r', signal: never },
    );
  } finally {
    opened.close();
  }
}

function detach({ engine }: Context, sandbox: string, ifname = 'net1'): Promise<void> {
  return engine.detach(keyOf(sandbox, ifname), undefined, { requestId: 'r', signal: never });
}

function linksIn(node: PrivateNode, sandbox: string): readonly ShownLink[] {
  return (node.ip(['address', 'show'], sandbox) as readonly ShownLink[]).filter((link) => link.ifname !== 'lo');
}

function onNode(name: string): ShownLink | undefined {
  const all = JSON.parse(ip('-j', '-d', 'address', 'show')) as readonly ShownLink[];
  return all.find((link) => link.ifname === name);
}

async function failureOf(work: Promise<unknown>): Promise<{ reason: string; message: string }> {
  return toBerthError(await work.then(() => new Error('it did not fail')).catch((error: unknown) => error));
}

const isThere = requireFeature(
  'macvtap and macvlan on veth',
  hasLinkKind('macvtap') && hasLinkKind('macvlan') && hasLinkKind('veth'),
);

if (isThere) {
  leaveMachine();
  test.before.each((context) => {
    context.node = createPrivateNode();
    context.engine = start(context.node);
  });
  test.after.each(async (context) => {
    await context.engine.stop();
    context.node.remove();
  });

  if (
    requireFeature('a devtmpfs for tap devices', /^\S+ \/dev devtmpfs /m.test(readFileSync('/proc/mounts', 'utf8')))
  ) {
    test('a macvtap has the device that its slot tells, with its owner; DEL takes both away', async (context) => {
      const { node } = context;
      const path = node.addSandbox('a');
      const spec: LinkSpec = { ...TAP, slot: SLOT, mode: 'vepa', mac: MAC, mtu: 1400, promiscuous: true };
      const result = await attach(context, 'a', path, spec);
      assert.equal([result.mac, result.mtu], [MAC, 1400]);
      const [link, ...others] = linksIn(node, 'a');
      assert.is(others.length, 0);
      assert.ok(link);
      assert.equal(
        [link.ifname, link.ifindex, link.linkinfo?.info_kind, link.linkinfo?.info_data?.mode],
        ['net1', tapIndexOf(SLOT), 'macvtap', 'vepa'],
      );
      assert.ok(link.flags.includes('PROMISC'));
      const tap = statSync(tapPath(link.ifindex));
      assert.equal([tap.isCharacterDevice(), tap.uid, tap.gid], [true, 107, 108]);
      await check(context, 'a', path, spec, result);
      await detach(context, 'a');
      assert.equal(linksIn(node, 'a'), []);
      assert.not(existsSync(tapPath(link.ifindex)));
    });

    test('the slot is refused to a second sandbox while the first has it, also when that died a moment ago', async (context) => {
      const { node } = context;
      await attach(context, 'a', node.addSandbox('a'), { ...TAP, slot: SLOT });
      const second = node.addSandbox('b');
      assert.is((await failureOf(attach(context, 'b', second, { ...TAP, slot: SLOT }))).reason, 'tap-device-taken');
      node.removeSandbox('a');
      await detach(context, 'a');
      await eventually(
        () => assert.not(existsSync(tapPath(tapIndexOf(SLOT)))),
        5000,
        () => 'the kernel to end the sandbox',
      );
      await attach(context, 'b', second, { ...TAP, slot: SLOT });
      await detach(context, 'b');
    });

    test('a macvtap that a device plugin made is moved, owned, and brought back', async (context) => {
      const { node } = context;
      ip('link', 'add', 'link', 'up0', 'dpMvp0', 'type', 'macvtap', 'mode', 'bridge');
      ip('link', 'set', 'dpMvp0', 'up');
      const before = onNode('dpMvp0');
      const path = node.addSandbox('a');
      const spec: LinkSpec = { kind: 'macvtap', given: 'dpMvp0', mtu: 1300, owner: { uid: 107, gid: 108 } };
      const result = await attach(context, 'a', path, spec);
      const link = linksIn(node, 'a')[0];
      assert.ok(link);
      assert.is(statSync(tapPath(link.ifindex)).uid, 107);
      await check(context, 'a', path, spec, result);
      assert.is(onNode('dpMvp0'), undefined);
      await detach(context, 'a');
      const after = onNode('dpMvp0');
      assert.equal([after?.address, after?.mtu, after?.ifalias], [before?.address, 1500, undefined]);
      ip('link', 'del', 'dpMvp0');
    });
  }

  test('a host device goes into the sandbox with everything and comes back with everything', async (context) => {
    const { node } = context;
    ip('link', 'add', 'dev0', 'address', MAC, 'mtu', '1300', 'type', 'veth', 'peer', 'name', 'dev1');
    for (const name of ['dev0', 'dev1']) ip('link', 'set', name, 'up');
    ip('link', 'set', 'dev0', 'alias', 'rack 7');
    ip('address', 'add', '198.51.100.7/24', 'dev', 'dev0');
    ip('route', 'add', '203.0.113.0/24', 'via', '198.51.100.1', 'dev', 'dev0');
    const path = node.addSandbox('a');
    const spec: LinkSpec = { kind: 'host-device', device: { by: 'hwaddr', mac: MAC } };
    const result = await attach(context, 'a', path, spec);
    const [link, ...others] = linksIn(node, 'a');
    assert.is(others.length, 0);
    assert.equal([link?.ifname, link?.address, link?.mtu], ['net1', MAC, 1300]);
    assert.equal(
      link?.addr_info?.filter(({ scope }) => scope === 'global').map(({ local }) => local),
      ['10.78.0.2'],
    );
    assert.is(onNode('dev0'), undefined);
    await check(context, 'a', path, spec, result);
    await detach(context, 'a');
    const home = onNode('dev0');
    assert.equal([home?.address, home?.mtu, home?.ifalias], [MAC, 1300, 'rack 7']);
    assert.ok(home?.flags.includes('UP'));
    assert.ok(home?.addr_info?.some(({ local }) => local === '198.51.100.7'));
    assert.match(ip('route', 'show', '203.0.113.0/24'), /via 198\.51\.100\.1 dev dev0/);
    assert.equal(linksIn(node, 'a'), []);
    ip('link', 'del', 'dev0');
  });

  test('a host device gets a name that it has as another one, and is as promiscuous as it was', async (context) => {
    const { node } = context;
    ip('link', 'add', 'dev0', 'type', 'veth', 'peer', 'name', 'dev1');
    ip('link', 'property', 'add', 'dev', 'dev0', 'altname', 'net1', 'altname', 'storage');
    ip('link', 'set', 'dev0', 'allmulticast', 'on');
    const modes = () => onNode('dev0')?.flags.filter((flag) => flag === 'PROMISC' || flag === 'ALLMULTI');
    await attach(context, 'a', node.addSandbox('a'), { kind: 'host-device', device: { by: 'name', name: 'dev0' } });
    node.ip(['link', 'property', 'add', 'dev', 'net1', 'altname', 'dev0'], 'a');
    node.ip(['link', 'set', 'net1', 'promisc', 'on', 'allmulticast', 'off'], 'a');
    await detach(context, 'a');
    assert.equal(modes(), ['ALLMULTI']);
    assert.match(ip('link', 'show', 'dev', 'storage'), /^\d+: dev0@/);
    ip('link', 'del', 'dev0');
  });

  test('the loopback interface stays where it is, and the reason says so', async (context) => {
    const { node } = context;
    const failure = await failureOf(
      attach(context, 'a', node.addSandbox('a'), { kind: 'host-device', device: { by: 'name', name: 'lo' } }),
    );
    assert.is(failure.reason, 'device-immovable');
    assert.ok(onNode('lo')?.flags.includes('UP'));
    assert.equal(context.engine.list(), []);
  });

  test('a macvlan stands on a link of its own sandbox, and leaves it there', async (context) => {
    const { node } = context;
    const path = node.addSandbox('a');
    await attach(context, 'a', path, { kind: 'macvlan', uplink: 'up0', mode: 'bridge' }, 'net1');
    const spec: LinkSpec = { kind: 'macvlan', uplink: 'net1', uplinkInSandbox: true, mode: 'private' };
    await attach(context, 'a', path, spec, 'net2');
    assert.equal(
      linksIn(node, 'a').map(({ ifname }) => ifname),
      ['net1', 'net2'],
    );
    await detach(context, 'a', 'net2');
    assert.equal(
      linksIn(node, 'a').map(({ ifname }) => ifname),
      ['net1'],
    );
    await detach(context, 'a', 'net1');
  });
}

test.run();
