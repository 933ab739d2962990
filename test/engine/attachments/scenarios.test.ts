/** What runtimes, Multus and kubelet really do, and what happens to sandboxes and devices meanwhile. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PodIdentity } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { IpamSpec } from '../../../src/engine/ipam/model.ts';
import { parseContainerId, parseIfName } from '../../../src/engine/values.ts';
import { createPodNode, hostLocal, ipvlan, macvlan, type PodNode, vf } from '../../standins/attachment-node.ts';
import { linkOf, settingsOf } from '../../standins/fake-world.ts';
import { podDevices } from '../../standins/pod-devices.ts';

const test = suite('scenarios');

const pod = (name: string, uid = name): PodIdentity => ({ namespace: 'default', name, uid });

async function reasonOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    return toBerthError(error).reason;
  }
  throw new Error('it did not fail');
}

function sandboxHas(node: PodNode, path: string, name: string): boolean {
  const namespace = node.world.paths.get(path);
  return namespace !== undefined && node.world.byName(namespace, name) !== undefined;
}

/** Answers whether the device is in the sandbox of that container. */
function holds(node: PodNode, container: string, device: string): boolean {
  const namespace = node.world.paths.get(`/run/netns/${container}`);
  return [...(namespace?.links.values() ?? [])].some((link) => link.pci === device);
}

interface Recorded {
  readonly plugin?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: { readonly deviceID?: string; readonly vlan?: number };
  readonly podresources_now?:
    | string
    | {
        readonly name: string;
        readonly namespace: string;
        readonly containers: readonly { readonly devices?: readonly { readonly device_ids: readonly string[] }[] }[];
      };
}

for (const file of [
  'del-4-sandbox-remade',
  'del-6-next-owner-added-before-del',
  'del-7-stale-del-while-pod-lives',
  'del-8-del-without-add',
]) {
  test(`${file}: the device stays with its present owner, and is at its baseline in the end`, async () => {
    const { exchange } = JSON.parse(
      readFileSync(new URL(`../../fixtures/exchanges/${file}.json`, import.meta.url), 'utf8'),
    ) as { exchange: readonly Recorded[] };
    const node = createPodNode({ vfAddresses: ['0000:41:10.0', '0000:41:10.1', '0000:41:10.2', '0000:41:10.3'] });
    const before = node.snapshot();
    let owner: { container: string; device: string } | undefined;
    let calls = 0;
    for (const { plugin, env, stdin, podresources_now: listed } of exchange) {
      if (plugin !== 'recorder' || env === undefined) continue;
      calls += 1;
      const container = env.CNI_CONTAINERID ?? '';
      const args = new Map((env.CNI_ARGS ?? '').split(';').map((pair) => pair.split('=') as [string, string]));
      const device = node.vfs.find((each) => each.address === stdin?.deviceID);
      assert.ok(device);
      const resources = typeof listed === 'object' ? listed : undefined;
      const holders = (resources?.containers ?? [])
        .flatMap((each) => each.devices ?? [])
        .flatMap(({ device_ids }) => device_ids.map((id): [string, string] => [id, resources?.name ?? '']));
      node.podDevices = podDevices(holders);
      if (env.CNI_COMMAND === 'ADD') {
        await node.attach(container, vf(device, { vlan: stdin?.vlan ?? 100 }), {
          path: `/run/netns/${container}`,
          pod: {
            namespace: args.get('K8S_POD_NAMESPACE') ?? '',
            name: args.get('K8S_POD_NAME') ?? '',
            uid: args.get('K8S_POD_UID') ?? '',
          },
          ipam: null,
        });
        owner = { container, device: device.address };
      } else {
        await node.detach(container, { path: env.CNI_NETNS === '' ? '/none' : `/run/netns/${container}` });
        if (owner?.container === container) owner = undefined;
      }
      if (owner !== undefined) {
        assert.ok(holds(node, owner.container, owner.device), `call ${calls} took the device from its owner`);
        assert.is(settingsOf(device).vlan, 100);
      }
    }
    assert.ok(calls > 0);
    for (const path of [...node.world.paths.keys()]) node.world.destroySandbox(path);
    assert.is(node.snapshot(), before);
  });
}

test('a process of another pid namespace at the path of a sandbox proves nothing', async () => {
  const node = createPodNode();
  // ctr: the path is right in the runtime's pid namespace, and some other process here.
  const path = '/proc/4711/ns/net';
  await node.attach('c1', macvlan(), { path });
  const sandbox = node.world.paths.get(path);
  assert.ok(sandbox);
  node.world.paths.delete(path);
  node.world.paths.set('/moved', sandbox);
  node.world.addSandbox(path);
  const report = await node.restart().recover();
  assert.equal(report.restored, []);
  assert.equal(
    report.unknown.map(({ attachment }) => attachment),
    ['c1@net1'],
  );
});

test('a DEL without a record succeeds and does not touch the device in use', async () => {
  const node = createPodNode();
  await node.attach('live', vf(node.device(0), { vlan: 5 }));
  const before = node.snapshot();
  await node.detach('stranger');
  assert.is(node.snapshot(), before);
});

test('the same pod in a new sandbox gets its device, and the late DEL of the old one touches nothing', async () => {
  const node = createPodNode();
  await node.attach('old', vf(node.device(0)), { pod: pod('a') });
  await node.attach('new', vf(node.device(0)), { pod: pod('a') });
  assert.not.ok(holds(node, 'old', node.device(0).address));
  await node.detach('old');
  assert.ok(holds(node, 'new', node.device(0).address));
  assert.equal(
    node.engine.list().map((row) => row.containerId),
    ['new'],
  );
});

test('a pod of the same name and another uid is another pod', async () => {
  const node = createPodNode();
  await node.attach('old', vf(node.device(0)), { pod: pod('db-0', 'uid-1') });
  assert.is(await reasonOf(node.attach('new', vf(node.device(0)), { pod: pod('db-0', 'uid-2') })), 'device-held');
});

test('a device of another living pod is refused with the holder named, and the holder keeps it', async () => {
  const node = createPodNode();
  await node.attach('first', vf(node.device(0)), { pod: pod('a') });
  node.world.addSandbox('/run/netns/second');
  const before = node.snapshot();
  const failure = toBerthError(
    await node.attach('second', vf(node.device(0)), { pod: pod('b') }).catch((error: unknown) => error),
  );
  assert.is(failure.code, 'Busy');
  assert.is(failure.reason, 'device-held');
  assert.match(failure.message, 'default/a');
  assert.is(node.snapshot(), before);
});

test('an empty list of pod-resources proves nothing about the old holder', async () => {
  const node = createPodNode();
  node.podDevices = podDevices([]);
  await node.attach('first', vf(node.device(0)), { pod: pod('a') });
  assert.is(await reasonOf(node.attach('second', vf(node.device(0)), { pod: pod('b') })), 'device-held');
});

test('one container cannot attach one device twice', async () => {
  const node = createPodNode();
  await node.attach('c1', vf(node.device(0)), { pod: pod('a') });
  assert.is(await reasonOf(node.attach('c1', vf(node.device(0)), { pod: pod('a'), ifname: 'net2' })), 'device-held');
});

test('a device in a dead sandbox is restored and given to the next pod without a DEL', async () => {
  const node = createPodNode();
  await node.attach('first', vf(node.device(0), { vlan: 9 }), { pod: pod('a') });
  node.world.destroySandbox('/run/netns/first');
  await node.attach('second', vf(node.device(0)), { pod: pod('b') });
  assert.is(settingsOf(node.device(0)).vlan, 0);
  await node.detach('second');
  assert.is(linkOf(node.device(0)).name, 'pf0v0');
  assert.equal(node.engine.list().length, 0);
});

test('two ADDs at once for one device: one gets it, the other is told who has it', async () => {
  const node = createPodNode();
  const results = await Promise.allSettled([
    node.attach('c1', vf(node.device(0)), { pod: pod('a') }),
    node.attach('c2', vf(node.device(0)), { pod: pod('b') }),
  ]);
  assert.equal(results.map((result) => result.status).sort(), ['fulfilled', 'rejected']);
  const refused = results.find((result) => result.status === 'rejected');
  assert.is(toBerthError(refused?.reason).reason, 'device-held');
  assert.is(node.engine.list().length, 1);
});

test('two ADDs at once of the same attachment: the second is refused', async () => {
  const node = createPodNode();
  const results = await Promise.allSettled([node.attach('c1', macvlan()), node.attach('c1', macvlan())]);
  assert.equal(
    results.map((result) => result.status),
    ['fulfilled', 'rejected'],
  );
  assert.is(node.reservations.reserved().length, 1);
});

test('64 attachments at once get 64 addresses, and 64 DELs leave nothing', async () => {
  const node = createPodNode();
  const before = node.snapshot();
  const names = Array.from({ length: 64 }, (_none, index) => `c${index}`);
  const results = await Promise.all(names.map((name) => node.attach(name, macvlan())));
  assert.is(new Set(results.map((result) => result.addresses[0]?.address)).size, 64);
  await Promise.all(names.map((name) => node.detach(name)));
  for (const name of names) node.world.destroySandbox(`/run/netns/${name}`);
  assert.is(node.snapshot(), before);
});

test("a sandbox that dies is collected on the kernel's word, also when a sandbox beside it has its nsid now", async () => {
  for (const collect of [
    (node: PodNode, nsid: number) => node.engine.onNamespaceGone(nsid),
    (node: PodNode) => node.restart().recover(),
    // The message was lost.
    (node: PodNode) => node.engine.onMissed(),
  ]) {
    const node = createPodNode();
    const before = node.snapshot();
    await node.attach('first', macvlan());
    const nsid = node.world.destroySandbox('/run/netns/first') as number;
    await node.attach('second', macvlan());
    assert.is(node.world.paths.get('/run/netns/second')?.nsid, nsid);
    await collect(node, nsid);
    assert.equal(
      node.engine.list().map((row) => row.containerId),
      ['second'],
    );
    await node.detach('second');
    node.world.destroySandbox('/run/netns/second');
    assert.is(node.snapshot(), before);
  }
});

test('where the nsid of a dead sandbox belongs to one that cannot be seen, it is collected when that has ended', async () => {
  const node = createPodNode();
  const before = node.snapshot();
  await node.attach('first', vf(node.device(0), { vlan: 4 }));
  const nsid = node.world.destroySandbox('/run/netns/first') as number;
  await node.attach('second', macvlan(), { path: '/elsewhere/second' });
  await node.engine.onNamespaceGone(nsid);
  assert.equal(
    node.engine.list().map((row) => row.containerId),
    ['first', 'second'],
  );
  node.world.destroySandbox('/elsewhere/second');
  await node.engine.onNamespaceGone(nsid);
  assert.is(node.snapshot(), before);
});

test('nobody who lives is collected when notifications were lost', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  await node.attach('c2', vf(node.device(0)));
  node.kernel.hide('/run/netns/c1');
  const before = node.snapshot();
  await node.engine.onMissed();
  assert.is(node.snapshot(), before);
});

test('a message about an earlier namespace with the same nsid does not end a living attachment', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  const before = node.snapshot();
  await node.engine.onNamespaceGone(0);
  assert.is(node.snapshot(), before);
});

test('a sandbox that cannot be seen is kept and reported, not collected', async () => {
  const node = createPodNode();
  await node.attach('c1', vf(node.device(0)));
  node.kernel.hide('/run/netns/c1');
  const report = await node.restart().recover();
  assert.equal(
    report.unknown.map((entry) => entry.attachment),
    ['c1@net1'],
  );
  assert.is(node.engine.list()[0]?.state, 'attached');
});

test('a VF that came home under its pod name is restored within one notification', async () => {
  const node = createPodNode();
  const before = node.snapshot();
  await node.attach('c1', vf(node.device(0), { vlan: 3 }));
  node.world.destroySandbox('/run/netns/c1');
  assert.is(linkOf(node.device(0)).name, 'net1');
  await node.engine.onDeviceHome(node.device(0).address);
  assert.is(node.snapshot(), before);
});

test('a VF that cannot be reached keeps its VLAN, and is restored when it comes home', async () => {
  const node = createPodNode();
  const before = node.snapshot();
  const device = node.device(0);
  await node.attach('c1', vf(device, { vlan: 3 }));
  const hidden = node.kernel.hide('/run/netns/c1');
  assert.is(await reasonOf(node.detach('c1', { path: '/none' })), 'restore-incomplete');
  assert.is(settingsOf(device).vlan, 3);
  assert.is(node.reservations.reserved().length, 1);
  node.kernel.end(hidden);
  await node.detach('c1', { path: '/none' });
  assert.is(node.snapshot(), before);
});

test('recovering again while an ADD runs does not undo it', async () => {
  const node = createPodNode();
  let recovery: Promise<unknown> | undefined;
  node.kernel.intercept((step) => {
    if (step.what === 'link.create') recovery ??= node.engine.recover();
  });
  await node.attach('c1', macvlan());
  await recovery;
  assert.is(node.engine.list()[0]?.state, 'attached');
  assert.ok(sandboxHas(node, '/run/netns/c1', 'net1'));
});

test('two VFs that came home with the same name are both restored', async () => {
  const node = createPodNode();
  const before = node.snapshot();
  await node.attach('c1', vf(node.device(0)));
  await node.attach('c2', vf(node.device(1)));
  node.world.destroySandbox('/run/netns/c1');
  node.world.destroySandbox('/run/netns/c2');
  assert.equal([linkOf(node.device(0)).name, linkOf(node.device(1)).name], ['net1', 'dev0']);
  await node.restart().recover();
  assert.is(node.snapshot(), before);
});

test('a VF whose name was given to another link meanwhile comes home under a new one, and that link keeps its own', async () => {
  const node = createPodNode();
  const device = node.device(0);
  const name = linkOf(device).name;
  const before = node.snapshot();
  await node.attach('c1', vf(device, { vlan: 3 }));
  const foreign = node.world.addLink(node.world.host, { name, kind: 'veth', up: true });
  await node.detach('c1');
  assert.is(node.engine.list().length, 0);
  assert.is(node.world.byName(node.world.host, name)?.kind, 'veth');
  const renamed = linkOf(device).name;
  assert.is.not(renamed, name);
  assert.ok(renamed.startsWith(name.replace(/[0-9]+$/, '')));
  // All but the name is as it was.
  node.world.destroySandbox('/run/netns/c1');
  node.world.host.links.delete(foreign.index);
  linkOf(device).name = name;
  assert.is(node.snapshot(), before);
});

test('a VF in its pod is not taken for one that came home', async () => {
  const node = createPodNode();
  await node.attach('c1', vf(node.device(0)));
  const before = node.snapshot();
  await node.engine.onDeviceHome(node.device(0).address);
  assert.is(node.snapshot(), before);
});

test('a VF that was made anew has no baseline any more, and its record goes', async () => {
  const node = createPodNode();
  const device = node.device(0);
  await node.attach('c1', vf(device, { vlan: 3 }));
  node.world.destroySandbox('/run/netns/c1');
  device.incarnation = 'another';
  settingsOf(device).vlan = 77;
  await node.detach('c1');
  assert.is(settingsOf(device).vlan, 77);
  assert.is(node.engine.list().length, 0);
  assert.is(node.reservations.reserved().length, 0);
});

test('a DEL aborts the running ADD and waits for its undo', async () => {
  const node = createPodNode();
  node.world.addSandbox('/run/netns/c1');
  const before = node.snapshot();
  let reached = (): void => undefined;
  let go = (): void => undefined;
  const atCreate = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const resume = new Promise<void>((resolve) => {
    go = resolve;
  });
  node.kernel.intercept(async (step) => {
    if (step.what !== 'link.create' || step.when !== 'after') return;
    reached();
    await resume;
  });
  const adding = reasonOf(node.attach('c1', macvlan()));
  await atCreate;
  const deleting = node.detach('c1');
  go();
  assert.is(await adding, 'operation-cancelled');
  await deleting;
  assert.is(node.snapshot(), before);
});

test('an ADD whose caller goes away is undone', async () => {
  for (const link of [macvlan(), ipvlan()]) {
    const node = createPodNode();
    node.world.addSandbox('/run/netns/c1');
    const before = node.snapshot();
    const caller = new AbortController();
    node.kernel.intercept((step) => {
      if (step.what === 'link.create') caller.abort();
    });
    assert.is(await reasonOf(node.attach('c1', link, { signal: caller.signal })), 'operation-cancelled');
    assert.is(node.snapshot(), before);
  }
});

test('a restore that fails is tried again until it holds, and shown meanwhile', async () => {
  const node = createPodNode();
  const before = node.snapshot();
  await node.attach('c1', vf(node.device(0), { trust: true }));
  node.world.refusedSettings.add('trust');
  assert.is(await reasonOf(node.detach('c1')), 'restore-incomplete');
  const row = node.engine.list()[0];
  assert.is(row?.state, 'stuck');
  assert.match(row?.problem ?? '', 'trust');
  // The address is free all the same: the VF has left the sandbox for certain.
  assert.is(node.reservations.reserved().length, 0);
  node.world.refusedSettings.clear();
  const restored = new Promise<void>((resolve) => {
    node.engine.subscribe(() => {
      if (node.engine.list().length === 0) resolve();
    });
  });
  node.clock.tick();
  await restored;
  node.world.destroySandbox('/run/netns/c1');
  assert.is(node.snapshot(), before);
});

test('an unfinished device is not given away', async () => {
  const node = createPodNode();
  await node.attach('c1', vf(node.device(0), { trust: true }), { pod: pod('a') });
  node.world.refusedSettings.add('trust');
  assert.is(await reasonOf(node.detach('c1')), 'restore-incomplete');
  assert.is(await reasonOf(node.attach('c2', vf(node.device(0)), { pod: pod('b') })), 'device-unfinished');
  await node.engine.stop();
});

test('an interface name that is taken is refused before anything changes', async () => {
  for (const link of ['macvlan', 'ipvlan', 'vf'] as const) {
    const node = createPodNode();
    node.world.addLink(node.world.addSandbox('/run/netns/c1'), { name: 'net1', kind: 'veth', up: true });
    const before = node.snapshot();
    const spec = link === 'vf' ? vf(node.device(0)) : link === 'macvlan' ? macvlan() : ipvlan();
    assert.is(await reasonOf(node.attach('c1', spec)), 'interface-name-taken', link);
    await node.detach('c1');
    assert.is(node.snapshot(), before, link);
  }
});

test('a name that is taken while the link is being made does not cost its owner anything', async () => {
  const node = createPodNode();
  const sandbox = node.world.addSandbox('/run/netns/c1');
  node.kernel.intercept((step) => {
    if (step.what === 'link.create' && step.when === 'before')
      node.world.addLink(sandbox, { name: 'net1', kind: 'veth', up: true });
  });
  assert.is(await reasonOf(node.attach('c1', macvlan())), 'interface-name-taken');
  node.kernel.intercept(undefined);
  await node.detach('c1');
  assert.ok(sandboxHas(node, '/run/netns/c1', 'net1'));
  assert.is(sandbox.links.size, 2);
});

test("the node's own namespace is refused as a sandbox", async () => {
  const node = createPodNode();
  const before = node.snapshot();
  const request = {
    key: { containerId: parseContainerId('c1'), ifname: parseIfName('net1') },
    network: 'net-a' as never,
    sandbox: node.kernel.host,
    sandboxPath: '/proc/1/ns/net',
    link: macvlan(),
    ipam: hostLocal(),
  };
  assert.is(
    await reasonOf(node.engine.attach(request, { requestId: 'r', signal: new AbortController().signal })),
    'sandbox-is-host',
  );
  assert.is(node.snapshot(), before);
});

test('the same attachment twice is refused, in a new sandbox it replaces the old one', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  assert.is(await reasonOf(node.attach('c1', macvlan())), 'attachment-exists');
  await node.attach('c1', macvlan(), { path: '/run/netns/second' });
  assert.not.ok(sandboxHas(node, '/run/netns/c1', 'net1'));
  assert.ok(sandboxHas(node, '/run/netns/second', 'net1'));
  assert.is(node.reservations.reserved().length, 1);
});

test('a DEL of a macvlan whose sandbox cannot be seen releases its address', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  node.kernel.hide('/run/netns/c1');
  await node.detach('c1', { path: '/none' });
  assert.is(node.engine.list().length, 0);
  assert.is(node.reservations.reserved().length, 0);
});

test("addresses of an earlier boot are released, other people's are not", async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  node.reservations.folder('/var/lib/cni/networks/net-a').files.set('10.1.0.99', 'somebody\r\neth0');
  node.records.files.clear();
  node.bootId = 'boot-2';
  const report = await node.restart().recover();
  assert.equal(report.released, ['c1@net1']);
  assert.equal(node.reservations.reserved(), ['10.1.0.99']);
  assert.is(node.owned.notes.size, 0);
});

test('a DEL of an earlier boot releases what was noted then, and nothing that is noted now', async () => {
  const node = createPodNode();
  const key = { containerId: parseContainerId('c1'), ifname: parseIfName('net1') };
  const operation = { requestId: 'spool', signal: new AbortController().signal };
  await node.attach('c1', macvlan());
  await node.engine.releaseAddresses(key, operation);
  assert.is(node.reservations.reserved().length, 1);
  node.records.files.clear();
  node.bootId = 'boot-2';
  const engine = node.restart();
  await engine.releaseAddresses({ ...key, ifname: parseIfName('net2') }, operation);
  assert.is(node.reservations.reserved().length, 1);
  await engine.releaseAddresses(key, operation);
  assert.is(node.reservations.reserved().length, 0);
  assert.is(node.owned.notes.size, 0);
});

test('a record of a newer version is kept, reported, and its DEL refused', async () => {
  const node = createPodNode();
  const key = { containerId: parseContainerId('c1'), ifname: parseIfName('net1') };
  node.records.files.set('c1@net1.json', { key, text: '{"schema":99}' });
  const engine = node.restart();
  assert.equal(
    (await engine.recover()).unreadable.map((entry) => entry.newer),
    [true],
  );
  assert.is(await reasonOf(node.detach('c1')), 'record-newer');
  assert.is(node.records.files.size, 1);
});

test('while the shim is being removed an ADD is refused for now and leaves nothing, and a DEL works', async () => {
  const node = createPodNode();
  await node.attach('old', macvlan());
  node.isShimBeingRemoved = true;
  for (const link of [macvlan(), vf(node.device(0), { vlan: 12 })]) {
    assert.is(await reasonOf(node.attach('new', link)), 'shim-being-removed');
    assert.equal(
      node.engine.list().map(({ containerId }) => containerId),
      ['old'],
    );
  }
  await node.detach('old');
  assert.equal(node.engine.list(), []);
  node.isShimBeingRemoved = false;
  await node.attach('new', macvlan());
});

test('CHECK accepts what ADD made and names what somebody changed', async () => {
  const node = createPodNode();
  const device = node.device(0);
  const result = await node.attach('c1', vf(device, { vlan: 12 }));
  const sandbox = node.openSandbox('c1');
  const check = (): Promise<void> =>
    node.engine.check(
      {
        key: { containerId: parseContainerId('c1'), ifname: parseIfName('net1') },
        sandbox,
        link: vf(device),
        expected: result,
      },
      { requestId: 'r', signal: new AbortController().signal },
    );
  await check();
  const changes: readonly [string, () => void, RegExp][] = [
    [
      'VLAN',
      () => {
        settingsOf(device).vlan = 13;
      },
      /vlan is 13, not 12/,
    ],
    [
      'MTU',
      () => {
        linkOf(device).mtu = 1400;
      },
      /net1 has MTU 1400, not 1500/,
    ],
    [
      'sysctl',
      () => {
        linkOf(device).arpNotify = false;
      },
      /net\.ipv4\.conf\.net1\.arp_notify is 0, not 1/,
    ],
    [
      'address',
      () => {
        linkOf(device).addresses = [];
      },
      /lacks the address 10\.1\.0\.2\/24/,
    ],
    [
      'route',
      () => {
        linkOf(device).routes = [];
      },
      /lacks the route 0\.0\.0\.0\/0/,
    ],
    [
      'state',
      () => {
        linkOf(device).up = false;
      },
      /net1 is down/,
    ],
    [
      'reservation',
      () => {
        node.reservations.folder('/var/lib/cni/networks/net-a').files.clear();
      },
      /10\.1\.0\.2 is not reserved/,
    ],
    [
      'name',
      () => {
        linkOf(device).name = 'other' as never;
      },
      /net1 is gone/,
    ],
  ];
  for (const [what, change, expected] of changes) {
    change();
    const failure = toBerthError(await check().catch((error: unknown) => error));
    assert.is(failure.reason, 'attachment-changed', what);
    assert.match(failure.message, expected);
  }
  sandbox.close();
});

test('CHECK is about what ADD promised, as far as the result that was kept still says it', async () => {
  const node = createPodNode();
  const result = await node.attach('c1', macvlan());
  const sandbox = node.openSandbox('c1');
  const check = (expected: Partial<typeof result>): Promise<void> =>
    node.engine.check(
      {
        key: { containerId: parseContainerId('c1'), ifname: parseIfName('net1') },
        sandbox,
        link: macvlan(),
        expected: { ...result, ...expected },
      },
      { requestId: 'r', signal: new AbortController().signal },
    );
  // What the runtime or another plugin added to the result is theirs.
  await check({
    addresses: [...result.addresses, { address: '192.0.2.7/24' }],
    routes: [...result.routes, { dst: '198.51.100.0/24', gateway: '192.0.2.1' }],
  });
  const inside = node.world.paths.get('/run/netns/c1');
  assert.ok(inside);
  const link = node.world.byName(inside, 'net1');
  assert.ok(link);
  // A later plugin took a route away and gave it another address, and its result says so.
  link.routes = [];
  link.mac = '02:00:00:00:00:99' as never;
  assert.is(await reasonOf(check({})), 'attachment-changed');
  await check({ routes: [], mac: '02:00:00:00:00:99' as never });
  sandbox.close();
});

test('CHECK finds the routes of a link that a chained plugin put into a VRF', async () => {
  const node = createPodNode();
  const table = 100;
  const spec = { ...hostLocal(), routes: [{ dst: '198.51.100.0/24', gateway: '10.1.0.1', table }] } as IpamSpec;
  const result = await node.attach('c1', macvlan(), { ipam: spec });
  const sandbox = node.openSandbox('c1');
  const check = (): Promise<void> =>
    node.engine.check(
      {
        key: { containerId: parseContainerId('c1'), ifname: parseIfName('net1') },
        sandbox,
        link: macvlan(),
        expected: result,
      },
      { requestId: 'r', signal: new AbortController().signal },
    );
  await check();
  const inside = node.world.paths.get('/run/netns/c1');
  const link = inside === undefined ? undefined : node.world.byName(inside, 'net1');
  assert.ok(link);
  link.routes = link.routes.map((route) => ({ ...route, table: 10 }));
  assert.is(await reasonOf(check()), 'attachment-changed');
  // Linux moves the routes of a port into the table of its VRF.
  link.masterIndex = 7;
  await check();
  sandbox.close();
});

test('stop undoes a running ADD', async () => {
  const node = createPodNode();
  node.world.addSandbox('/run/netns/c1');
  const before = node.snapshot();
  let stopping: Promise<void> | undefined;
  node.kernel.intercept((step) => {
    if (step.what === 'link.create') stopping ??= node.engine.stop();
  });
  assert.is(await reasonOf(node.attach('c1', macvlan())), 'agent-stopping');
  await stopping;
  assert.is(node.snapshot(), before);
});

test.run();
