/** The release: the same bytes each time, and a program that runs away from its checkout. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import { withTree } from '../trees/temporary.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');

let folder = '';

test.before(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-build-'));
  // In dist/ of a fresh checkout hack/setup has put the shim before.
  mkdirSync(join(folder, 'second'));
  writeFileSync(join(folder, 'second/berth-shim'), 'of the setup');
  for (const name of ['first', 'second']) {
    const { status, stderr } = spawnSync(join(CHECKOUT, 'hack/build'), [join(folder, name)], { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  }
});

test.after(() => rmSync(folder, { recursive: true }));

test('two builds of the same sources give the same files', () => {
  assert.deepEqual(digests(join(folder, 'second')), digests(join(folder, 'first')));
});

test('the build holds the program, the shim, the native binding and the licences', () => {
  const files = Object.keys(digests(join(folder, 'first')));
  for (const wanted of [/^berth\.js$/, /^berth-shim$/, /koffi\.node$/, /^LICENSES\.txt$/]) {
    assert.ok(
      files.some((file) => wanted.test(file)),
      `${wanted} is not among ${files.join(', ')}`,
    );
  }
  assert.ok((statSync(join(folder, 'first/berth-shim')).mode & 0o111) !== 0);
});

test('the program runs without the checkout', () => {
  const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
  const program = join(folder, 'first/berth.js');
  const { stdout, stderr } = spawnSync(process.execPath, [program, '--version'], { cwd: folder, encoding: 'utf8' });
  assert.equal(stdout.trim(), version, stderr);
});

test('each command of the release that needs no agent does what it does from the sources', async () => {
  const definitions = join(folder, 'definitions.yaml');
  writeFileSync(definitions, 'cniVersion: 1.0.0\nname: lan\ntype: macvlan\nmaster: eth0\n');
  const pools = join(folder, 'pools.yaml');
  writeFileSync(pools, 'pools: [{name: vf, kind: vf}]\n');
  await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir: root }) => {
    const saved = join(folder, 'saved.yaml');
    for (const argv of [
      ...['table', 'wide', 'json', 'yaml'].map((format) => ['inventory', '--root', root, '-o', format]),
      ...['text', 'svg'].map((format) => ['topology', '--root', root, '-o', format]),
      ['plan', '--root', root, '-f', pools],
      ['explain', '--root', root, 'eth0#0'],
      ['inventory', 'diff', saved, root],
      ['lint', '-f', pools],
      ['lint', '--networks', definitions],
      ['lint', '--print-schema'],
      ['help', 'device-held'],
      ['completion', 'bash'],
    ]) {
      const release = runNode(join(folder, 'first/berth.js'), argv);
      assert.deepEqual(
        [release.status, release.stderr.includes('[')],
        [0, false],
        `${argv.join(' ')}: ${release.stderr}`,
      );
      const sources = runNode(join(CHECKOUT, 'src/main.ts'), argv);
      assert.equal(withoutTime(release.stdout), withoutTime(sources.stdout), argv.join(' '));
      if (argv.at(-1) === 'yaml') writeFileSync(saved, release.stdout);
    }
  });
});

test('both pages are in the bundle, each as one script and without types', () => {
  const chunks = globSync('**/*.js', { cwd: join(folder, 'first') }).map((file) =>
    readFileSync(join(folder, 'first', file), 'utf8'),
  );
  const holding = chunks.filter((text) => text.includes('<title>Berth</title>'));
  assert.equal(holding.length, 1);
  const line = holding[0]?.split('\n').find((text) => text.includes('<title>Berth</title>')) ?? '';
  for (const path of ['"/"', '"/node.ts"', '"/cluster.ts"', '"/page.css"', '"/icon.svg"'])
    assert.ok(line.includes(path), path);
  assert.equal(/import type|from '\.\//.test(line), false);
});

test.run();

function runNode(program: string, argv: readonly string[]) {
  return spawnSync(process.execPath, [program, ...argv], { encoding: 'utf8' });
}

/** An inventory says when it was read. */
function withoutTime(text: string): string {
  return text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'then');
}

function digests(root: string): Record<string, string> {
  const files = globSync('**/*', { cwd: root }).filter((file) => statSync(join(root, file)).isFile());
  const digest = (file: string): string =>
    createHash('sha256')
      .update(readFileSync(join(root, file)))
      .digest('hex');
  return Object.fromEntries(files.sort().map((file) => [file, digest(file)]));
}
