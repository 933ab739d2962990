/** Notes of own addresses, as lines of a real file. */
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import type { OwnedAddress } from '../../../src/engine/ipam/port.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../../src/engine/values.ts';
import { createOwnedAddresses } from '../../../src/linux/files/owned-addresses.ts';

const test = suite<{ folder: string }>('notes of addresses', { folder: '' });
const network = parseNetworkName('net');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-notes-'));
});
test.after.each((context) => rmSync(context.folder, { recursive: true, force: true }));

function ownerOf(container: string, ifname = 'a@b') {
  return { network, containerId: parseContainerId(container), ifname: parseIfName(ifname) };
}

function noteOf(container: string, dataDir = '/var/lib/cni/networks'): OwnedAddress {
  return { bootId: 'b', place: { type: 'host-local', dataDir }, ...ownerOf(container) };
}

const linesOf = (folder: string): readonly string[] =>
  readFileSync(join(folder, 'notes'), 'utf8').split('\n').slice(0, -1);
/** What another agent finds after this one was killed. */
const found = (folder: string) => createOwnedAddresses(folder).list();
const containersIn = (folder: string): readonly string[] => found(folder).notes.map(({ containerId }) => containerId);

test('notes survive, and are forgotten once', ({ folder }) => {
  const notes = createOwnedAddresses(folder);
  const delegated: OwnedAddress = {
    bootId: 'b',
    place: {
      type: 'delegated',
      program: 'dhcp',
      stdin: '{"name":"nët\n"}',
      cniPath: '/opt',
      cniArgs: '',
      foundAt: '/opt/dhcp',
    },
    ...ownerOf('c.2'),
  };
  notes.note(noteOf('c.1'));
  notes.note(delegated);
  assert.equal(notes.list(), { notes: [noteOf('c.1'), delegated], unreadable: [] });
  assert.equal(found(folder), notes.list());
  notes.forget(ownerOf('c.1'));
  notes.forget(ownerOf('c.1'));
  assert.equal(found(folder), { notes: [delegated], unreadable: [] });
  assert.equal(createOwnedAddresses(folder).list(), notes.list());
});

test('the file is for root only, and made with the first note', ({ folder }) => {
  const notes = createOwnedAddresses(join(folder, 'addresses'));
  notes.forget(ownerOf('c1'));
  assert.equal(readdirSync(join(folder, 'addresses')), []);
  notes.note(noteOf('c1'));
  assert.is(statSync(join(folder, 'addresses')).mode & 0o777, 0o700);
  assert.is(statSync(join(folder, 'addresses', 'notes')).mode & 0o777, 0o600);
  assert.equal(readdirSync(join(folder, 'addresses')), ['notes']);
});

test('an owner has one note, the last', ({ folder }) => {
  const notes = createOwnedAddresses(folder);
  notes.note(noteOf('c1', '/one'));
  notes.note(noteOf('c1', '/two'));
  assert.equal(found(folder).notes, [noteOf('c1', '/two')]);
  notes.forget(ownerOf('c1'));
  assert.equal(found(folder).notes, []);
});

test('whoever was killed between the new note and striking out the old one leaves no old one behind', ({ folder }) => {
  createOwnedAddresses(folder).note(noteOf('c1', '/one'));
  const [line] = linesOf(folder);
  appendFileSync(join(folder, 'notes'), `${line?.replace('/one', '/two')}\n`);
  const notes = createOwnedAddresses(folder);
  assert.equal(notes.list().notes, [noteOf('c1', '/two')]);
  notes.forget(ownerOf('c1'));
  assert.equal(found(folder).notes, []);
});

test('a line that was being written is none, wherever it was cut off', ({ folder }) => {
  const path = join(folder, 'notes');
  const notes = createOwnedAddresses(folder);
  notes.note(noteOf('c1'));
  const whole = statSync(path).size;
  notes.note(noteOf('c2'));
  for (let bytes = statSync(path).size - 1; bytes >= whole; bytes -= 7) {
    truncateSync(path, bytes);
    const again = createOwnedAddresses(folder);
    assert.equal(again.list(), { notes: [noteOf('c1')], unreadable: [] });
    again.note(noteOf('c3'));
    assert.equal(containersIn(folder), ['c1', 'c3']);
    again.forget(ownerOf('c3'));
    assert.equal(containersIn(folder), ['c1']);
    createOwnedAddresses(folder).note(noteOf('c2', `/${'x'.repeat(100)}`));
  }
});

test('what is no note is named and stays', ({ folder }) => {
  const path = join(folder, 'notes');
  const strange = '{"schema":2,"of":"a later release"}';
  writeFileSync(path, `${strange}\n`);
  writeFileSync(join(folder, 'README'), 'x');
  const notes = createOwnedAddresses(folder);
  const unreadable = [path, join(folder, 'README')];
  for (let number = 0; number < 1000; number += 1) {
    notes.note(noteOf('c1'));
    notes.forget(ownerOf('c1'));
  }
  notes.note(noteOf('c2'));
  assert.equal(notes.list(), { notes: [noteOf('c2')], unreadable });
  assert.equal(found(folder), notes.list());
  assert.is(linesOf(folder)[0], strange);
});

test("the first release's files are notes until they are forgotten", ({ folder }) => {
  const path = join(folder, 'c1@a@b.json');
  const { place: _place, ...rest } = noteOf('c1');
  writeFileSync(path, `${JSON.stringify({ schema: 1, ...rest, dataDir: '/old' })}\n`);
  writeFileSync(join(folder, 'c2@net1.json'), '{"schema":1');
  writeFileSync(join(folder, '.new-c3@net1.json'), '{"schema":1');
  const notes = createOwnedAddresses(folder);
  assert.equal(notes.list(), { notes: [noteOf('c1', '/old')], unreadable: [join(folder, 'c2@net1.json')] });
  notes.note(noteOf('c1', '/new'));
  assert.equal(notes.list().notes, [noteOf('c1', '/new')]);
  notes.forget(ownerOf('c1'));
  assert.equal(found(folder).notes, []);
  assert.not(readdirSync(folder).includes('c1@a@b.json'));
});

test('thousands of pods that come and go leave a small file', ({ folder }) => {
  const notes = createOwnedAddresses(folder);
  notes.note(noteOf('stays'));
  for (let number = 0; number < 3000; number += 1) {
    notes.note(noteOf(`c${number}`));
    notes.forget(ownerOf(`c${number}`));
  }
  assert.ok(statSync(join(folder, 'notes')).size < 256 * 1024);
  assert.equal(containersIn(folder), ['stays']);
});

test('a file that somebody removed is written anew, with all that is noted', ({ folder }) => {
  const notes = createOwnedAddresses(folder);
  notes.note(noteOf('c1'));
  rmSync(join(folder, 'notes'));
  notes.note(noteOf('c2'));
  assert.equal(containersIn(folder), ['c1', 'c2']);
  rmSync(join(folder, 'notes'));
  notes.forget(ownerOf('c1'));
  assert.equal(containersIn(folder), ['c2']);
});

test('a folder that somebody removed is a named error, and nothing is taken for noted', ({ folder }) => {
  const notes = createOwnedAddresses(join(folder, 'addresses'));
  rmSync(join(folder, 'addresses'), { recursive: true });
  try {
    notes.note(noteOf('c1'));
    assert.unreachable();
  } catch (error) {
    const { code, reason, message } = toBerthError(error);
    assert.equal([code, reason], ['Io', 'address-note-failed']);
    assert.match(message, /ENOENT/);
  }
  assert.equal(notes.list().notes, []);
});

test('a symbolic link in the place of the file is not followed', ({ folder }) => {
  const foreign = join(folder, 'foreign');
  writeFileSync(foreign, 'not ours\n');
  const notes = createOwnedAddresses(join(folder, 'addresses'));
  symlinkSync(foreign, join(folder, 'addresses', 'notes'));
  assert.throws(() => notes.note(noteOf('c1')), /ELOOP/);
  assert.throws(() => createOwnedAddresses(join(folder, 'addresses')), /ELOOP/);
  assert.is(readFileSync(foreign, 'utf8'), 'not ours\n');
});

test('whatever is noted, forgotten and interrupted, in whatever order, is found again', () => {
  const container = fc.constantFrom('c1', 'c2', 'c3');
  const step = fc.oneof(
    fc.record({ note: container, dataDir: fc.constantFrom('/a', '/b') }),
    fc.record({ forget: container }),
    fc.record({ restart: fc.constantFrom('', '{"schema":1,', '-', '{') }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const folder = mkdtempSync(join(tmpdir(), 'berth-notes-'));
      try {
        let notes = createOwnedAddresses(folder);
        const expected = new Map<string, OwnedAddress>();
        for (const each of steps) {
          if ('note' in each) {
            notes.note(noteOf(each.note, each.dataDir));
            expected.set(each.note, noteOf(each.note, each.dataDir));
          } else if ('forget' in each) {
            notes.forget(ownerOf(each.forget));
            expected.delete(each.forget);
          } else {
            appendFileSync(join(folder, 'notes'), each.restart);
            notes = createOwnedAddresses(folder);
          }
        }
        for (const { notes: known, unreadable } of [notes.list(), found(folder)]) {
          assert.equal(new Map(known.map((note) => [String(note.containerId), note])), expected);
          assert.equal(unreadable, []);
        }
      } finally {
        rmSync(folder, { recursive: true });
      }
    }),
  );
});

test.run();
