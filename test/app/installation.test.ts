/** The shim under the agent's care, and a removal that waits, in real folders. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import { createInstaller } from '../../src/app/installation.ts';
import { type KeptShim, keepShim } from '../../src/app/kept-shim.ts';
import { BerthError } from '../../src/engine/errors.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { isRemovalUnderWay } from '../../src/linux/files/removal-mark.ts';
import { buildShim, temporaryFolder } from '../shim/built-shim.ts';
import { eventually } from '../standins/eventually.ts';

const LIMIT_MS = 20_000;
const scratch = temporaryFolder();
const shim = buildShim(scratch);
const installer = createInstaller(shim);

let folder = '';
let kept: KeptShim | undefined;

test.before.each(() => {
  folder = mkdtempSync(join(scratch, 'node-'));
  mkdirSync(join(folder, 'bin'));
});
test.after.each(() => {
  kept?.stop();
  kept = undefined;
});

const bin = (name: string): string => join(folder, 'bin', name);
const isShim = (name: string): void => assert.ok(readFileSync(bin(name)).equals(readFileSync(shim)), name);
const soon = (what: string, attempt: () => void): Promise<void> => eventually(attempt, LIMIT_MS, () => what);
const options = () => ({ cniBinDir: join(folder, 'bin'), runDir: join(folder, 'run') });

function keep(): KeptShim {
  const { cniBinDir, runDir } = options();
  kept = keepShim({ installer, folder: cniBinDir, as: ['macvlan'], shim, runDir, log: silentLogger });
  return kept;
}

test('the agent installs the shim, and takes a name back that a peer took with a newer program', async () => {
  writeFileSync(bin('macvlan'), 'peer', { mode: 0o755 });
  const { status } = keep();
  await soon('the shim to be installed', () => isShim('macvlan'));
  isShim('berth');
  writeFileSync(bin('.macvlan.tmp'), 'newer peer', { mode: 0o755 });
  renameSync(bin('.macvlan.tmp'), bin('macvlan'));
  await soon('the shim to be back', () => isShim('macvlan'));
  assert.equal(readFileSync(bin('macvlan.before-berth'), 'utf8'), 'newer peer');
  assert.deepEqual(status(), { folder: join(folder, 'bin'), names: ['berth', 'macvlan'] });
});

test('a folder that is not there is told in the status, and used as soon as it is there', async () => {
  rmSync(join(folder, 'bin'), { recursive: true });
  const { status } = keep();
  await soon('the problem to be told', () => assert.match(status().problem ?? '', /ENOENT/));
  mkdirSync(join(folder, 'bin'));
  await soon('the shim to be installed', () => isShim('macvlan'));
  await soon('the problem to be over', () => assert.equal(status().problem, undefined));
});

test('a removal waits for the last attachment when it is told to, and refuses when it is not', async () => {
  writeFileSync(bin('sriov'), 'peer', { mode: 0o755 });
  await installer.install(options(), ['sriov']);
  const record = join(folder, 'run', 'attachments', 'a@net1.json');
  mkdirSync(join(folder, 'run', 'attachments'), { recursive: true });
  writeFileSync(record, '{}');
  await assert.rejects(
    installer.uninstall(options(), {}),
    (error) => error instanceof BerthError && error.reason === 'attachments-live',
  );
  const waits: number[] = [];
  const report = await installer.uninstall(options(), {
    onWait: (live) => {
      waits.push(live);
      isShim('sriov');
      assert.equal(isRemovalUnderWay(options().runDir), false, 'pods may come while it waits');
      rmSync(record);
    },
  });
  assert.deepEqual(waits, [1]);
  assert.deepEqual(report.names, [
    { name: 'berth', action: 'removed' },
    { name: 'sriov', action: 'put-back' },
  ]);
  assert.deepEqual(readdirSync(join(folder, 'bin')), ['sriov']);
});

test('from the look for attachments until late shims have answered no ADD may begin', async () => {
  await installer.install(options(), ['sriov']);
  let isOver = false;
  const removing = installer.uninstall(options(), {}).finally(() => {
    isOver = true;
  });
  await soon('the shim to be gone', () => assert.deepEqual(readdirSync(join(folder, 'bin')), []));
  assert.deepEqual([isRemovalUnderWay(options().runDir), isOver], [true, false]);
  await removing;
  assert.equal(isRemovalUnderWay(options().runDir), false);
});

for (const words of [['uninstall'], ['install', '--remove']]) {
  test(`berth ${words.join(' ')} removes every name, whatever the container is told to install under`, () => {
    const berth = (...command: readonly string[]): string =>
      execFileSync(join(import.meta.dirname, '../../bin/berth'), [...command, '--cni-bin-dir', join(folder, 'bin')], {
        encoding: 'utf8',
        env: { ...process.env, BERTH_INSTALL_AS: 'macvlan' },
      });
    berth('install', '--shim', shim);
    assert.deepEqual(readdirSync(join(folder, 'bin')).sort(), ['berth', 'macvlan']);
    berth(...words, '--run-dir', join(folder, 'run'), '--shim', shim);
    assert.deepEqual(readdirSync(join(folder, 'bin')), []);
  });
}

test('a configuration is put in place whole, and an unreadable one changes nothing', async () => {
  const [from, to] = [join(folder, 'mine.yaml'), join(folder, 'etc', 'config.yaml')];
  writeFileSync(from, 'pools: []\n', { mode: 0o600 });
  await installer.placeConfiguration(from, to);
  assert.equal(readFileSync(to, 'utf8'), 'pools: []\n');
  assert.equal(statSync(to).mode & 0o777, 0o644);
  await assert.rejects(
    installer.placeConfiguration(join(folder, 'none'), to),
    (error) => error instanceof BerthError && error.reason === 'file-not-placed',
  );
  assert.deepEqual(readdirSync(join(folder, 'etc')), ['config.yaml']);
  assert.deepEqual([await installer.removeConfiguration(to), await installer.removeConfiguration(to)], [true, false]);
});

test.run();
