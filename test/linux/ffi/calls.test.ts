import * as assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { BerthError, type ErrorCode } from '../../../src/engine/errors.ts';
import {
  close,
  descriptorsIn,
  errnoName,
  errnoOf,
  errorFromErrno,
  eventDescriptor,
  fileSystemType,
  NSFS_MAGIC,
  O_RDONLY,
  open,
  openIfPresent,
  tryLock,
  unlock,
  waitReadable,
  write,
} from '../../../src/linux/ffi/index.ts';

const FFI = new URL('../../../src/linux/ffi/index.ts', import.meta.url).href;

const ERRORS: readonly { errno: string; number: number; code: ErrorCode }[] = [
  { errno: 'ENOENT', number: 2, code: 'NotFound' },
  { errno: 'EAGAIN', number: 11, code: 'Busy' },
  { errno: 'EBUSY', number: 16, code: 'Busy' },
  { errno: 'EINVAL', number: 22, code: 'Invalid' },
  { errno: 'EROFS', number: 30, code: 'Denied' },
  { errno: 'EOPNOTSUPP', number: 95, code: 'Unsupported' },
  { errno: 'ENOBUFS', number: 105, code: 'Exhausted' },
  { errno: 'ENOTSUPP', number: 524, code: 'Unsupported' },
  { errno: 'errno 4000', number: 4000, code: 'Io' },
];

for (const { errno, number, code } of ERRORS) {
  test(`error number ${number} is ${errno}, ${code}`, () => {
    const error = errorFromErrno(number, 'link.create macvlan', { target: 'net1', extack: 'words' });
    assert.equal(errnoName(number), errno);
    assert.deepEqual([error.code, error.errno, error.extack, error.op], [code, errno, 'words', 'link.create macvlan']);
    assert.equal(error.message, `link.create macvlan net1: ${errno} (words)`);
    assert.match(error.reason, /^kernel-[a-z0-9-]+$/);
  });
}

test('a failing call throws with the name of its error and of the file', () => {
  assert.throws(
    () => open('/nowhere/at/all', O_RDONLY),
    (error) => error instanceof BerthError && error.errno === 'ENOENT' && error.message.includes('/nowhere/at/all'),
  );
  assert.equal(openIfPresent('/nowhere/at/all', O_RDONLY), undefined);
  assert.equal(errnoOf('ENOENT'), 2);
});

test('an opened descriptor is not inherited by programs', () => {
  const fd = open('/etc/passwd', O_RDONLY);
  const listed = spawnSync('ls', ['-l', '/proc/self/fd'], { encoding: 'utf8' }).stdout;
  close(fd);
  assert.ok(!listed.includes('/etc/passwd'), listed);
});

test('a namespace is told from other files by its file system', () => {
  const namespace = open('/proc/self/ns/net', O_RDONLY);
  const file = open('/proc/self/status', O_RDONLY);
  assert.equal(fileSystemType(namespace), NSFS_MAGIC);
  assert.notEqual(fileSystemType(file), NSFS_MAGIC);
  close(namespace);
  close(file);
});

test('a lock that another holds is refused without waiting', () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-lock-'));
  const path = join(folder, 'lock');
  const [first, second] = [openSync(path, 'w'), openSync(path, 'w')];
  try {
    assert.equal(tryLock(first), true);
    assert.equal(tryLock(second), false);
    unlock(first);
    assert.equal(tryLock(second, 'shared'), true);
    assert.equal(tryLock(first, 'shared'), true);
    assert.equal(tryLock(first), false);
  } finally {
    closeSync(first);
    closeSync(second);
    rmSync(folder, { recursive: true });
  }
});

test('a descriptor that becomes readable ends the waiting', async () => {
  const [quiet, woken] = [eventDescriptor(), eventDescriptor()];
  const before = readdirSync('/proc/self/fd').length;
  const waiting = waitReadable([quiet, woken], -1);
  write(woken, Buffer.from('0100000000000000', 'hex'));
  assert.deepEqual(await waiting, [woken]);
  assert.deepEqual(await waitReadable([quiet], 0), []);
  assert.equal(readdirSync('/proc/self/fd').length, before);
  close(quiet);
  close(woken);
});

const CONTROL = [
  { name: 'nothing', hex: '', descriptors: [] },
  { name: 'one', hex: '1400000000000000' + '0100000001000000' + '09000000', descriptors: [9] },
  {
    name: 'two messages',
    hex:
      '1800000000000000' +
      '0100000001000000' +
      '0900000008000000' +
      '1400000000000000' +
      '0100000001000000' +
      '07000000',
    descriptors: [9, 8, 7],
  },
  { name: 'credentials', hex: '1c00000000000000' + '0100000002000000' + '010000000200000003000000', descriptors: [] },
  { name: 'a length beyond the end', hex: 'ff00000000000000' + '0100000001000000' + '09000000', descriptors: [] },
  { name: 'a length of zero', hex: '0000000000000000' + '0100000001000000', descriptors: [] },
];

for (const { name, hex, descriptors } of CONTROL) {
  test(`descriptors are found in control data: ${name}`, () => {
    assert.deepEqual(descriptorsIn(Buffer.from(hex, 'hex')), descriptors);
  });
}

test('a process that cannot leave a namespace ends at once, and says so', () => {
  const script = `
    const { insideNamespace, open, O_RDONLY } = await import(${JSON.stringify(FFI)});
    process.on('exit', () => process.stdout.write('handlers ran'));
    const inside = open('/proc/self/ns/net', O_RDONLY);
    insideNamespace(inside, 9999, () => process.stdout.write('inside;'));
    process.stdout.write('outside');
  `;
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(ran.status, 70);
  assert.equal(ran.stdout, 'inside;');
  assert.match(ran.stderr, /cannot leave a sandbox's network namespace \(EBADF\)/);
});

test('koffi is loaded by the first call, not by the import', () => {
  const script = `
    await import(${JSON.stringify(new URL('../../../src/linux/kernel.ts', import.meta.url).href)});
    const loaded = () => Object.keys(process.report.getReport().sharedObjects).length
      && process.report.getReport().sharedObjects.some((each) => each.includes('koffi'));
    const before = loaded();
    const { fileSystemType } = await import(${JSON.stringify(FFI)});
    fileSystemType(0);
    process.stdout.write(JSON.stringify([before, loaded()]));
  `;
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', script], { encoding: 'utf8' });
  assert.equal(ran.stdout, '[false,true]', ran.stderr);
});

test.run();
