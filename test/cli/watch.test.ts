import assert from 'node:assert/strict';
import { test } from 'uvu';
import type { ProgramDeps, Terminal } from '../../src/cli/port.ts';
import { watchCommand } from '../../src/cli/watch/command.ts';
import { keysIn } from '../../src/cli/watch/keys.ts';
import { renderScreen } from '../../src/cli/watch/screen.ts';
import { afterKey, FIRST_STATE, rowsOf, type WatchState } from '../../src/cli/watch/state.ts';
import { BerthError } from '../../src/engine/errors.ts';
import { type FeedDocument, feedDocument } from '../../src/engine/feed/document.ts';
import { parsePciAddress } from '../../src/engine/values.ts';
import { inventory, netdev, nic } from '../engine/inventory/fixtures.ts';
import { noTerminal } from './no-terminal.ts';

const HELD = parsePciAddress('0000:10:02.0');
const SIZE = { columns: 100, rows: 10 };

function documentOf(): FeedDocument {
  const finding = {
    id: 'pf-down',
    severity: 'error',
    subject: 'x',
    evidence: 'eth1 is down',
    remedy: 'Set it up.',
  } as const;
  return feedDocument({
    inventory: inventory({ findings: [finding] }),
    pools: { [HELD]: 'berth.dev/vf' },
    owners: { [HELD]: { pod: 'default/web-0', containerId: 'c', ifname: 'net1', since: '' } },
  });
}

const LIVE: WatchState = { ...FIRST_STATE, document: documentOf(), connection: 'live' };
const typed = (state: WatchState, chunk: string): WatchState =>
  keysIn(chunk).reduce((before, key) => afterKey(before, key, 5), state);
const addresses = (state: WatchState) => rowsOf(state).map((row) => row.address.trim());

test('keys are told apart, several in one chunk too, and unknown sequences are left out', () => {
  assert.deepEqual(
    keysIn('a\u001b[A\u001b[5~\u001b[1;5C\u001bOPö\u001b').map((key) => (key.kind === 'text' ? key.text : key.kind)),
    ['a', 'up', 'page-up', 'ö', 'escape'],
  );
});

test('a narrow terminal shows who has a device rather than on what it is', () => {
  const titles = (columns: number, sort: WatchState['sort'] = 'address') =>
    renderScreen({ ...LIVE, sort }, { columns, rows: 10 }, false)[1]
      ?.trim()
      .split(/ +/);
  assert.deepEqual(titles(110), ['ADDRESS', 'IFNAME', 'DRIVER', 'LINK', 'NUMA', 'STATE', 'POOL', 'OWNER']);
  assert.deepEqual(titles(80), ['ADDRESS', 'IFNAME', 'LINK', 'STATE', 'POOL', 'OWNER']);
  assert.deepEqual(titles(80, 'driver'), ['ADDRESS', 'IFNAME', 'DRIVER', 'STATE', 'POOL', 'OWNER']);
  assert.deepEqual(titles(50), ['ADDRESS', 'STATE', 'OWNER']);
});

test('scalable functions stand below their NIC, follow the pools and can be searched', () => {
  const parent = parsePciAddress('0000:10:00.0');
  const scalable = [{ name: 'mlx5_core.sf.2', sfnum: 88, parent, driver: 'mlx5_core.sf' }];
  const view = { inventory: inventory({ nics: [nic(parent, netdev('eth0', 2), [], { scalable })] }), owners: {} };
  const before = feedDocument({ ...view, pools: {} });
  assert.equal(feedDocument({ ...view, pools: {} }, before).devices.get(parent), before.devices.get(parent));
  const offered = feedDocument({ ...view, pools: { 'mlx5_core.sf.2': 'berth.dev/sf' } }, before);
  const rows = (document: FeedDocument, filter = '') =>
    rowsOf({ ...LIVE, document, filter }).map(({ address, ifname, pool, state }) => [address, ifname, state, pool]);
  assert.deepEqual(rows(before), [
    ['0000:10:00.0', 'eth0', 'unused', ''],
    ['  mlx5_core.sf.2', 'sf 88', 'unused', ''],
  ]);
  assert.deepEqual(rows(offered, 'SF.2'), [['  mlx5_core.sf.2', 'sf 88', 'free', 'berth.dev/sf']]);
});

test('the screen has exactly the lines of the terminal, none wider than it', () => {
  for (const size of [SIZE, { columns: 40, rows: 5 }, { columns: 10, rows: 2 }]) {
    const lines = renderScreen(LIVE, size, false);
    assert.equal(lines.length, size.rows);
    for (const line of lines) assert.ok(line.length <= size.columns, `${line.length}: ${line}`);
  }
});

test('the screen shows devices with their owner, and no colour unless asked for', () => {
  const lines = renderScreen(LIVE, SIZE, false);
  assert.match(lines[0] ?? '', /^node-1 {2}live {2}2 VFs: 0 free, 1 taken, 0 broken, 1 unused {2}1 findings/);
  assert.match(lines[1] ?? '', /^ {2}ADDRESS +IFNAME +DRIVER/);
  assert.match(lines[2] ?? '', /^> 0000:10:00\.0 +eth0 +i40e/);
  assert.match(lines[3] ?? '', /0000:10:02\.0 .*taken +berth\.dev\/vf +default\/web-0 net1/);
  assert.equal(lines.join('').includes('\u001b'), false);
  assert.ok(renderScreen(LIVE, SIZE, true).join('').includes('\u001b[7m'));
});

test('a filter is typed, applied at once, and taken back', () => {
  const filtered = typed(LIVE, '/web-0');
  assert.equal(filtered.isTyping, true);
  assert.deepEqual(addresses(filtered), [HELD]);
  assert.match(renderScreen(filtered, SIZE, false).at(-1) ?? '', /^\/web-0_/);
  assert.deepEqual(addresses(typed(filtered, '\u007f\u007f\u007f\u007f\u007f')), addresses(LIVE));
  const applied = typed(filtered, '\r');
  assert.equal(applied.isTyping, false);
  assert.equal(typed(applied, '\u001b').filter, '');
});

test('s goes through the columns, r turns the order round, and what is empty comes last', () => {
  const byName = typed(LIVE, 's');
  assert.equal(byName.sort, 'ifname');
  assert.deepEqual(addresses(byName), ['0000:10:02.1', '0000:10:00.0', '0000:10:02.0', '0000:11:00.0']);
  const byOwner = typed(LIVE, 'sssssss');
  assert.equal(byOwner.sort, 'owner');
  assert.equal(addresses(byOwner)[0], HELD);
  assert.equal(addresses(typed(LIVE, 'r'))[0], '0000:11:00.0');
});

test('the selection moves and stays within the rows', () => {
  assert.equal(typed(LIVE, 'kk').selected, 0);
  assert.equal(typed(LIVE, 'jj').selected, 2);
  assert.equal(typed(LIVE, 'G').selected, 3);
  assert.equal(typed(LIVE, '\u001b[6~\u001b[6~').selected, 3);
  assert.equal(typed(LIVE, 'Gg').selected, 0);
});

test('findings are shown and left again', () => {
  const shown = typed(LIVE, 'f');
  assert.match(renderScreen(shown, SIZE, false).join('\n'), /error pf-down: eth1 is down\n {4}Set it up\./);
  assert.equal(typed(shown, '\u001b').showsFindings, false);
});

test('nothing that a name holds reaches the terminal', () => {
  const { document } = LIVE;
  assert.ok(document);
  const evil = { ...document, node: { name: 'x\u001b[2J\n' } };
  assert.ok((renderScreen({ ...LIVE, document: evil }, SIZE, false)[0] ?? '').startsWith('x?[2J?'));
});

interface FakeTerminal extends Terminal {
  type(chunk: string): void;
  readonly written: string[];
  readonly isOpen: () => boolean;
}

function fakeTerminal(): FakeTerminal {
  let input: ((chunk: string) => void) | undefined;
  const written: string[] = [];
  return {
    ...noTerminal,
    isInteractive: true,
    size: () => SIZE,
    write: (text) => void written.push(text),
    open(onInput) {
      input = onInput;
      return () => {
        input = undefined;
      };
    },
    type: (chunk) => input?.(chunk),
    written,
    isOpen: () => input !== undefined,
  };
}

function depsOf(terminal: Terminal, follow: ProgramDeps['follow'], agent: ProgramDeps['agent']): ProgramDeps {
  return { terminal, follow, agent, output: { color: false } } as unknown as ProgramDeps;
}

const there = (async () => ({})) as ProgramDeps['agent'];

test('without a terminal it is refused, before anything is asked', async () => {
  const deps = depsOf(
    noTerminal,
    () => Promise.reject(new Error('asked')),
    () => Promise.reject(new Error('asked')),
  );
  await assert.rejects(watchCommand(deps)({ runDir: '/r' }), { reason: 'not-a-terminal' });
});

test('without an agent the screen is not taken', async () => {
  const terminal = fakeTerminal();
  const away = new BerthError({ code: 'NotFound', reason: 'agent-away', message: 'no agent' });
  const deps = depsOf(
    terminal,
    async () => undefined,
    () => Promise.reject(away),
  );
  await assert.rejects(watchCommand(deps)({ runDir: '/r' }), { reason: 'agent-away' });
  assert.deepEqual(terminal.written, []);
});

for (const key of ['q', '\u0003']) {
  test(`${JSON.stringify(key)} ends it, and the terminal is given back`, async () => {
    const terminal = fakeTerminal();
    const follow: ProgramDeps['follow'] = async (_runDir, onDocument, signal) => {
      onDocument(documentOf());
      terminal.type(key);
      assert.ok(signal.aborted);
    };
    assert.equal(await watchCommand(depsOf(terminal, follow, there))({ runDir: '/r' }), 0);
    assert.equal(terminal.isOpen(), false);
    assert.ok(terminal.written.some((text) => text.includes('default/web-0')));
  });
}

test('a stream that ends is said, and opened again', async () => {
  const terminal = fakeTerminal();
  let opened = 0;
  const follow: ProgramDeps['follow'] = async (_runDir, onDocument) => {
    opened += 1;
    if (opened === 1) throw new Error('connection reset');
    onDocument(documentOf());
    terminal.type('q');
  };
  await watchCommand(depsOf(terminal, follow, there))({ runDir: '/r' });
  assert.equal(opened, 2);
  assert.ok(terminal.written.some((text) => text.includes('connection reset')));
});

test.run();
