/** What the agent knows of its configuration while the file changes under it. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { type FollowedConfiguration, followConfiguration } from '../../src/app/configuration.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { eventually } from '../standins/eventually.ts';
import { ManualClock } from '../standins/manual-clock.ts';

const test = suite('configuration over its life');

const GOOD = 'pools: [{name: a, kind: vf}]\n';
const OTHER = 'pools: [{name: b, kind: vf}]\n';
const BROKEN = 'pools: [{nam: b, kind: vf}]\n';

async function following(
  body: (folder: ConfigMap, configuration: FollowedConfiguration) => Promise<void>,
  first = GOOD,
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'berth-'));
  const folder = new ConfigMap(dir);
  folder.swap(first);
  const configuration = await followConfiguration(join(dir, 'config.yaml'), {}, silentLogger, new ManualClock());
  try {
    await body(folder, configuration);
  } finally {
    configuration.stop();
    rmSync(dir, { recursive: true });
  }
}

/** A folder as kubelet keeps it for a mounted ConfigMap: the file goes through `..data`, which is swapped. */
class ConfigMap {
  readonly #dir: string;
  #version = 0;

  constructor(dir: string) {
    this.#dir = dir;
    symlinkSync('..data/config.yaml', join(dir, 'config.yaml'));
  }

  swap(text: string): void {
    const version = `..${++this.#version}`;
    mkdirSync(join(this.#dir, version));
    writeFileSync(join(this.#dir, version, 'config.yaml'), text);
    symlinkSync(version, join(this.#dir, '..data_tmp'));
    renameSync(join(this.#dir, '..data_tmp'), join(this.#dir, '..data'));
  }
}

const soon = (attempt: () => void): Promise<void> => eventually(attempt, 5000, () => 'news of the file');

const poolsOf = ({ current }: FollowedConfiguration) => current.pools.map(({ resource }) => resource);

test('a broken swap changes nothing and is dated; the next good one is taken and ends it', async () => {
  await following(async (folder, configuration) => {
    assert.deepEqual([poolsOf(configuration), configuration.brokenSince], [['berth.dev/a'], undefined]);
    const { takenAt } = configuration;
    folder.swap(BROKEN);
    await soon(() => assert.equal(configuration.problems.length > 0, true));
    const { brokenSince } = configuration;
    assert.ok(brokenSince);
    assert.deepEqual([poolsOf(configuration), configuration.takenAt], [['berth.dev/a'], takenAt]);
    assert.deepEqual(configuration.reloads, { taken: 0, refused: 1 });
    folder.swap(`# another\n${BROKEN}`);
    await soon(() => assert.equal(configuration.reloads.refused, 2));
    assert.deepEqual(configuration.brokenSince, brokenSince, 'it is broken since the first time');
    folder.swap(OTHER);
    await soon(() => assert.deepEqual(poolsOf(configuration), ['berth.dev/b']));
    assert.deepEqual([configuration.problems, configuration.brokenSince], [[], undefined]);
    assert.deepEqual(configuration.reloads, { taken: 1, refused: 2 });
    assert.ok(takenAt && configuration.takenAt && configuration.takenAt > takenAt);
  });
});

test('a file that goes back to what runs ends the trouble without a change', async () => {
  await following(async (folder, configuration) => {
    let changes = 0;
    configuration.subscribe(() => {
      changes += 1;
    });
    folder.swap(BROKEN);
    await soon(() => assert.notEqual(configuration.brokenSince, undefined));
    folder.swap(GOOD);
    await soon(() => assert.equal(configuration.brokenSince, undefined));
    assert.deepEqual([changes, configuration.reloads.taken], [0, 0]);
  });
});

for (const [what, good] of [
  ['one with pools', GOOD],
  ['one without, as what ran in its place', 'pools: []\n'],
] as const) {
  test(`a file that is broken from the start runs nothing until it is mended by ${what}`, async () => {
    await following(async (folder, configuration) => {
      assert.deepEqual(
        [configuration.running, configuration.takenAt, poolsOf(configuration)],
        ['nothing', undefined, []],
      );
      folder.swap(good);
      await soon(() => assert.deepEqual(configuration.problems, []));
      await soon(() => assert.equal(configuration.running, 'file'));
      assert.ok(configuration.takenAt);
      folder.swap(BROKEN);
      await soon(() => assert.notEqual(configuration.brokenSince, undefined));
      assert.equal(configuration.running, 'file');
    }, BROKEN);
  });
}

test.run();
