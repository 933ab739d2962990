/**
 * What every implementation of the engine's `Kernel` port does, the live kernel and the fake alike:
 * one suite, run against each. It asks only through the port; a fixture supplies what the port
 * cannot make: sandboxes, and an uplink in the host.
 */
import * as assert from 'node:assert/strict';
import type { Kernel, Link, LinkOperation, Namespace } from '../../src/engine/attachments/port.ts';
import { BerthError, type ErrorCode } from '../../src/engine/errors.ts';
import { type IfName, parseIfName, parseMacAddress } from '../../src/engine/values.ts';

export interface ContractSandbox {
  readonly path: string;
  /** A descriptor of it that the kernel may take over. */
  descriptor(): number;
  /** Ends it; resolves when it is gone for good. */
  end(): Promise<void>;
}

export interface KernelFixture {
  readonly kernel: Kernel;
  /** An Ethernet link in the host, up, without addresses, that carries no other link. */
  readonly uplink: IfName;
  makeSandbox(): Promise<ContractSandbox>;
  /** A descriptor that is no namespace. */
  foreignDescriptor(): number;
  end(): Promise<void>;
}

/** A test runner's way to define a test: uvu's `test` or a suite of it. */
export type Define = (name: string, run: () => Promise<void>) => void;

interface Scene extends KernelFixture {
  readonly sandbox: Namespace;
  readonly place: ContractSandbox;
  readonly parent: Link;
}

const net1 = parseIfName('net1');
const net2 = parseIfName('net2');

async function failure(doing: Promise<unknown>): Promise<BerthError> {
  try {
    await doing;
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
  return assert.fail('it succeeded');
}

function assertError(error: BerthError, code: ErrorCode, errno: string): void {
  assert.equal(`${error.code} ${error.errno}`, `${code} ${errno}`, error.message);
}

async function linkIn(namespace: Namespace, name: IfName): Promise<Link> {
  const link = await namespace.link({ name });
  assert.ok(link, `${name} is there`);
  return link;
}

async function makeMacvlan(scene: Scene, name = net1): Promise<Link> {
  const { kernel, sandbox, parent } = scene;
  await kernel.host.apply([
    { op: 'link.create', kind: 'macvlan', name, parentIndex: parent.index, into: sandbox, mode: 'bridge' },
  ]);
  return linkIn(sandbox, name);
}

/** Defines the whole suite with `define`; `makeFixture` is called for each test and its fixture ended after it. */
export function kernelContract(name: string, define: Define, makeFixture: () => Promise<KernelFixture>): void {
  const contract = (claim: string, run: (scene: Scene) => Promise<void>): void => {
    define(`${name}: ${claim}`, async () => {
      const fixture = await makeFixture();
      try {
        const place = await fixture.makeSandbox();
        const sandbox = await fixture.kernel.adopt(place.descriptor());
        const parent = await linkIn(fixture.kernel.host, fixture.uplink);
        try {
          await run({ ...fixture, sandbox, place, parent });
        } finally {
          sandbox.close();
        }
      } finally {
        await fixture.end();
      }
    });
  };

  contract('a link is found by name and by index', async ({ kernel, uplink, parent }) => {
    assert.equal(parent.name, uplink);
    assert.equal(parent.up, true);
    assert.deepEqual(await kernel.host.link({ index: parent.index }), parent);
    assert.ok((await kernel.host.links()).some((link) => link.index === parent.index && link.name === uplink));
  });

  contract('links of one kind are listed without the others', async ({ kernel }) => {
    const kinds = new Set((await kernel.host.links()).map((link) => link.kind));
    for (const kind of ['macvlan', 'veth', 'no-such-kind']) {
      const listed = await kernel.host.links(kind);
      assert.ok(listed.every((link) => link.kind === kind));
      assert.equal(listed.length > 0, kinds.has(kind), kind);
    }
  });

  contract('a link that is not there is undefined, not an error', async ({ kernel }) => {
    assert.equal(await kernel.host.link({ name: 'nobody' }), undefined);
    assert.equal(await kernel.host.link({ index: 987_654 }), undefined);
  });

  contract(
    'who has a nsid is found beside another path, and nobody where it is not',
    async ({ kernel, sandbox, place, makeSandbox }) => {
      const other = await kernel.adopt((await makeSandbox()).descriptor());
      const nsid = await kernel.nsid(other);
      assert.equal(await kernel.cookieOf(nsid, place.path), other.id.cookie);
      assert.equal(await kernel.cookieOf(await kernel.nsid(sandbox), place.path), sandbox.id.cookie);
      assert.equal(await kernel.cookieOf(987_654, place.path), undefined);
      assert.equal(await kernel.cookieOf(nsid, '/nowhere/at/all'), undefined);
      other.close();
    },
  );

  contract('a namespace has one identity, however it is opened', async ({ kernel, sandbox, place, makeSandbox }) => {
    const again = await kernel.open(place.path);
    assert.equal(again?.id.cookie, sandbox.id.cookie);
    assert.equal(again?.isHost, false);
    again?.close();
    assert.notEqual(sandbox.id.cookie, kernel.host.id.cookie);
    assert.equal(kernel.host.isHost, true);
    const other = await kernel.adopt((await makeSandbox()).descriptor());
    assert.notEqual(other.id.cookie, sandbox.id.cookie);
    other.close();
  });

  contract('a missing path is undefined, a descriptor of something else is refused', async (scene) => {
    assert.equal(await scene.kernel.open(`${scene.place.path}-missing`), undefined);
    assert.equal((await failure(scene.kernel.adopt(scene.foreignDescriptor()))).code, 'Invalid');
  });

  contract('a namespace id stays, and tells when the namespace is dead', async ({ kernel, sandbox, place }) => {
    const nsid = await kernel.nsid(sandbox);
    assert.equal(await kernel.nsid(sandbox), nsid);
    assert.equal(await kernel.isNamespaceAlive(nsid), true);
    sandbox.close();
    await place.end();
    assert.equal(await kernel.isNamespaceAlive(nsid), false);
  });

  contract('a macvlan is born in the sandbox, with name, MAC and mode', async ({ kernel, sandbox, parent }) => {
    const mac = parseMacAddress('02:00:00:00:00:42');
    const operation: LinkOperation = {
      op: 'link.create',
      kind: 'macvlan',
      name: net1,
      parentIndex: parent.index,
      into: sandbox,
      mode: 'private',
      mac,
    };
    await kernel.host.apply([operation]);
    const link = await linkIn(sandbox, net1);
    assert.equal(link.kind, 'macvlan');
    assert.equal(link.mac, mac);
    assert.equal(link.macvlan?.mode, 'private');
    assert.equal(link.parentIndex, parent.index);
    assert.equal(link.up, false);
    assert.equal(await kernel.host.link({ name: net1 }), undefined);
  });

  contract('one apply names, aliases, sizes, raises, addresses and routes', async (scene) => {
    const { sandbox } = scene;
    const { index } = await makeMacvlan(scene);
    await sandbox.apply([
      { op: 'link.set', index, name: net2, alias: 'berth/contract', mtu: 1400, up: true, arpNotify: true },
      { op: 'address.add', index, address: '10.77.0.2/24' },
      { op: 'address.add', index, address: 'fd00:77::2/64', noDad: true },
      { op: 'route.add', index, dst: '10.78.0.0/16', gateway: '10.77.0.1', mtu: 1300, priority: 7 },
      { op: 'route.add', index, dst: '0.0.0.0/0', gateway: '10.77.0.1' },
    ]);
    const link = await linkIn(sandbox, net2);
    assert.equal(link.index, index);
    assert.equal(link.alias, 'berth/contract');
    assert.equal(link.mtu, 1400);
    assert.equal(link.up, true);
    const addresses = await sandbox.addresses(index);
    const four = addresses.find((address) => address.address === '10.77.0.2/24');
    assert.deepEqual([four?.family, four?.scope, four?.tentative], [4, 'global', false]);
    const six = addresses.find((address) => address.address === 'fd00:77::2/64');
    assert.deepEqual([six?.family, six?.tentative, six?.dadFailed], [6, false, false]);
    const routes = await sandbox.routes(index);
    const route = routes.find((entry) => entry.dst === '10.78.0.0/16');
    assert.deepEqual([route?.gateway, route?.mtu, route?.priority], ['10.77.0.1', 1300, 7]);
    assert.ok(routes.some((entry) => entry.dst === '0.0.0.0/0' && entry.gateway === '10.77.0.1'));
    assert.equal(await sandbox.readSysctl(['ipv4', 'conf', net2, 'arp_notify']), '1');
  });

  contract('a failing operation does not stop those behind it, and is what is thrown', async (scene) => {
    const { sandbox } = scene;
    const { index } = await makeMacvlan(scene);
    await sandbox.apply([{ op: 'link.set', index, up: true }]);
    const error = await failure(
      sandbox.apply([
        { op: 'address.add', index, address: '10.77.0.2/24' },
        { op: 'route.add', index, dst: '10.79.0.0/16', gateway: '192.0.2.1' },
        { op: 'address.add', index, address: '10.77.0.3/24' },
      ]),
    );
    assertError(error, 'Invalid', 'ENETUNREACH');
    assert.equal(error.op, 'route.add');
    const found = (await sandbox.addresses(index)).map((address) => address.address);
    assert.ok(found.includes('10.77.0.2/24') && found.includes('10.77.0.3/24'), found.join());
  });

  contract('a taken name refuses a new link', async (scene) => {
    const { index } = await makeMacvlan(scene);
    const { kernel, sandbox, parent } = scene;
    const error = await failure(
      kernel.host.apply([
        { op: 'link.create', kind: 'macvlan', name: net1, parentIndex: parent.index, into: sandbox, mode: 'bridge' },
      ]),
    );
    assertError(error, 'Busy', 'EEXIST');
    assert.equal((await linkIn(sandbox, net1)).index, index);
  });

  contract('a link is made and answered as it is in its sandbox', async ({ kernel, sandbox, parent }) => {
    const make = (name: IfName): Promise<Link | undefined> =>
      kernel.host.applyAndFind(
        [{ op: 'link.create', kind: 'macvlan', name, parentIndex: parent.index, into: sandbox, mode: 'vepa' }],
        name,
        sandbox,
      );
    // Before and after the host knows the sandbox by number.
    const first = await make(net1);
    await kernel.nsid(sandbox);
    const second = await make(net2);
    const withoutNsid = ({ parentNsid: _from, ...rest }: Link): Omit<Link, 'parentNsid'> => rest;
    assert.ok(first !== undefined && second !== undefined);
    assert.deepEqual(withoutNsid(first), withoutNsid(await linkIn(sandbox, net1)));
    assert.deepEqual(withoutNsid(second), withoutNsid(await linkIn(sandbox, net2)));
    assert.equal(second.macvlan?.mode, 'vepa');
    assertError(await failure(make(net2)), 'Busy', 'EEXIST');
  });

  contract('a taken name refuses a rename', async (scene) => {
    await makeMacvlan(scene, net1);
    const second = await makeMacvlan(scene, net2);
    const rename: LinkOperation = { op: 'link.set', index: second.index, name: net1 };
    assertError(await failure(scene.sandbox.apply([rename])), 'Busy', 'EEXIST');
    assert.equal((await scene.sandbox.link({ index: second.index }))?.name, net2);
  });

  contract('a move puts the link into the other namespace, under its new name', async (scene) => {
    const { kernel, sandbox } = scene;
    const made = await makeMacvlan(scene);
    const home = parseIfName('cameback');
    await sandbox.apply([{ op: 'link.set', index: made.index, name: home, moveTo: kernel.host }]);
    assert.equal(await sandbox.link({ name: net1 }), undefined);
    const back = await linkIn(kernel.host, home);
    assert.equal(back.mac, made.mac);
    await kernel.host.apply([{ op: 'link.delete', index: back.index }]);
  });

  contract('an address that is there is refused, and so is removing one that is not', async (scene) => {
    const { sandbox } = scene;
    const { index } = await makeMacvlan(scene);
    await sandbox.apply([{ op: 'address.add', index, address: '10.77.0.2/24' }]);
    const again = await failure(sandbox.apply([{ op: 'address.add', index, address: '10.77.0.2/24' }]));
    assertError(again, 'Busy', 'EEXIST');
    await sandbox.apply([{ op: 'address.delete', index, address: '10.77.0.2/24' }]);
    const gone = await failure(sandbox.apply([{ op: 'address.delete', index, address: '10.77.0.2/24' }]));
    assertError(gone, 'Invalid', 'EADDRNOTAVAIL');
    assert.deepEqual(
      (await sandbox.addresses(index)).filter((address) => address.family === 4),
      [],
    );
  });

  contract('a route to one place is added beside that of another link, and once', async (scene) => {
    const { sandbox } = scene;
    const first = await makeMacvlan(scene, net1);
    const second = await makeMacvlan(scene, net2);
    const plan = [
      { index: first.index, address: '10.77.0.2/24', six: 'fd00:77::2/64', via: '10.77.0.1', via6: 'fd00:77::1' },
      { index: second.index, address: '10.78.0.2/24', six: 'fd00:78::2/64', via: '10.78.0.1', via6: 'fd00:78::1' },
    ];
    for (const { index, address, six, via, via6 } of plan) {
      const routes: LinkOperation[] = [
        { op: 'route.add', index, dst: '0.0.0.0/0', gateway: via },
        { op: 'route.add', index, dst: '::/0', gateway: via6 },
      ];
      await sandbox.apply([
        { op: 'link.set', index, up: true },
        { op: 'address.add', index, address },
        { op: 'address.add', index, address: six, noDad: true },
        ...routes,
      ]);
      await sandbox.apply(routes);
    }
    for (const { index, via, via6 } of plan) {
      const found = (await sandbox.routes(index)).filter((entry) => entry.dst.endsWith('/0'));
      assert.deepEqual(found.map((entry) => `${entry.dst} ${entry.gateway}`).sort(), [
        `0.0.0.0/0 ${via}`,
        `::/0 ${via6}`,
      ]);
    }
  });

  contract('a route is removed as it was added', async (scene) => {
    const { sandbox } = scene;
    const { index } = await makeMacvlan(scene);
    const route = { index, dst: '10.78.0.0/16', gateway: '10.77.0.1' };
    await sandbox.apply([
      { op: 'link.set', index, up: true },
      { op: 'address.add', index, address: '10.77.0.2/24' },
      { op: 'route.add', ...route },
    ]);
    await sandbox.apply([{ op: 'route.delete', ...route }]);
    assert.ok(!(await sandbox.routes(index)).some((entry) => entry.dst === route.dst));
  });

  contract('a deleted link is gone, and deleting it again says so', async (scene) => {
    const { sandbox } = scene;
    const { index } = await makeMacvlan(scene);
    await sandbox.apply([{ op: 'link.delete', index }]);
    assert.equal(await sandbox.link({ index }), undefined);
    assert.deepEqual(await sandbox.addresses(index), []);
    assert.deepEqual(await sandbox.routes(index), []);
    assertError(await failure(sandbox.apply([{ op: 'link.delete', index }])), 'NotFound', 'ENODEV');
  });

  contract('passthru excludes other macvlans on the uplink', async (scene) => {
    const { kernel, parent } = scene;
    await makeMacvlan(scene);
    const second: LinkOperation = {
      op: 'link.create',
      kind: 'macvlan',
      name: net2,
      parentIndex: parent.index,
      mode: 'passthru',
    };
    assertError(await failure(kernel.host.apply([second])), 'Invalid', 'EINVAL');
  });

  contract('a sysctl of the sandbox is written and read back', async (scene) => {
    const { sandbox } = scene;
    await makeMacvlan(scene);
    const path = ['ipv6', 'conf', net1, 'accept_dad'];
    await sandbox.writeSysctl(path, '0');
    assert.equal(await sandbox.readSysctl(path), '0');
    assert.equal(await sandbox.readSysctl(['ipv6', 'conf', 'nobody', 'accept_dad']), undefined);
    assert.equal(
      (await failure(sandbox.writeSysctl(['ipv6', 'conf', 'nobody', 'accept_dad'], '0'))).code,
      'Unsupported',
    );
  });

  contract('an uplink without VFs has no VF settings, and takes none', async ({ kernel, parent }) => {
    assert.equal(await kernel.host.vfSettings(parent.index, 0), undefined);
    const set: LinkOperation = { op: 'vf.set', index: parent.index, vf: 0, set: { trust: true } };
    assertError(await failure(kernel.host.apply([set])), 'Unsupported', 'EOPNOTSUPP');
  });

  contract('addresses are announced', async (scene) => {
    const { sandbox } = scene;
    const { index, mac } = await makeMacvlan(scene);
    assert.ok(mac);
    await sandbox.apply([{ op: 'link.set', index, up: true }]);
    await sandbox.announce(index, mac, ['10.77.0.2/24', 'fd00:77::2/64']);
  });

  contract('closing twice is harmless, and the host stays open', async ({ kernel, sandbox, parent }) => {
    sandbox.close();
    sandbox.close();
    kernel.host.close();
    assert.ok(await kernel.host.link({ index: parent.index }));
  });
}
