import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import {
  type Config,
  type ConfigProblem,
  type ConfigWatch,
  readConfig,
  watchConfig,
  zeroConfig,
} from '../../src/config/index.ts';
import { silentLogger } from '../../src/engine/logger.ts';

interface Followed {
  readonly watch: ConfigWatch;
  /** Resolves with the next news: resources of a new configuration, or messages of problems. */
  next(): Promise<readonly string[]>;
}

async function follow(file: string, optional: boolean): Promise<Followed> {
  const news: (readonly string[])[] = [];
  const waiting: ((entry: readonly string[]) => void)[] = [];
  const tell = (entry: readonly string[]): void => {
    const taker = waiting.shift();
    if (taker === undefined) news.push(entry);
    else taker(entry);
  };
  const watch = await watchConfig({
    file,
    optional,
    fallback: zeroConfig(),
    onChange: (config: Config) => tell(config.pools.map((pool) => pool.resource)),
    onProblems: (problems: readonly ConfigProblem[]) => tell(problems.map((problem) => problem.message)),
    log: silentLogger,
    settleMs: 5,
    pollMs: 600_000,
  });
  const next = (): Promise<readonly string[]> => {
    const entry = news.shift();
    return entry === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(entry);
  };
  return { watch, next };
}

const pools = (name: string): string => `pools: [{name: ${name}, kind: vf}]\n`;

function folderTest(name: string, body: (dir: string) => Promise<void>): void {
  test(name, async () => {
    const dir = mkdtempSync(join(tmpdir(), 'berth-'));
    // Following a file keeps no process alive, so something else has to while a test waits.
    const alive = setInterval(() => undefined, 60_000);
    try {
      await body(dir);
    } finally {
      clearInterval(alive);
      rmSync(dir, { recursive: true });
    }
  });
}

folderTest('a file that changes in place is read again', async (dir) => {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, pools('a'));
  const { watch, next } = await follow(file, false);
  assert.equal(watch.current.pools[0]?.resource, 'berth.dev/a');
  writeFileSync(file, pools('b'));
  assert.deepEqual(await next(), ['berth.dev/b']);
  watch.stop();
});

folderTest('a ConfigMap that swaps its ..data link is read again', async (dir) => {
  for (const [version, name] of [
    ['1', 'a'],
    ['2', 'b'],
  ] as const) {
    mkdirSync(join(dir, `..${version}`));
    writeFileSync(join(dir, `..${version}`, 'config.yaml'), pools(name));
  }
  symlinkSync('..1', join(dir, '..data'));
  symlinkSync('..data/config.yaml', join(dir, 'config.yaml'));
  const { watch, next } = await follow(join(dir, 'config.yaml'), false);
  symlinkSync('..2', join(dir, '..tmp'));
  renameSync(join(dir, '..tmp'), join(dir, '..data'));
  assert.deepEqual(await next(), ['berth.dev/b']);
  watch.stop();
});

folderTest('a broken file leaves the one before it in force, says so, and says when it is mended', async (dir) => {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, pools('a'));
  const { watch, next } = await follow(file, false);
  writeFileSync(file, 'pools: 5\n');
  assert.deepEqual(await next(), ['a list is expected, not 5']);
  assert.equal(watch.current.pools[0]?.resource, 'berth.dev/a');
  assert.equal(watch.problems.length, 1);
  writeFileSync(file, pools('b'));
  assert.deepEqual(await next(), []);
  assert.deepEqual(await next(), ['berth.dev/b']);
  watch.stop();
});

folderTest('a file with warnings alone is used, and the warnings are told', async (dir) => {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, pools('a'));
  const { watch, next } = await follow(file, false);
  writeFileSync(file, '{"resourceList": [{"resourceName": "r", "selectors": {}, "note": 1}]}');
  assert.match((await next())[0] ?? '', /^unknown key "note", which is ignored$/);
  assert.deepEqual(await next(), ['intel.com/r']);
  watch.stop();
});

folderTest('a file that comes later, in a folder that comes later, is found', async (dir) => {
  const file = join(dir, 'etc', 'berth', 'config.yaml');
  const { watch, next } = await follow(file, true);
  assert.equal(watch.current.pools.length, 4);
  mkdirSync(join(dir, 'etc', 'berth'), { recursive: true });
  writeFileSync(file, pools('a'));
  assert.deepEqual(await next(), ['berth.dev/a']);
  watch.stop();
});

folderTest('an optional file that goes leaves the zero configuration', async (dir) => {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, pools('a'));
  const { watch, next } = await follow(file, true);
  unlinkSync(file);
  assert.equal((await next()).length, 4);
  watch.stop();
});

folderTest('a file that somebody named and that is missing is a problem', async (dir) => {
  const { watch, next } = await follow(join(dir, 'config.yaml'), false);
  assert.match((await next())[0] ?? '', /^it cannot be read: there is no such file \(ENOENT\)$/);
  watch.stop();
});

folderTest('what is no file is a problem', async (dir) => {
  const { problems } = await readConfig(dir, true);
  assert.match(problems[0]?.message ?? '', /EISDIR/);
});

test.run();
