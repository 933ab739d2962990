/**
 * Netlink against real virtual functions (igb) and ipvlan, which only the lab's machine has. The
 * suite shares the machine: it gives every VF and setting back.
 */
import * as assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'uvu';
import type { Namespace } from '../../../src/engine/attachments/port.ts';
import { BerthError } from '../../../src/engine/errors.ts';
import type { ChangeHint } from '../../../src/engine/inventory/port.ts';
import { type IfName, parseIfName, parseMacAddress } from '../../../src/engine/values.ts';
import { createChangeSource } from '../../../src/linux/changes.ts';
import { createKernel } from '../../../src/linux/kernel.ts';
import { createHostFacts } from '../../../src/linux/netlink/host-facts.ts';
import { makeNamedNamespace } from '../../kernel/own-namespace.ts';

const PF = parseIfName('eth0');
const SECOND = parseIfName('eth1');
const VFS = 4;
const NUMVFS = `/sys/class/net/${PF}/device/sriov_numvfs`;

const kernel = createKernel({ pciFunction: async () => undefined });
const facts = createHostFacts();
const hints: ChangeHint[] = [];
let onNews = (): void => undefined;
let stop = async (): Promise<void> => undefined;

async function until<T>(find: () => Promise<T | undefined>): Promise<T> {
  for (;;) {
    const news = new Promise<void>((resolve) => {
      onNews = resolve;
    });
    const found = await find();
    if (found !== undefined) return found;
    await news;
  }
}

async function indexOf(name: IfName): Promise<number> {
  const link = await kernel.host.link({ name });
  assert.ok(link, name);
  return link.index;
}

/** Netdevs of the PF's VFs, when all are there. */
async function vfNames(): Promise<readonly string[] | undefined> {
  const device = `/sys/class/net/${PF}/device`;
  const names = Array.from({ length: VFS }, (_, vf) => {
    const folder = `${device}/virtfn${vf}/net`;
    try {
      return readdirSync(folder)[0];
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    }
  });
  return names.every((name) => name !== undefined) ? names : undefined;
}

async function refused(doing: Promise<unknown>): Promise<BerthError> {
  try {
    await doing;
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
  return assert.fail('it succeeded');
}

async function inSandbox(run: (sandbox: Namespace) => Promise<void>): Promise<void> {
  const place = makeNamedNamespace();
  try {
    const sandbox = await kernel.open(place.path);
    assert.ok(sandbox);
    try {
      await run(sandbox);
    } finally {
      sandbox.close();
    }
  } finally {
    place.remove();
  }
}

let vfsBefore = '0';

test.before(async () => {
  stop = await createChangeSource().start(
    (hint) => {
      hints.push(hint);
      onNews();
    },
    () => undefined,
  );
  vfsBefore = readFileSync(NUMVFS, 'utf8').trim();
  if (vfsBefore !== '0') writeFileSync(NUMVFS, '0');
  writeFileSync(NUMVFS, String(VFS));
  await until(vfNames);
});

test.after(async () => {
  writeFileSync(NUMVFS, '0');
  if (vfsBefore !== '0') writeFileSync(NUMVFS, vfsBefore);
  await stop();
  facts.close();
  kernel.close();
});

test('virtual functions that are made are heard of, by PCI address', async () => {
  const links = await facts.links();
  const vf = readdirSync(`/sys/class/net/${PF}/device/virtfn0/net`)[0];
  const address = links.find((link) => link.name === vf)?.pci;
  assert.ok(address);
  assert.ok(hints.some((hint) => hint.kind === 'pci' && hint.address === address && hint.action === 'add'));
  assert.ok(hints.some((hint) => hint.kind === 'link' && hint.ifname === vf));
});

test('a PF tells its address and its driver', async () => {
  const link = await kernel.host.link({ name: PF });
  assert.match(String(link?.pci), /^0000:[0-9a-f]{2}:00\.0$/);
  const info = await facts.driverInfo(PF);
  assert.equal(info?.driver, 'igb');
  assert.equal(info?.busInfo, link?.pci);
});

test('every VF is listed with its settings', async () => {
  const list = await facts.vfList(await indexOf(PF));
  assert.deepEqual([...(list?.settings.keys() ?? [])], [0, 1, 2, 3]);
  assert.deepEqual(list?.missing, []);
  assert.equal(list?.settings.get(0)?.spoofCheck, true);
  assert.equal(list?.settings.get(0)?.trust, false);
  assert.equal(list?.settings.get(0)?.vlan, 0);
});

const MAC = parseMacAddress('02:00:00:00:aa:01');

test('settings of a VF are made and read back', async () => {
  const index = await indexOf(PF);
  const set = { mac: MAC, vlan: 100, vlanQos: 3, spoofCheck: false, trust: true };
  await kernel.host.apply([{ op: 'vf.set', index, vf: 1, set }]);
  const state = await kernel.host.vfSettings(index, 1);
  assert.ok(state);
  const { mac, vlan, vlanQos, spoofCheck, trust } = state;
  assert.deepEqual({ mac, vlan, vlanQos, spoofCheck, trust }, set);
  const zero = parseMacAddress('00:00:00:00:00:00');
  const back = { mac: zero, vlan: 0, vlanQos: 0, spoofCheck: true, trust: false };
  await kernel.host.apply([{ op: 'vf.set', index, vf: 1, set: back }]);
  const after = await kernel.host.vfSettings(index, 1);
  assert.deepEqual([after?.mac, after?.vlan, after?.spoofCheck, after?.trust], [zero, 0, true, false]);
});

test('a setting that the driver refuses is named, and the others are made', async () => {
  const index = await indexOf(PF);
  const error = await refused(
    kernel.host.apply([{ op: 'vf.set', index, vf: 2, set: { trust: true, linkState: 'disable' } }]),
  );
  assert.deepEqual([error.op, error.code, error.errno], ['vf.set link-state', 'Unsupported', 'EOPNOTSUPP']);
  assert.equal((await kernel.host.vfSettings(index, 2))?.trust, true);
  await kernel.host.apply([{ op: 'vf.set', index, vf: 2, set: { trust: false } }]);
});

const REFUSALS = [
  { name: 'a provider VLAN', set: { vlan: 10, vlanProto: '802.1ad' as const }, errno: 'EPROTONOSUPPORT' },
  { name: 'a lower rate', set: { minTxRateMbps: 10, maxTxRateMbps: 100 }, errno: 'EINVAL' },
  { name: 'a lower rate alone', set: { minTxRateMbps: 10 }, errno: 'EINVAL' },
];

for (const { name, set, errno } of REFUSALS) {
  test(`igb refuses ${name}, and changes nothing`, async () => {
    const index = await indexOf(PF);
    const before = await kernel.host.vfSettings(index, 0);
    const error = await refused(kernel.host.apply([{ op: 'vf.set', index, vf: 0, set }]));
    assert.equal(error.errno, errno, error.message);
    assert.deepEqual(await kernel.host.vfSettings(index, 0), before);
  });
}

test('a VF that is not there is refused', async () => {
  const index = await indexOf(PF);
  const error = await refused(kernel.host.apply([{ op: 'vf.set', index, vf: 99, set: { trust: true } }]));
  assert.equal(error.code, 'Invalid');
  assert.equal(await kernel.host.vfSettings(index, 99), undefined);
});

test('a VF goes into a sandbox and comes back, known by its PCI address', () =>
  inSandbox(async (sandbox) => {
    const [name] = (await vfNames()) ?? [];
    assert.ok(name);
    const before = await kernel.host.link({ name });
    assert.ok(before?.pci);
    const inside = parseIfName('net1');
    await kernel.host.apply([{ op: 'link.set', index: before.index, name: inside, moveTo: sandbox }]);
    const moved = await sandbox.link({ name: inside });
    assert.equal(moved?.pci, before.pci);
    assert.equal(moved?.mac, before.mac);
    assert.equal(await kernel.host.link({ name }), undefined);
    assert.ok(moved);
    const back = {
      op: 'link.set',
      index: moved.index,
      up: false,
      name: parseIfName(name),
      moveTo: kernel.host,
    } as const;
    await sandbox.apply([back]);
    assert.equal((await kernel.host.link({ name }))?.pci, before.pci);
  }));

for (const mode of ['l2', 'l3', 'l3s'] as const) {
  for (const flag of ['bridge', 'private', 'vepa'] as const) {
    test(`an ipvlan is born in the sandbox: ${mode}, ${flag}`, () =>
      inSandbox(async (sandbox) => {
        const parentIndex = await indexOf(SECOND);
        const name = parseIfName('ipv0');
        await kernel.host.apply([{ op: 'link.create', kind: 'ipvlan', name, parentIndex, into: sandbox, mode, flag }]);
        const link = await sandbox.link({ name });
        assert.deepEqual(link?.ipvlan, { mode, flag });
        assert.equal(link?.kind, 'ipvlan');
        assert.equal(link?.parentIndex, parentIndex);
        assert.ok(link);
        await sandbox.apply([{ op: 'link.delete', index: link.index }]);
      }));
  }
}

test('ipvlan and macvlan exclude each other on one uplink', () =>
  inSandbox(async (sandbox) => {
    const parentIndex = await indexOf(SECOND);
    const [one, two] = [parseIfName('one'), parseIfName('two')];
    await kernel.host.apply([
      { op: 'link.create', kind: 'ipvlan', name: one, parentIndex, into: sandbox, mode: 'l2', flag: 'bridge' },
    ]);
    const error = await refused(
      kernel.host.apply([
        { op: 'link.create', kind: 'macvlan', name: two, parentIndex, into: sandbox, mode: 'bridge' },
      ]),
    );
    assert.deepEqual([error.code, error.errno, error.op], ['Busy', 'EBUSY', 'link.create macvlan']);
    const link = await sandbox.link({ name: one });
    assert.ok(link);
    await sandbox.apply([{ op: 'link.delete', index: link.index }]);
  }));

test('a VLAN link tells its id', async () => {
  execFileSync('ip', ['link', 'add', 'link', SECOND, 'name', 'tagged', 'type', 'vlan', 'id', '100']);
  try {
    const link = (await facts.links()).find((each) => each.name === 'tagged');
    assert.deepEqual([link?.kind, link?.vlanId, link?.parentIndex], ['vlan', 100, await indexOf(SECOND)]);
  } finally {
    execFileSync('ip', ['link', 'del', 'tagged']);
  }
});

test.run();
