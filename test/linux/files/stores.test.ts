/** Records and reservations as real files. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toBerthError } from '../../../src/engine/errors.ts';
import { releaseAddresses } from '../../../src/engine/ipam/host-local.ts';
import { parseContainerId, parseIfName, parseNetworkName } from '../../../src/engine/values.ts';
import { tryLock } from '../../../src/linux/ffi/file.ts';
import { createRecordStore } from '../../../src/linux/files/record-store.ts';
import { createReservationStore } from '../../../src/linux/files/reservation-store.ts';
import { waitingClock } from '../../standins/waiting-clock.ts';

interface Context {
  folder: string;
}

const test = suite<Context>('files', { folder: '' });
const key = { containerId: parseContainerId('c.1'), ifname: parseIfName('a@b') };
const network = parseNetworkName('net');
const never = new AbortController().signal;

function linkOf(fd: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined;
  }
}

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-files-'));
});
test.after.each((context) => rmSync(context.folder, { recursive: true, force: true }));

test('a record is written, listed with its key, replaced and removed', ({ folder }) => {
  const store = createRecordStore(join(folder, 'attachments'));
  store.write(key, 'one');
  store.write(key, 'two');
  assert.equal(createRecordStore(join(folder, 'attachments')).list(), [{ name: 'c.1@a@b.json', key, text: 'two' }]);
  store.remove(key);
  store.remove(key);
  assert.equal(store.list(), []);
});

test('a record that fits a page is changed in place, longer or shorter, and reads as it was written', ({ folder }) => {
  const path = join(folder, 'c.1@a@b.json');
  const store = createRecordStore(folder);
  const texts = ['{"phase":"adding"}', `{"phase":"${'x'.repeat(3000)}"}`, '{}', '{"phase":"ä"}'];
  const inodes = texts.map((text) => {
    store.write(key, text);
    assert.equal(JSON.parse(readFileSync(path, 'utf8')), JSON.parse(text));
    assert.is.not(statSync(path).size > 4096, true);
    return statSync(path).ino;
  });
  assert.is(new Set(inodes).size, 1);
});

test('a record that does not fit a page is replaced by a whole one, and one that was removed is there again', ({
  folder,
}) => {
  const path = join(folder, 'c.1@a@b.json');
  const store = createRecordStore(folder);
  const long = `"${'x'.repeat(5000)}"`;
  for (const text of ['"a"', long, '"b"', '"c"']) {
    const before = existsSync(path) ? openSync(path, 'r') : undefined;
    store.write(key, text);
    assert.is(readFileSync(path, 'utf8').trim(), text);
    if (before === undefined) continue;
    // Whoever had it open has the old one, where it was replaced.
    assert.is(readFileSync(before, 'utf8').trim() === text, text === '"c"');
    closeSync(before);
  }
  rmSync(path);
  store.write(key, '"d"');
  assert.is(readFileSync(path, 'utf8'), '"d"');
  store.remove(key);
  store.write(key, '"e"');
  assert.equal(createRecordStore(folder).list(), [{ name: 'c.1@a@b.json', key, text: '"e"' }]);
  assert.equal(readdirSync(folder), ['c.1@a@b.json']);
});

test('an empty record is one whose writer was killed before anything was done: it is gone at the next start', ({
  folder,
}) => {
  const store = createRecordStore(folder);
  store.write(key, '"a"');
  for (const name of ['c.1@net1.json', 'README']) writeFileSync(join(folder, name), '');
  createRecordStore(folder);
  assert.equal(readdirSync(folder).sort(), ['README', 'c.1@a@b.json']);
});

test('a file is open between its first write and the second, or its removal', ({ folder }) => {
  const path = join(folder, 'c.1@a@b.json');
  const store = createRecordStore(folder);
  const open = (): number => readdirSync('/proc/self/fd').filter((fd) => linkOf(fd) === path).length;
  const counts: number[] = [];
  for (const text of ['"a"', '"b"', `"${'x'.repeat(5000)}"`, '"c"']) {
    store.write(key, text);
    counts.push(open());
  }
  store.remove(key);
  store.write(key, '"d"');
  counts.push(open());
  store.remove(key);
  counts.push(open());
  store.write(key, '"e"');
  // Somebody removes it, and somebody writes another.
  rmSync(path);
  store.write(key, '"f"');
  counts.push(open());
  assert.equal(counts, [1, 0, 0, 0, 1, 0, 0]);
  assert.is(readFileSync(path, 'utf8'), '"f"');
  store.remove(key);
  writeFileSync(path, '"foreign"');
  store.write(key, '"g"');
  assert.is(readFileSync(path, 'utf8'), '"g"');
});

test('the folder of records is for root only', ({ folder }) => {
  createRecordStore(join(folder, 'attachments')).write(key, 'x');
  assert.is(statSync(join(folder, 'attachments')).mode & 0o777, 0o700);
  assert.is(statSync(join(folder, 'attachments', 'c.1@a@b.json')).mode & 0o777, 0o600);
});

test('an unfinished write is no record, and foreign files are listed with what is wrong', ({ folder }) => {
  writeFileSync(join(folder, '.new-c.1@net1.json'), 'half');
  writeFileSync(join(folder, 'README'), 'x');
  mkdirSync(join(folder, 'c2@net1.json'));
  const listed = createRecordStore(folder).list();
  assert.equal(listed.map((entry) => [entry.name, entry.text, entry.problem !== undefined]).sort(), [
    ['README', undefined, true],
    ['c2@net1.json', undefined, true],
  ]);
});

test('a record that cannot be written throws and leaves the old one', ({ folder }) => {
  const store = createRecordStore(folder);
  mkdirSync(join(folder, 'c.1@a@b.json'));
  writeFileSync(join(folder, 'c.1@a@b.json', 'in-the-way'), '');
  try {
    store.write(key, 'x');
    assert.unreachable();
  } catch (error) {
    assert.is(toBerthError(error).reason, 'record-write-failed');
  }
  assert.equal(readdirSync(folder), ['c.1@a@b.json']);
});

test('a folder in which nobody has reserved anything is not there, and asking does not make it', async ({ folder }) => {
  const store = createReservationStore(waitingClock);
  assert.is(store.isThere(folder, network), false);
  assert.equal(readdirSync(folder), []);
  await store.locked(folder, network, never, () => undefined);
  assert.is(store.isThere(folder, network), true);
  // What is wrong with it is said by whoever opens it.
  writeFileSync(join(folder, 'file'), '');
  assert.is(store.isThere(join(folder, 'file'), network), true);
});

test('a reservation is whole from the moment it exists, and exists once', async ({ folder }) => {
  const store = createReservationStore(waitingClock);
  await store.locked(folder, network, never, (open) => {
    assert.ok(open.reserve('10.0.0.2', 'c1\r\nnet1'));
    assert.not.ok(open.reserve('10.0.0.2', 'c2\r\nnet1'));
    assert.ok(open.reserve('fd00::2', 'c1\r\nnet1'));
    open.setLastReserved(0, '10.0.0.2');
    assert.is(open.lastReserved(0), '10.0.0.2');
    assert.is(open.lastReserved(1), undefined);
  });
  assert.equal(readdirSync(join(folder, 'net')).sort(), ['10.0.0.2', 'fd00::2', 'last_reserved_ip.0', 'lock']);
  assert.is(readFileSync(join(folder, 'net', '10.0.0.2'), 'utf8'), 'c1\r\nnet1');
});

test('only unchanged content is released', async ({ folder }) => {
  const store = createReservationStore(waitingClock);
  await store.locked(folder, network, never, (open) => open.reserve('10.0.0.2', 'c1\r\nnet1'));
  writeFileSync(join(folder, 'net', '10.0.0.2'), 'c2\r\nnet1');
  await store.locked(folder, network, never, (open) => {
    assert.equal(open.find('c1\r\nnet1'), []);
    assert.not.ok(open.release('10.0.0.2', 'c1\r\nnet1'));
    assert.ok(open.release('10.0.0.2', 'c2\r\nnet1'));
    assert.not.ok(open.release('10.0.0.2', 'c2\r\nnet1'));
  });
});

test('what another plugin gave back and took again under the same address is released for its new owner', async ({
  folder,
}) => {
  const store = createReservationStore(waitingClock);
  await store.locked(folder, network, never, (locked) => {
    locked.reserve('10.9.0.2', 'c0\r\nnet1');
    locked.reserve('10.9.0.3', 'c0\r\nnet2');
  });
  writeFileSync(join(folder, 'net', '10.9.0.2'), 'c.1\r\na@b');
  const released = await store.locked(folder, network, never, (locked) =>
    releaseAddresses(locked, { network, ...key }),
  );
  assert.equal(released, ['10.9.0.2']);
  assert.equal(readdirSync(join(folder, 'net')).sort(), ['10.9.0.3', 'lock']);
});

test('only an empty regular file can be removed as one', async ({ folder }) => {
  mkdirSync(join(folder, 'net'));
  writeFileSync(join(folder, 'net', '10.0.0.3'), '');
  writeFileSync(join(folder, 'net', '10.0.0.4'), 'c1\r\nnet1');
  symlinkSync('10.0.0.3', join(folder, 'net', '10.0.0.5'));
  const store = createReservationStore(waitingClock);
  await store.locked(folder, network, never, (open) => {
    assert.equal(
      ['10.0.0.2', '10.0.0.4', '10.0.0.5', '10.0.0.3', '10.0.0.3'].map((ip) => open.removeEmpty(ip)),
      [false, false, false, true, false],
    );
    assert.ok(open.reserve('10.0.0.3', 'c2\r\nnet1'));
  });
});

test('empty files, links and leftovers are no reservations of anybody', async ({ folder }) => {
  mkdirSync(join(folder, 'net'));
  writeFileSync(join(folder, 'net', '10.0.0.3'), '');
  symlinkSync('/etc/hostname', join(folder, 'net', '10.0.0.4'));
  writeFileSync(join(folder, 'net', '.berth-1'), 'c1\r\nnet1');
  const store = createReservationStore(waitingClock);
  await store.locked(folder, network, never, (open) => {
    assert.equal(
      [...open.list()],
      [
        ['10.0.0.3', undefined],
        ['10.0.0.4', undefined],
      ],
    );
    assert.not.ok(open.reserve('10.0.0.3', 'c1\r\nnet1'), 'an empty file keeps its address');
  });
  assert.not.ok(existsSync(join(folder, 'net', '.berth-1')));
});

test('one at a time in the process, and after a holder outside', async ({ folder }) => {
  const store = createReservationStore(waitingClock);
  mkdirSync(join(folder, 'net'));
  const outside = openSync(join(folder, 'net', 'lock'), 'w');
  assert.ok(tryLock(outside));
  const order: string[] = [];
  const work = (name: string): Promise<void> =>
    store.locked(folder, network, never, async () => {
      order.push(`${name} in`);
      await new Promise((resolve) => setImmediate(resolve));
      order.push(`${name} out`);
    });
  const both = [work('a'), work('b')];
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(order, []);
  closeSync(outside);
  await Promise.all(both);
  assert.equal(order, ['a in', 'a out', 'b in', 'b out']);
});

test('a lock that is not free in time is Busy, and a cancelled wait is Interrupted', async ({ folder }) => {
  const store = createReservationStore(waitingClock);
  mkdirSync(join(folder, 'net'));
  const outside = openSync(join(folder, 'net', 'lock'), 'w');
  assert.ok(tryLock(outside));
  const failure = async (signal: AbortSignal): Promise<string> =>
    toBerthError(await store.locked(folder, network, signal, () => undefined).catch((error: unknown) => error)).reason;
  assert.is(await failure(AbortSignal.timeout(5)), 'ipam-lock-timeout');
  assert.is(await failure(AbortSignal.abort()), 'operation-cancelled');
  closeSync(outside);
});

test('a dataDir in which nothing can be made is refused at once, and holds up nobody', async () => {
  const store = createReservationStore(waitingClock);
  const refused = await store.locked('/proc/x', network, never, () => undefined).catch((error: unknown) => error);
  assert.is(toBerthError(refused).reason, 'reservation-failed');
});

test('a dataDir that is not absolute and a network folder that is a link are refused', async ({ folder }) => {
  const store = createReservationStore(waitingClock);
  const failure = async (dataDir: string): Promise<string> =>
    toBerthError(await store.locked(dataDir, network, never, () => undefined).catch((error: unknown) => error)).reason;
  assert.is(await failure('relative'), 'data-dir-invalid');
  mkdirSync(join(folder, 'elsewhere'));
  symlinkSync(join(folder, 'elsewhere'), join(folder, 'net'));
  assert.is(await failure(folder), 'data-dir-is-link');
});

test('the last address is all that its file holds, whatever was there and whether it was read', async ({ folder }) => {
  const store = createReservationStore(waitingClock);
  const path = join(folder, 'net', 'last_reserved_ip.0');
  for (const isRead of [true, false]) {
    for (const before of ['10.0.0.100', '10.0.0.100\n', 'ä'.repeat(9), '', undefined]) {
      mkdirSync(join(folder, 'net'), { recursive: true });
      if (before === undefined) rmSync(path, { force: true });
      else writeFileSync(path, before);
      await store.locked(folder, network, never, (open) => {
        if (isRead) open.lastReserved(0);
        open.setLastReserved(0, '10.0.0.20');
        assert.is(readFileSync(path, 'utf8'), '10.0.0.20');
        open.setLastReserved(0, '10.0.0.3');
      });
      assert.is(readFileSync(path, 'utf8'), '10.0.0.3');
    }
  }
});

test('names that are no canonical address cannot be reserved', async ({ folder }) => {
  const store = createReservationStore(waitingClock);
  for (const name of ['../x', 'lock', '10.0.0.1/24', 'FD00::1', '']) {
    const failure = toBerthError(
      await store.locked(folder, network, never, (open) => open.reserve(name, 'x')).catch((error: unknown) => error),
    );
    assert.is(failure.reason, 'reservation-name-invalid', name);
  }
});

test.run();
