/** The image's archive: the same bytes each time, read by other programs' eyes, with everything in it and nothing more. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'uvu';
import { tar } from '../../src/linux/tar.ts';
import { temporaryFolder } from '../shim/built-shim.ts';

const CHECKOUT = resolve(import.meta.dirname, '../..');
const scratch = temporaryFolder();
const layout = join(scratch, 'layout');
const root = join(scratch, 'root');

interface Blob {
  readonly digest: string;
  readonly size: number;
}

const json = (path: string): Record<string, unknown> => JSON.parse(readFileSync(join(layout, path), 'utf8'));
const blobPath = ({ digest }: Blob): string => join('blobs', digest.replace(':', '/'));

function build(name: string): { readonly archive: string; readonly digest: string } {
  const out = join(scratch, name);
  const { status, stdout, stderr } = spawnSync(join(CHECKOUT, 'hack/image'), ['--out', out], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  const [archive = '', digest = ''] = stdout.trim().split(' ');
  return { archive, digest };
}

test.before(() => {
  const { archive } = build('first');
  for (const folder of [layout, root]) mkdirSync(folder);
  execFileSync('tar', ['-xf', archive, '-C', layout]);
  for (const layer of manifest().layers) execFileSync('tar', ['-xzf', join(layout, blobPath(layer)), '-C', root]);
});

function manifest(): { readonly config: Blob; readonly layers: readonly Blob[] } {
  const [entry] = json('index.json').manifests as readonly [Blob];
  return json(blobPath(entry)) as unknown as ReturnType<typeof manifest>;
}

test('two builds of the same sources give the same archive', () => {
  const bytes = (name: string): Buffer => {
    const folder = join(scratch, name);
    return readFileSync(join(folder, readdirSync(folder).find((file) => file.endsWith('.tar')) ?? ''));
  };
  build('second');
  assert.ok(bytes('second').equals(bytes('first')));
});

test('every blob is what its digest and its size say', () => {
  const { config, layers } = manifest();
  for (const blob of [config, ...layers]) {
    const bytes = readFileSync(join(layout, blobPath(blob)));
    assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, blob.digest);
    assert.equal(bytes.length, blob.size);
  }
  const { rootfs } = json(blobPath(config)) as { rootfs: { diff_ids: readonly string[] } };
  assert.equal(rootfs.diff_ids.length, layers.length);
});

test('Node.js is the locked package, its libraries are there, and the program runs in that root alone', () => {
  const { version } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string };
  const linker = readdirSync(join(root, 'lib64'), { withFileTypes: true }).find(({ name }) => name.startsWith('ld-'));
  assert.ok(linker?.isFile());
  assert.ok(existsSync(join(root, 'usr/lib/berth/dist/berth-shim')));
  const { status, stdout, stderr } = spawnSync('chroot', [root, '/usr/bin/berth', '--version'], { encoding: 'utf8' });
  assert.deepEqual([status, stdout.trim()], [0, version], stderr);
});

test('nothing in it can be executed with more rights, and there is no shell', () => {
  const special = execFileSync('find', [root, '-perm', '/6000'], { encoding: 'utf8' });
  assert.equal(special, '');
  for (const shell of ['bin/sh', 'usr/bin/sh', 'bin/bash', 'bin/busybox'])
    assert.equal(existsSync(join(root, shell)), false);
});

test('the list of parts names Node.js, the libraries and every package that the release needs', () => {
  const sbom = JSON.parse(readFileSync(join(root, 'usr/share/sbom/berth.cdx.json'), 'utf8')) as {
    bomFormat: string;
    components: readonly { name: string; version: string; purl: string }[];
  };
  assert.equal(sbom.bomFormat, 'CycloneDX');
  const { dependencies } = JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const [name, version] of Object.entries(dependencies)) {
    assert.ok(
      sbom.components.some((component) => component.name === name && component.version === version),
      name,
    );
  }
  for (const name of [`node-linux-${process.arch}`, 'libc6', 'libstdc++6', 'libgcc-s1']) {
    const found = sbom.components.find((component) => component.name === name);
    assert.match(found?.version ?? '', /\d/, name);
  }
  assert.equal(new Set(sbom.components.map(({ purl }) => purl)).size, sbom.components.length);
});

test('an archive of ours is read by tar as it was written, with long paths and links', () => {
  const long = `${'folder/'.repeat(14)}file`;
  const archive = tar([
    { path: 'b', kind: 'folder', mode: 0o1777 },
    { path: long, kind: 'file', mode: 0o755, bytes: Buffer.from('content') },
    { path: 'a', kind: 'link', target: '../run' },
  ]);
  const listed = spawnSync('tar', ['-tvf', '-'], { input: archive, encoding: 'utf8' });
  assert.equal(listed.status, 0, listed.stderr);
  assert.match(listed.stdout, /^lrwxrwxrwx .* a -> \.\.\/run\ndrwxrwxrwt .* b\/\n-rwxr-xr-x .* folder/);
  const content = spawnSync('tar', ['-xOf', '-', long], { input: archive, encoding: 'utf8' });
  assert.equal(content.stdout, 'content');
  assert.throws(() => tar([{ path: 'x'.repeat(120), kind: 'folder', mode: 0o755 }]), /too long/);
});

test.run();
