/** The attachment engine with macvlan on the live kernel, read back with iproute2. */
import { writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttachmentEngine, createAttachments } from '../../src/engine/attachments/index.ts';
import type { AttachResult, MacvlanLinkSpec } from '../../src/engine/attachments/model.ts';
import { toBerthError } from '../../src/engine/errors.ts';
import type { IpamSpec } from '../../src/engine/ipam/model.ts';
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
  readonly address: string;
  readonly mtu: number;
  readonly flags: readonly string[];
  readonly ifalias?: string;
  readonly linkinfo?: { readonly info_kind?: string; readonly info_data?: { readonly mode?: string } };
  readonly addr_info?: readonly { readonly local: string; readonly prefixlen: number }[];
}

const test = suite<Context>('macvlan on the live kernel', undefined as never);
const never = new AbortController().signal;
const MAC = '02:00:00:00:be:01' as MacAddress;

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

function ipam(node: PrivateNode, subnet = '10.77.0.0/24', gateway?: string): IpamSpec {
  return {
    type: 'host-local',
    rangeSets: [[{ subnet, ...(gateway === undefined ? {} : { gateway }) }]],
    routes: [{ dst: subnet.includes(':') ? '::/0' : '0.0.0.0/0' }],
    dataDir: `${node.folder}/networks`,
    requested: [],
    dns: {},
  };
}

async function attach(
  { node, engine }: Context,
  sandbox: string,
  path: string,
  spec: Partial<MacvlanLinkSpec> = {},
  addressing: IpamSpec = ipam(node),
  ifname = 'net1',
): Promise<AttachResult> {
  const opened = await node.kernel.open(path);
  assert.ok(opened);
  try {
    const key = { containerId: parseContainerId(sandbox), ifname: parseIfName(ifname) };
    return await engine.attach(
      {
        key,
        network: parseNetworkName(ifname),
        sandbox: opened,
        sandboxPath: path,
        link: { kind: 'macvlan', uplink: 'up0', mode: 'bridge', ...spec },
        ipam: addressing,
      },
      { requestId: 'r', signal: never },
    );
  } finally {
    opened.close();
  }
}

function detach({ engine }: Context, sandbox: string): Promise<void> {
  return engine.detach({ containerId: parseContainerId(sandbox), ifname: parseIfName('net1') }, undefined, {
    requestId: 'r',
    signal: never,
  });
}

function linksIn(node: PrivateNode, sandbox: string): readonly ShownLink[] {
  return (node.ip(['address', 'show'], sandbox) as readonly ShownLink[]).filter((link) => link.ifname !== 'lo');
}

async function failureOf(work: Promise<unknown>): Promise<{ reason: string; message: string }> {
  return toBerthError(await work.then(() => new Error('it did not fail')).catch((error: unknown) => error));
}

if (requireFeature('macvlan on veth', hasLinkKind('macvlan') && hasLinkKind('veth'))) {
  leaveMachine();
  test.before.each((context) => {
    context.node = createPrivateNode();
    context.engine = start(context.node);
  });
  test.after.each(async (context) => {
    await context.engine.stop();
    context.node.remove();
  });

  test('neighbours hear of the addresses, of both families, without being asked', async (context) => {
    const { node } = context;
    // A neighbour that learns from whoever announces; the file is that of the test's own namespace.
    writeFileSync('/proc/sys/net/ipv4/conf/up1/arp_accept', '1');
    writeFileSync('/proc/sys/net/ipv6/conf/up1/accept_untracked_na', '1');
    writeFileSync('/proc/sys/net/ipv6/conf/up1/forwarding', '1');
    ip('address', 'add', '10.77.0.250/24', 'dev', 'up1');
    ip('address', 'add', 'fd00:77::250/64', 'dev', 'up1', 'nodad');
    const rangeSets = [[{ subnet: '10.77.0.0/24' }], [{ subnet: 'fd00:77::/64' }]];
    const both = { ...ipam(node), rangeSets } as IpamSpec;
    await attach(context, 'n', node.addSandbox('n'), { mac: MAC }, both);
    const heard = (family: string) =>
      JSON.parse(ip('-j', family, 'neigh', 'show', 'dev', 'up1')) as readonly { dst: string; lladdr?: string }[];
    await eventually(
      () => {
        assert.ok(heard('-4').some(({ dst, lladdr }) => dst === '10.77.0.2' && lladdr === MAC));
        assert.ok(heard('-6').some(({ dst, lladdr }) => dst === 'fd00:77::2' && lladdr === MAC));
      },
      5000,
      () => 'the neighbour to hear of both addresses',
    );
    await detach(context, 'n');
    ip('address', 'flush', 'dev', 'up1', 'scope', 'global');
  });

  test('ADD gives the link its name, mark, MAC, MTU, address and route; DEL takes all of it away', async (context) => {
    const { node } = context;
    const path = node.addSandbox('a');
    const result = await attach(context, 'a', path, { mac: MAC, mtu: 1400 });
    assert.is(result.mac, MAC);
    assert.equal(result.addresses, [{ address: '10.77.0.2/24', gateway: '10.77.0.1' }]);
    const [link, ...others] = linksIn(node, 'a');
    assert.equal(others, []);
    assert.ok(link);
    assert.equal(
      [link.ifname, link.address, link.mtu, link.linkinfo?.info_kind, link.linkinfo?.info_data?.mode],
      ['net1', MAC, 1400, 'macvlan', 'bridge'],
    );
    assert.match(link.ifalias ?? '', /^berth:a\/net1:/);
    assert.ok(link.flags.includes('UP'));
    assert.ok(link.addr_info?.some((entry) => entry.local === '10.77.0.2' && entry.prefixlen === 24));
    const routes = node.ip(['route', 'show'], 'a') as readonly { dst: string; gateway?: string }[];
    assert.ok(routes.some((route) => route.dst === 'default' && route.gateway === '10.77.0.1'));
    await detach(context, 'a');
    await detach(context, 'a');
    assert.equal(linksIn(node, 'a'), []);
    assert.equal(context.engine.list(), []);
  });

  test('a second network may bring a default route too, as with the reference plugins', async (context) => {
    const { node } = context;
    const path = node.addSandbox('a');
    await attach(context, 'a', path);
    await attach(context, 'a', path, {}, ipam(node, '10.78.0.0/24'), 'net2');
    const routes = node.ip(['route', 'show', 'default'], 'a') as readonly { dev: string; gateway?: string }[];
    assert.equal(routes.map(({ dev, gateway }) => `${dev} ${gateway}`).sort(), ['net1 10.77.0.1', 'net2 10.78.0.1']);
  });

  test('IPv6 addresses are usable when ADD answers', async (context) => {
    const path = context.node.addSandbox('a');
    await attach(context, 'a', path, {}, ipam(context.node, 'fd77::/64'));
    const tentative = context.node.ip(
      ['-6', 'address', 'show', 'dev', 'net1', 'scope', 'global', 'tentative'],
      'a',
    ) as readonly ShownLink[];
    assert.equal(
      tentative.flatMap((link) => link.addr_info ?? []),
      [],
    );
  });

  test('CHECK holds after ADD and names everything that was changed', async (context) => {
    const { node, engine } = context;
    const path = node.addSandbox('a');
    const routes = [{ dst: '10.99.0.0/16', gateway: '10.77.0.1', mtu: 1300, advmss: 1260, priority: 7, table: 100 }];
    const result = await attach(context, 'a', path, {}, { ...ipam(node), routes } as IpamSpec);
    const opened = await node.kernel.open(path);
    assert.ok(opened);
    const check = (): Promise<void> =>
      engine.check(
        {
          key: { containerId: parseContainerId('a'), ifname: parseIfName('net1') },
          sandbox: opened,
          link: { kind: 'macvlan', uplink: 'up0', mode: 'bridge' },
          expected: result,
        },
        { requestId: 'r', signal: never },
      );
    await check();
    const route = ['10.99.0.0/16', 'via', '10.77.0.1', 'dev', 'net1', 'table', '100', 'metric', '7'];
    const changes: readonly [readonly string[], RegExp][] = [
      [['route', 'replace', ...route, 'mtu', '1200', 'advmss', '1260'], /lacks the route .*mtu 1300/],
      [['route', 'replace', ...route, 'mtu', '1300', 'advmss', '1000'], /lacks the route .*advmss 1260/],
      [['route', 'del', ...route], /lacks the route 10\.99\.0\.0\/16 via 10\.77\.0\.1/],
      [['link', 'set', 'net1', 'mtu', '1400'], /MTU 1400, not 1500/],
      [['link', 'set', 'net1', 'address', '02:00:00:00:00:42'], /hardware address 02:00:00:00:00:42, not/],
      [['link', 'set', 'net1', 'type', 'macvlan', 'mode', 'vepa'], /in mode vepa, not bridge/],
      [['address', 'del', '10.77.0.2/24', 'dev', 'net1'], /lacks the address 10\.77\.0\.2\/24/],
      [['link', 'set', 'net1', 'down'], /net1 is down/],
    ];
    for (const [words, expected] of changes) {
      node.ip([...words], 'a');
      assert.match((await failureOf(check())).message, expected);
    }
    await opened.writeSysctl(['ipv4', 'conf', 'net1', 'arp_notify'], '0');
    assert.match((await failureOf(check())).message, /arp_notify is 0, not 1/);
    node.ip(['link', 'set', 'net1', 'name', 'other'], 'a');
    assert.match((await failureOf(check())).message, /net1 is gone/);
    opened.close();
  });

  test('CHECK names a broadcast queue and neighbour announcements that were changed', async (context) => {
    const { node, engine } = context;
    const path = node.addSandbox('a');
    const result = await attach(context, 'a', path, { bcQueueLength: 300 }, ipam(node, 'fd77::/64'));
    const opened = await node.kernel.open(path);
    assert.ok(opened);
    const check = (): Promise<void> =>
      engine.check(
        {
          key: { containerId: parseContainerId('a'), ifname: parseIfName('net1') },
          sandbox: opened,
          link: { kind: 'macvlan', uplink: 'up0', mode: 'bridge', bcQueueLength: 300 },
          expected: result,
        },
        { requestId: 'r', signal: never },
      );
    await check();
    node.ip(['link', 'set', 'net1', 'type', 'macvlan', 'bcqueuelen', '200'], 'a');
    assert.match((await failureOf(check())).message, /net1 has bcqueuelen 200, not 300/);
    node.ip(['link', 'set', 'net1', 'type', 'macvlan', 'bcqueuelen', '300'], 'a');
    await check();
    await opened.writeSysctl(['ipv6', 'conf', 'net1', 'ndisc_notify'], '0');
    assert.match((await failureOf(check())).message, /net\.ipv6\.conf\.net1\.ndisc_notify is 0, not 1/);
    opened.close();
  });

  test('IPv6 works where it was off, to the own address too, and addresses outlive a link that is down', async (context) => {
    const { node } = context;
    const path = node.addSandbox('a');
    const opened = await node.kernel.open(path);
    assert.ok(opened);
    for (const name of ['all', 'default', 'lo']) await opened.writeSysctl(['ipv6', 'conf', name, 'disable_ipv6'], '1');
    const { addresses } = await attach(context, 'a', path, {}, ipam(node, 'fd77::/64'));
    const own = (): readonly string[] =>
      linksIn(node, 'a').flatMap(({ addr_info }) =>
        (addr_info ?? []).flatMap(({ local, prefixlen }) =>
          local.startsWith('fd77') ? [`${local}/${prefixlen}`] : [],
        ),
      );
    const given = addresses.map(({ address }) => address);
    assert.equal(own(), given);
    node.ip(['link', 'set', 'net1', 'down'], 'a');
    node.ip(['link', 'set', 'net1', 'up'], 'a');
    assert.equal(own(), given);
    assert.is((await opened.readSysctl(['ipv6', 'conf', 'lo', 'disable_ipv6']))?.trim(), '0');
    opened.close();
  });

  test('what the kernel refuses is explained, and nothing stays', async (context) => {
    const { node } = context;
    const path = node.addSandbox('a');
    const other = node.addSandbox('b');
    await attach(context, 'b', other);
    const before = JSON.stringify([linksIn(node, 'a'), linksIn(node, 'b')]);
    const cases: readonly [string, () => Promise<unknown>][] = [
      ['uplink-in-use', () => attach(context, 'a', path, { mode: 'passthru' })],
      ['uplink-not-ethernet', () => attach(context, 'a', path, { uplink: 'lo' })],
      ['mtu-too-large', () => attach(context, 'a', path, { mtu: 9000 })],
      ['uplink-missing', () => attach(context, 'a', path, { uplink: 'nowhere' })],
      ['route-refused', () => attach(context, 'a', path, {}, ipam(node, '10.78.0.0/24', '192.0.2.1'))],
      ['mac-not-unicast', () => attach(context, 'a', path, { mac: '01:00:5e:00:00:01' as MacAddress })],
    ];
    for (const [reason, work] of cases) {
      assert.is((await failureOf(work())).reason, reason);
    }
    assert.is(JSON.stringify([linksIn(node, 'a'), linksIn(node, 'b')]), before);
    assert.is(context.engine.list().length, 1);
  });

  test('an interface of the same name in the sandbox is left alone', async (context) => {
    const { node } = context;
    const path = node.addSandbox('a');
    node.ip(['link', 'add', 'net1', 'type', 'bridge'], 'a');
    assert.is((await failureOf(attach(context, 'a', path))).reason, 'interface-name-taken');
    await detach(context, 'a');
    assert.equal(
      linksIn(node, 'a').map((link) => link.linkinfo?.info_kind),
      ['bridge'],
    );
  });

  test('a successor restores what is unfinished and what is in a dead sandbox, and keeps the rest', async (context) => {
    const { node } = context;
    await attach(context, 'alive', node.addSandbox('alive'));
    await attach(context, 'dead', node.addSandbox('dead'));
    node.removeSandbox('dead');
    // The kernel ends a namespace a moment after its last reference.
    context.engine = start(node);
    let report = await context.engine.recover();
    while (report.unknown.length > 0) {
      await waitingClock.delay(10);
      context.engine = start(node);
      report = await context.engine.recover();
    }
    assert.equal(report.kept, ['alive@net1']);
    assert.equal(
      context.engine.list().map((row) => row.containerId),
      ['alive'],
    );
    assert.is(linksIn(node, 'alive').length, 1);
  });

  test('64 at once, then gone', async (context) => {
    const { node } = context;
    const names = Array.from({ length: 64 }, (_none, index) => `p${index}`);
    const paths = names.map((name) => node.addSandbox(name));
    const results = await Promise.all(names.map((name, index) => attach(context, name, paths[index] ?? '')));
    assert.is(new Set(results.map((result) => result.addresses[0]?.address)).size, 64);
    await Promise.all(names.map((name) => detach(context, name)));
    for (const name of names) assert.equal(linksIn(node, name), []);
  });
}

test.run();
