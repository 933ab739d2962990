/** Nothing but plain files directly in the folder is ever written to, whatever a definition names. */
import * as assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  linkSync,
  mkdirSync,
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
import { test } from 'uvu';
import type { Logger } from '../../../src/engine/logger.ts';
import { silentLogger } from '../../../src/engine/logger.ts';
import { createNetworkLogs, type NetworkLogs } from '../../../src/linux/files/network-logs.ts';

interface Place {
  readonly root: string;
  readonly folder: string;
  readonly logs: NetworkLogs;
  readonly warnings: string[];
}

async function withFolder(body: (place: Place) => Promise<void>, configured = true): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), 'berth-logs-'));
  const folder = join(root, 'logs');
  mkdirSync(folder);
  const warnings: string[] = [];
  const log: Logger = { ...silentLogger, warn: (fields: object) => void warnings.push(JSON.stringify(fields)) };
  const logs = createNetworkLogs(() => (configured ? folder : undefined), log);
  try {
    await body({ root, folder, logs, warnings });
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

test('lines are appended in their order, to a file that only root reads', async () => {
  await withFolder(async ({ folder, logs, warnings }) => {
    for (const line of ['one\n', 'two\n', 'three\n']) logs.append(join(folder, 'a.log'), line);
    await logs.settled();
    assert.equal(readFileSync(join(folder, 'a.log'), 'utf8'), 'one\ntwo\nthree\n');
    assert.equal(statSync(join(folder, 'a.log')).mode & 0o777, 0o600);
    assert.deepEqual(warnings, []);
  });
});

const OUTSIDE: readonly (readonly [string, (place: Place) => string])[] = [
  ['a file elsewhere', ({ root }) => join(root, 'outside.log')],
  ['a way out of the folder', ({ folder }) => `${folder}/../outside.log`],
  ['a file in a folder of the folder', ({ folder }) => join(folder, 'sub', 'a.log')],
  ['a relative path', () => 'a.log'],
  ['a hidden name', ({ folder }) => join(folder, '.a')],
  ['the folder itself', ({ folder }) => folder],
];

for (const [what, pathOf] of OUTSIDE) {
  test(`${what} is not written`, async () => {
    await withFolder(async (place) => {
      mkdirSync(join(place.folder, 'sub'));
      place.logs.append(pathOf(place), 'line\n');
      await place.logs.settled();
      assert.deepEqual(readdirSync(place.folder), ['sub']);
      assert.deepEqual(readdirSync(join(place.folder, 'sub')), []);
      assert.deepEqual(readdirSync(place.root), ['logs']);
      assert.match(place.warnings.join(), /not a file directly in/);
    });
  });
}

const TRAPS: readonly (readonly [string, (path: string, victim: string) => void])[] = [
  ['a symbolic link', (path, victim) => symlinkSync(victim, path)],
  ['a hard link', (path, victim) => linkSync(victim, path)],
  ['a pipe', (path) => void execFileSync('mkfifo', [path])],
  ['a device', (path) => void execFileSync('mknod', [path, 'c', '1', '3'])],
  ['a folder', (path) => mkdirSync(path)],
];

for (const [what, lay] of TRAPS) {
  test(`${what} that lies in the folder is not written to, and holds nothing up`, async () => {
    await withFolder(async ({ root, folder, logs, warnings }) => {
      const victim = join(root, 'victim');
      writeFileSync(victim, 'precious');
      lay(join(folder, 'a.log'), victim);
      logs.append(join(folder, 'a.log'), 'line\n');
      logs.append(join(folder, 'b.log'), 'line\n');
      await logs.settled();
      assert.equal(readFileSync(victim, 'utf8'), 'precious');
      assert.equal(readFileSync(join(folder, 'b.log'), 'utf8'), 'line\n');
      assert.equal(warnings.length, 1);
    });
  });
}

test('without a configured folder nothing is written, and it is said once', async () => {
  await withFolder(async ({ folder, logs, warnings }) => {
    for (let time = 0; time < 3; time++) logs.append(join(folder, 'a.log'), 'line\n');
    await logs.settled();
    assert.equal(existsSync(join(folder, 'a.log')), false);
    assert.equal(warnings.length, 1);
  }, false);
});

test('a full file makes room for a new one, and the one before that goes', async () => {
  await withFolder(async ({ folder, logs }) => {
    const path = join(folder, 'a.log');
    for (const round of ['first', 'second', 'third']) {
      logs.append(path, `${round}\n`);
      await logs.settled();
      truncateSync(path, 16 << 20);
    }
    assert.deepEqual(readdirSync(folder).sort(), ['a.log', 'a.log.1']);
    assert.match(readFileSync(`${path}.1`, 'utf8').slice(0, 8), /^second/);
  });
});

test('files are not made without number', async () => {
  await withFolder(async ({ folder, logs, warnings }) => {
    for (let index = 0; index < 300; index++) logs.append(join(folder, `${index}.log`), 'line\n');
    await logs.settled();
    assert.equal(readdirSync(folder).length, 256);
    assert.match(warnings.join(), /has 256 files already/);
  });
});

test.run();
