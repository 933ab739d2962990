import assert from 'node:assert/strict';
import { test } from 'uvu';
import {
  createLiveInventory,
  type LiveInventory,
  type LiveInventoryOptions,
} from '../../../src/engine/inventory/live.ts';
import type { Inventory, Netdev } from '../../../src/engine/inventory/model.ts';
import type { ChangeHint, ChangeSource, NodeReader, VfSettingsAnswer } from '../../../src/engine/inventory/port.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { ManualClock } from '../../standins/manual-clock.ts';
import { inventory, netdev, nic } from './fixtures.ts';

/** A node whose state a test sets; reads can be held back and made to fail. */
class FakeNode implements NodeReader, ChangeSource {
  state: Inventory = inventory();
  readonly asked: string[] = [];
  fail: Error | undefined;
  settings: VfSettingsAnswer;
  isStopped = false;
  #gate: Promise<void> = Promise.resolve();
  #onHint: (hint: ChangeHint) => void = () => undefined;
  onGone: (nsid: number) => void = () => undefined;

  async start(onHint: (hint: ChangeHint) => void, onGone: (nsid: number) => void): Promise<() => Promise<void>> {
    this.#onHint = onHint;
    this.onGone = onGone;
    return async () => {
      this.isStopped = true;
    };
  }

  hint(hint: ChangeHint): void {
    this.#onHint(hint);
  }

  /** Full reads wait from now on; the answer lets them go on. */
  hold(): () => void {
    let open: () => void = () => undefined;
    this.#gate = new Promise((resolve) => (open = resolve));
    return open;
  }

  async read(): Promise<Inventory> {
    this.asked.push('read');
    const state = this.state;
    await this.#gate;
    if (this.fail !== undefined) throw this.fail;
    return state;
  }

  async reread(_previous: Inventory, hints: readonly ChangeHint[]): Promise<Inventory> {
    this.asked.push(`reread ${hints.map((hint) => hint.kind).join(' ')}`);
    if (this.fail !== undefined) throw this.fail;
    return this.state;
  }

  late: (hint: ChangeHint) => void = () => undefined;

  onLate(listener: (hint: ChangeHint) => void): void {
    this.late = listener;
  }

  async vfSettings(): Promise<VfSettingsAnswer> {
    this.asked.push('settings');
    return this.settings;
  }

  setMtu(mtuBytes: number): void {
    const [first, ...rest] = this.state.nics;
    if (first?.netdev === undefined) throw new Error('no NIC');
    const changed: Netdev = { ...first.netdev, mtuBytes };
    this.state = { ...this.state, nics: [{ ...first, netdev: changed }, ...rest] };
  }
}

const LINK: ChangeHint = { kind: 'link', ifindex: 3, ifname: 'eth1', action: 'new' };
const MOVED = parsePciAddress('0000:41:10.0');
const PF_LINK: ChangeHint = { kind: 'link', ifindex: 2, ifname: 'eth0', action: 'new' };

async function withLive(
  body: (live: LiveInventory, node: FakeNode, clock: ManualClock) => Promise<void>,
  more: Partial<LiveInventoryOptions> = {},
): Promise<void> {
  const node = new FakeNode();
  const clock = new ManualClock();
  const live = await createLiveInventory({ reader: node, changes: node, clock, ...more });
  try {
    await body(live, node, clock);
  } finally {
    await live.stop();
  }
}

const nextChange = (live: LiveInventory): Promise<readonly string[]> =>
  new Promise((resolve) => {
    const end = live.subscribe((diff) => {
      end();
      resolve([...diff.nics.changed, ...diff.vfs.changed].flatMap((change) => change.fields));
    });
  });

const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

const until = async (isTrue: () => boolean): Promise<void> => {
  for (let turn = 0; turn < 1000 && !isTrue(); turn += 1) await turns(1);
  assert.ok(isTrue());
};

test('it starts with a full read', async () => {
  await withLive(async (live, node) => {
    assert.equal(live.current, node.state);
    assert.equal(live.problem, undefined);
    assert.deepEqual(node.asked, ['read']);
  });
});

test('hints that come before the first read has ended are read after it', async () => {
  const node = new FakeNode();
  const open = node.hold();
  const starting = createLiveInventory({ reader: node, changes: node, clock: new ManualClock() });
  await turns();
  node.setMtu(9000);
  node.hint(LINK);
  open();
  const live = await starting;
  assert.deepEqual(await nextChange(live), ['netdev.mtuBytes']);
  await live.stop();
});

test('a first read that fails fails the start, and nothing listens then', async () => {
  const node = new FakeNode();
  node.fail = new Error('no /sys');
  await assert.rejects(createLiveInventory({ reader: node, changes: node }), /no \/sys/);
  assert.ok(node.isStopped);
});

test('a burst of hints is one re-read, each named once', async () => {
  await withLive(async (live, node) => {
    node.setMtu(9000);
    const changed = nextChange(live);
    for (let time = 0; time < 50; time += 1) {
      node.hint(LINK);
      node.hint({ kind: 'route' });
    }
    assert.deepEqual(await changed, ['netdev.mtuBytes']);
    assert.deepEqual(node.asked, ['read', 'reread link route']);
    assert.equal(live.current, node.state);
  });
});

test('a re-read that finds nothing new tells nobody', async () => {
  await withLive(async (live, node) => {
    live.subscribe(() => assert.fail('nothing changed'));
    node.hint(LINK);
    await until(() => node.asked.length === 2);
    await turns();
  });
});

test('changes are seen while a full scan runs, and are not undone by its older result', async () => {
  await withLive(async (live, node, clock) => {
    const open = node.hold();
    clock.tick();
    await until(() => node.asked.length === 2);
    node.setMtu(9000);
    const changed = nextChange(live);
    node.hint(LINK);
    assert.deepEqual(await changed, ['netdev.mtuBytes']);
    live.subscribe(() => assert.fail('the scan knows nothing newer'));
    open();
    await until(() => node.asked.length === 4);
    await turns();
    assert.deepEqual(node.asked, ['read', 'read', 'reread link', 'reread link']);
    assert.equal(live.current.nics[0]?.netdev?.mtuBytes, 9000);
  });
});

test('the slow scan finds what nobody announced', async () => {
  await withLive(async (live, node, clock) => {
    const changed = nextChange(live);
    node.setMtu(1400);
    clock.tick();
    assert.deepEqual(await changed, ['netdev.mtuBytes']);
  });
});

test('lost events lead to a full scan', async () => {
  await withLive(async (live, node) => {
    const changed = nextChange(live);
    node.setMtu(1400);
    node.hint({ kind: 'all', why: 'ENOBUFS' });
    assert.deepEqual(await changed, ['netdev.mtuBytes']);
    assert.deepEqual(node.asked, ['read', 'read']);
  });
});

test('whoever follows namespaces is told that notifications were lost, and at each slow scan', async () => {
  let missed = 0;
  const onMissed = (): void => {
    missed += 1;
  };
  await withLive(
    async (_live, node, clock) => {
      node.hint(LINK);
      await turns();
      assert.equal(missed, 0);
      node.hint({ kind: 'all', why: 'ENOBUFS' });
      await until(() => missed === 1);
      clock.tick();
      await until(() => missed === 2);
    },
    { onMissed },
  );
});

test('who asks for a scan while one runs gets a later one', async () => {
  await withLive(async (live, node) => {
    const open = node.hold();
    const first = live.refresh();
    node.setMtu(1400);
    const second = live.refresh();
    const third = live.refresh();
    open();
    await first;
    assert.equal(live.current.nics[0]?.netdev?.mtuBytes, 1500);
    await Promise.all([second, third]);
    assert.equal(live.current.nics[0]?.netdev?.mtuBytes, 1400);
    assert.deepEqual(node.asked, ['read', 'read', 'read']);
  });
});

test('a reader that fails leaves the inventory as it was, says so, and is tried again', async () => {
  await withLive(async (live, node, clock) => {
    const before = live.current;
    node.fail = new Error('EMFILE');
    node.setMtu(9000);
    node.hint(LINK);
    await until(() => live.problem !== undefined);
    assert.equal(live.problem, 'EMFILE');
    assert.equal(live.current, before);
    clock.tick();
    await until(() => node.asked.length === 3);
    node.fail = undefined;
    const changed = nextChange(live);
    await turns();
    clock.tick();
    assert.deepEqual(await changed, ['netdev.mtuBytes']);
    assert.equal(live.problem, undefined);
  });
});

test('a listener that throws does not keep the others from being told', async () => {
  const errors: unknown[] = [];
  const log = {
    debug: () => undefined,
    info: () => undefined,
    warn: () => undefined,
    error: (fields: object, message: string) => errors.push([message, fields]),
  };
  // Under this key alone the log writes an error with its message and trace.
  const err = new Error('broken listener');
  await withLive(
    async (live, node) => {
      live.subscribe(() => {
        throw err;
      });
      const changed = nextChange(live);
      node.setMtu(9000);
      node.hint(LINK);
      await changed;
      assert.deepEqual(errors, [['a listener of the inventory failed', { err }]]);
    },
    { log },
  );
});

test('VF settings are read apart when the PF changed, and put in', async () => {
  await withLive(async (live, node, clock) => {
    node.settings = { settings: new Map([[0, { vlan: 100 }]]), missing: [] };
    const changed = nextChange(live);
    node.hint(PF_LINK);
    assert.deepEqual(await changed, ['sriov', 'settings']);
    assert.deepEqual(live.current.nics[0]?.vfs[0]?.settings, { vlan: 100 });
    node.state = live.current;
    node.hint(PF_LINK);
    await until(() => node.asked.filter((asked) => asked.startsWith('reread')).length === 2);
    await turns();
    const timesAsked = () => node.asked.filter((asked) => asked === 'settings').length;
    assert.equal(timesAsked(), 1);
    clock.tick();
    await until(() => timesAsked() === 2);
    clock.tick();
    await turns();
    assert.equal(timesAsked(), 2);
  });
});

test('a VF that is new brings the settings of its PF', async () => {
  await withLive(async (_live, node) => {
    node.hint({ kind: 'pci', address: parsePciAddress('0000:10:02.0'), action: 'add' });
    await until(() => node.asked.includes('settings'));
  });
});

test('what the reader could only read later is read again', async () => {
  await withLive(async (live, node) => {
    const changed = nextChange(live);
    node.setMtu(9000);
    node.late(LINK);
    assert.deepEqual(await changed, ['netdev.mtuBytes']);
  });
});

test('the end of a namespace is passed on', async () => {
  const gone: number[] = [];
  await withLive(
    async (_live, node) => {
      node.onGone(7);
      assert.deepEqual(gone, [7]);
    },
    { onNamespaceGone: (nsid) => gone.push(nsid) },
  );
});

test('after the stop nothing is told, and nothing is waited for', async () => {
  await withLive(async (live, node, clock) => {
    live.subscribe(() => assert.fail('told after the stop'));
    node.hint(LINK);
    await live.stop();
    assert.ok(node.isStopped);
    node.state = { ...node.state, nics: [nic('0000:12:00.0', netdev('eth2', 9))] };
    node.hint(LINK);
    clock.tick();
    await turns();
    assert.equal(live.current.nics.length, 2);
    assert.equal(clock.pauses, 0);
  });
});

test('a PF that recovers from a PCI error says so until it has, whatever is read meanwhile', async () => {
  await withLive(async (live, node) => {
    const address = parsePciAddress('0000:10:00.0');
    const error = (recovery: 'begun' | 'over' | 'failed'): ChangeHint => ({
      kind: 'pci',
      address,
      action: 'change',
      recovery,
    });
    const resetting = (): string | undefined => live.current.nics[0]?.resetting;
    node.hint(error('begun'));
    assert.deepEqual(await nextChange(live), ['resetting']);
    assert.equal(resetting(), 'it recovers from a PCI error');
    node.setMtu(9000);
    node.hint(PF_LINK);
    assert.deepEqual(await nextChange(live), ['netdev.mtuBytes']);
    await live.refresh();
    assert.equal(resetting(), 'it recovers from a PCI error');
    assert.equal(live.current.nics[1]?.resetting, undefined);
    node.hint(error('failed'));
    assert.deepEqual(await nextChange(live), ['resetting']);
    assert.equal(resetting(), 'its recovery from a PCI error failed');
    node.hint(error('over'));
    assert.deepEqual(await nextChange(live), ['resetting']);
    assert.equal(resetting(), undefined);
  });
});

const rereads = (node: FakeNode): readonly string[] => node.asked.filter((what) => what.startsWith('reread'));

test('what is said of a device that is being moved is read once, when the move is over', async () => {
  let isMoving = true;
  await withLive(
    async (live, node) => {
      live.hint({ kind: 'link', ifindex: 7, ifname: 'net1', action: 'del', device: MOVED });
      live.hint({ kind: 'pci', address: MOVED, action: 'change' });
      live.hint(PF_LINK);
      await turns();
      assert.deepEqual(rereads(node), ['reread link'], 'what is said of others is not kept back');
      live.hint({ kind: 'link', ifindex: 7, ifname: 'net1', action: 'new', device: MOVED });
      await turns();
      assert.deepEqual(rereads(node), ['reread link']);
      isMoving = false;
      await until(() => rereads(node).length === 2);
      assert.equal(rereads(node)[1], 'reread link pci');
    },
    { isMoving: (device) => isMoving && device === MOVED },
  );
});

test('a move that does not end keeps nothing from the inventory for long', async () => {
  await withLive(
    async (live, node) => {
      live.hint({ kind: 'pci', address: MOVED, action: 'change' });
      await turns();
      assert.deepEqual(rereads(node), []);
      // The clock goes on by a millisecond each time that somebody looks at it.
      for (let round = 0; round < 5 && rereads(node).length === 0; round += 1) await turns(1000);
      assert.deepEqual(rereads(node), ['reread pci']);
    },
    { isMoving: () => true },
  );
});

test.run();
