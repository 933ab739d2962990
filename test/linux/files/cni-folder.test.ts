/** Installing into a real folder with the real shim: everything that a node's folder can hold, and every way to be stopped. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import { BerthError } from '../../../src/engine/errors.ts';
import {
  type CniFolder,
  type InstallReport,
  install,
  type RemoveReport,
  remove,
} from '../../../src/engine/installation/index.ts';
import { openCniFolder } from '../../../src/linux/files/cni-folder.ts';
import { isRoot, requireFeature } from '../../runner/features.ts';
import { buildShim, temporaryFolder } from '../../shim/built-shim.ts';

const scratch = temporaryFolder();
const shim = buildShim(scratch);
/** A shim of another release: the same text inside, other bytes. */
const older = join(scratch, 'older');
writeFileSync(older, Buffer.concat([readFileSync(shim), Buffer.from('0.0.1')]), { mode: 0o755 });
const PEER = '#!/bin/sh\necho peer\n';
const NEWER_PEER = '#!/bin/sh\necho newer peer\n';

let bin = '';
test.before.each(() => {
  bin = mkdtempSync(join(scratch, 'bin-'));
});

type Wrap = (folder: CniFolder) => CniFolder;

async function installed(
  as: readonly string[],
  source = shim,
  wrap: Wrap = (folder) => folder,
): Promise<InstallReport> {
  const folder = wrap(await openCniFolder(bin, source));
  try {
    return await install(folder, { as });
  } finally {
    await folder.close();
  }
}

async function removed(live = 0, wrap: Wrap = (folder) => folder): Promise<RemoveReport> {
  const folder = wrap(await openCniFolder(bin, shim));
  try {
    return await remove(folder, { liveAttachments: () => Promise.resolve(live) });
  } finally {
    await folder.close();
  }
}

const put = (name: string, text: string): void => writeFileSync(join(bin, name), text, { mode: 0o755 });
const content = (name: string): string => {
  const bytes = readFileSync(join(bin, name));
  if (bytes.equals(readFileSync(shim))) return 'shim';
  if (bytes.equals(readFileSync(older))) return 'older shim';
  return bytes.toString();
};
const everything = (): Record<string, string> =>
  Object.fromEntries(readdirSync(bin).map((name) => [name, content(name)]));
const actions = ({ names }: InstallReport | RemoveReport): Record<string, string> =>
  Object.fromEntries(names.map(({ name, action }) => [name, action]));
const reasonOf = (thrown: unknown): string => (thrown instanceof BerthError ? thrown.reason : String(thrown));
const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (thrown: unknown) => reasonOf(thrown),
  );

test('the shim is installed executable for everybody, also under a strict umask', async () => {
  const umask = process.umask(0o077);
  try {
    assert.deepEqual(actions(await installed([])), { berth: 'added' });
  } finally {
    process.umask(umask);
  }
  assert.equal(statSync(join(bin, 'berth')).mode & 0o7777, 0o755);
  const { stdout } = spawnSync(join(bin, 'berth'), { env: { CNI_COMMAND: 'VERSION' }, input: '{}', encoding: 'utf8' });
  assert.match(stdout, /supportedVersions/);
});

test('installing twice changes nothing, and mends a mode that somebody changed', async () => {
  await installed(['macvlan']);
  const before = statSync(join(bin, 'macvlan')).ino;
  assert.deepEqual(actions(await installed(['macvlan'])), { berth: 'unchanged', macvlan: 'unchanged' });
  assert.equal(statSync(join(bin, 'macvlan')).ino, before);
  chmodSync(join(bin, 'macvlan'), 0o644);
  assert.deepEqual(actions(await installed(['macvlan'])), { berth: 'unchanged', macvlan: 'upgraded' });
  assert.equal(statSync(join(bin, 'macvlan')).mode & 0o777, 0o755);
});

test("a peer's program is kept, and comes back as it was", async () => {
  put('macvlan', PEER);
  put('bridge', PEER);
  assert.deepEqual(actions(await installed(['macvlan', 'sriov'])), {
    berth: 'added',
    macvlan: 'took-over',
    sriov: 'added',
  });
  assert.deepEqual(everything(), {
    berth: 'shim',
    bridge: PEER,
    macvlan: 'shim',
    'macvlan.before-berth': PEER,
    sriov: 'shim',
  });
  assert.deepEqual(actions(await removed()), { berth: 'removed', macvlan: 'put-back', sriov: 'removed' });
  assert.deepEqual(everything(), { bridge: PEER, macvlan: PEER });
  assert.equal(statSync(join(bin, 'macvlan')).mode & 0o777, 0o755);
  assert.deepEqual(actions(await removed()), {});
});

test("a peer's symbolic link is kept as a link", async () => {
  put('real', PEER);
  symlinkSync('real', join(bin, 'sriov'));
  symlinkSync('nowhere', join(bin, 'vlan'));
  assert.deepEqual(actions(await installed(['sriov', 'vlan'])), {
    berth: 'added',
    sriov: 'took-over',
    vlan: 'took-over',
  });
  assert.deepEqual([content('sriov'), content('real')], ['shim', PEER]);
  await removed();
  assert.deepEqual([readlinkSync(join(bin, 'sriov')), readlinkSync(join(bin, 'vlan'))], ['real', 'nowhere']);
});

test('an upgrade replaces every shim, also under names that are not asked for this time', async () => {
  put('macvlan', PEER);
  await installed(['macvlan'], older);
  assert.deepEqual([content('berth'), content('macvlan')], ['older shim', 'older shim']);
  const report = await installed([]);
  assert.deepEqual(actions(report), { berth: 'upgraded', macvlan: 'upgraded' });
  assert.deepEqual(report.alsoHeld, ['macvlan']);
  assert.deepEqual(everything(), { berth: 'shim', macvlan: 'shim', 'macvlan.before-berth': PEER });
});

test("a peer's update over the shim is noticed, and the newer program is the one kept", async () => {
  put('macvlan', PEER);
  await installed(['macvlan']);
  rmSync(join(bin, 'macvlan'));
  put('macvlan', NEWER_PEER);
  assert.deepEqual(actions(await installed(['macvlan'])), { berth: 'unchanged', macvlan: 'took-over-again' });
  assert.deepEqual(everything(), { berth: 'shim', macvlan: 'shim', 'macvlan.before-berth': NEWER_PEER });
});

test('a peer that came back before the removal keeps its newer program', async () => {
  put('macvlan', PEER);
  await installed(['macvlan']);
  rmSync(join(bin, 'macvlan'));
  put('macvlan', NEWER_PEER);
  assert.deepEqual(actions(await removed()), { berth: 'removed', macvlan: 'left-to-peer' });
  assert.deepEqual(everything(), { macvlan: NEWER_PEER });
});

test('nothing is removed while pods are attached', async () => {
  put('macvlan', PEER);
  await installed(['macvlan']);
  const before = everything();
  assert.equal(await refusal(removed(2)), 'attachments-live');
  assert.deepEqual(everything(), before);
});

for (const name of ['bridge', 'loopback', '../sriov', '']) {
  test(`the name ${JSON.stringify(name)} is refused before anything changes`, async () => {
    assert.equal(await refusal(installed([name])), 'cni-name-not-a-peer');
    assert.deepEqual(everything(), {});
  });
}

test('a folder in the place of a program is refused before anything changes', async () => {
  mkdirSync(join(bin, 'sriov'));
  assert.equal(await refusal(installed(['sriov'])), 'cni-name-no-file');
  assert.deepEqual(readdirSync(bin), ['sriov']);
});

test('a shim that does not run changes nothing', async () => {
  put('macvlan', PEER);
  const broken = join(scratch, 'broken');
  writeFileSync(broken, '\u007fELF and no more');
  assert.equal(await refusal(installed(['macvlan'], broken)), 'shim-does-not-run');
  assert.deepEqual(everything(), { macvlan: PEER });
});

test('a missing folder and a missing shim are told apart', async () => {
  assert.equal(await refusal(openCniFolder(join(bin, 'none'), shim)), 'cni-folder-unusable');
  assert.equal(await refusal(openCniFolder(bin, join(bin, 'none'))), 'shim-missing');
});

test('two installations do not work in one folder at the same time', async () => {
  const first = await openCniFolder(bin, shim);
  assert.equal(await refusal(installed([])), 'installation-busy');
  await first.close();
  assert.deepEqual(actions(await installed([])), { berth: 'added' });
});

const CHANGES = ['stage', 'keep', 'putBack', 'remove', 'commit'] as const;

/** The folder of somebody who is killed before the n-th change: from then on nothing happens, not even the tidying. */
function killedBefore(count: number): { readonly wrap: Wrap; readonly wasKilled: () => boolean } {
  let left = count;
  const step = async <T>(body: () => Promise<T>): Promise<T> => {
    if (left-- <= 0) throw new Error('killed');
    return await body();
  };
  const wrap: Wrap = (folder) => ({
    ...folder,
    stage: () =>
      step(async () => {
        const staged = await folder.stage();
        return { ...staged, commit: (name) => step(() => staged.commit(name)) };
      }),
    keep: (...words) => step(() => folder.keep(...words)),
    putBack: (...words) => step(() => folder.putBack(...words)),
    remove: (...words) => step(() => folder.remove(...words)),
  });
  return { wrap, wasKilled: () => left < 0 };
}

const isWhole = (name: string): boolean => !existsSync(join(bin, name)) || ['shim', PEER].includes(content(name));

test(`an installation that is killed before any of its changes (${CHANGES.join(', ')}) leaves whole programs, and the next one completes it`, async () => {
  let kills = 0;
  for (let count = 0; ; count++) {
    bin = mkdtempSync(join(scratch, 'bin-'));
    put('macvlan', PEER);
    put('sriov', PEER);
    const { wrap, wasKilled } = killedBefore(count);
    await refusal(installed(['macvlan', 'sriov', 'vlan'], shim, wrap));
    for (const name of ['berth', 'macvlan', 'sriov', 'vlan']) assert.ok(isWhole(name), `${name} after ${count}`);
    assert.ok(existsSync(join(bin, 'macvlan')) && existsSync(join(bin, 'sriov')));
    if (!wasKilled()) break;
    kills++;
    await installed(['macvlan', 'sriov', 'vlan']);
    assert.deepEqual(everything(), {
      berth: 'shim',
      macvlan: 'shim',
      'macvlan.before-berth': PEER,
      sriov: 'shim',
      'sriov.before-berth': PEER,
      vlan: 'shim',
    });
    await removed();
    assert.deepEqual(everything(), { macvlan: PEER, sriov: PEER });
  }
  assert.equal(kills, 11);
});

test('a removal that is killed before any of its changes is completed by the next one', async () => {
  let kills = 0;
  for (let count = 0; ; count++) {
    bin = mkdtempSync(join(scratch, 'bin-'));
    put('macvlan', PEER);
    await installed(['macvlan', 'sriov']);
    const { wrap, wasKilled } = killedBefore(count);
    await refusal(removed(0, wrap));
    assert.ok(isWhole('macvlan') && existsSync(join(bin, 'macvlan')));
    await removed();
    assert.deepEqual(everything(), { macvlan: PEER });
    if (!wasKilled()) break;
    kills++;
  }
  assert.equal(kills, 3);
});

test('an installation that was killed with its files half written is tidied up by the next one', async () => {
  put('.berth-new-123-0', 'half');
  await installed([]);
  assert.deepEqual(everything(), { berth: 'shim' });
});

if (requireFeature('mounts of our own', isRoot())) {
  /** Runs `berth install` on a file system of the test's own, in a mount namespace that ends with it. */
  const onFileSystem = (mount: string, prepare: string): { status: number | null; stderr: string; files: string[] } => {
    const berth = join(import.meta.dirname, '../../../bin/berth');
    const script = [
      `mount -t tmpfs ${mount} tmpfs "$1"`,
      prepare,
      `"$2" install --cni-bin-dir "$1" --shim "$3" --as macvlan >&2; status=$?; ls -A "$1"; exit $status`,
    ].join('\n');
    const { status, stdout, stderr } = spawnSync('unshare', ['--mount', 'sh', '-c', script, 'sh', bin, berth, shim], {
      encoding: 'utf8',
    });
    return { status, stderr, files: stdout.split('\n').filter((name) => name !== '') };
  };

  test('a full disk changes nothing', () => {
    const { status, stderr, files } = onFileSystem(
      '-o size=64k',
      'echo peer >"$1/macvlan"; head -c 40960 /dev/zero >"$1/filler"',
    );
    assert.equal(status, 1);
    assert.match(stderr, /ENOSPC.*\[cni-folder-unusable\]/);
    assert.deepEqual(files, ['filler', 'macvlan']);
  });

  test('a read-only folder changes nothing and says so', () => {
    const { status, stderr, files } = onFileSystem('', 'echo peer >"$1/macvlan"; mount -o remount,ro "$1"');
    assert.equal(status, 1);
    assert.match(stderr, /EROFS.*\[cni-folder-unusable\]/);
    assert.deepEqual(files, ['macvlan']);
  });

  test('a folder without execution is noticed before a runtime notices it', () => {
    const { status, stderr, files } = onFileSystem('-o noexec', 'echo peer >"$1/macvlan"');
    assert.equal(status, 1);
    assert.match(stderr, /\[shim-does-not-run\]/);
    assert.deepEqual(files, ['macvlan']);
  });
}

test.run();
