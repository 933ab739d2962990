/** The command from files to text, through the program's own wiring of files and trees. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { stringify } from 'yaml';
import { nodeAccess } from '../../src/app/node.ts';
import { inventoryDiffCommand } from '../../src/cli/inventory-diff.ts';
import type { ProgramDeps } from '../../src/cli/port.ts';
import { BerthError } from '../../src/engine/errors.ts';
import { withTree } from '../trees/temporary.ts';

const test = suite<{ folder: string }>('inventory diff');

test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-diff-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

const DOCUMENT = {
  node: { name: 'n1' },
  nics: [
    {
      address: '0000:41:00.0',
      ifname: 'eth0',
      vfs: [0, 1, 2, 4].map((index) => ({ index, address: `0000:41:10.${index}`, driver: 'igbvf' })),
    },
  ],
  virtual: [],
  findings: [],
};
const BOUND = {
  ...DOCUMENT,
  nics: DOCUMENT.nics.map((nic) => ({
    ...nic,
    firmware: '9\u001b[2J',
    vfs: nic.vfs.map((vf) => ({ ...vf, driver: 'vfio-pci' })),
  })),
};

async function diff(before: string, after: string, more: { output?: string; exitCode?: boolean } = {}) {
  let out = '';
  let err = '';
  const output = { out: (text: string) => (out += text), err: (text: string) => (err += text), color: false };
  const deps = { node: nodeAccess, output } as unknown as ProgramDeps;
  const exit = await inventoryDiffCommand(deps)(before, after, { output: 'text', ...more });
  return { exit, out, err };
}

function write(folder: string, name: string, content: string): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

test('JSON and YAML are compared, VFs with the same fate together, and nothing reaches the terminal', async ({
  folder,
}) => {
  const before = write(folder, 'a.json', JSON.stringify(DOCUMENT));
  const after = write(folder, 'b.yaml', stringify(BOUND));
  const { exit, out } = await diff(before, after);
  assert.equal(exit, 0);
  assert.equal(
    out,
    [
      '~ eth0 (0000:41:00.0)',
      '    firmware: 9?[2J (was unknown)',
      '~ VFs 0-2, 4 of eth0',
      '    driver: igbvf -> vfio-pci',
      '',
    ].join('\n'),
  );
  assert.equal((await diff(before, after, { exitCode: true })).exit, 1);
  assert.equal(JSON.parse((await diff(before, after, { output: 'json' })).out).differences.length, 5);
});

test('no difference is said on stderr, and is no failure', async ({ folder }) => {
  const path = write(folder, 'a.json', JSON.stringify(DOCUMENT));
  assert.deepEqual(await diff(path, path, { exitCode: true }), { exit: 0, out: '', err: 'no difference\n' });
});

test('a captured tree is compared with what was saved of it', async ({ folder }) => {
  await withTree({ pfs: [{ vfs: 2 }] }, async ({ dir }) => {
    const { inventory } = await nodeAccess.inventory(dir);
    const path = write(folder, 'a.json', JSON.stringify({ ...inventory, node: { ...inventory.node, name: 'other' } }));
    const { out } = await diff(path, dir);
    assert.match(out, /^~ node\n {4}name: other -> node-1\n/);
  });
});

for (const [what, content, reason] of [
  ['no JSON', '{ "node"', 'saved-inventory-invalid'],
  ['another document', '{"items": []}', 'saved-inventory-invalid'],
  ['a list', '- 1\n- 2\n', 'saved-inventory-invalid'],
  ['an empty file', '', 'saved-inventory-invalid'],
  ['NICs of another kind', '{"node": {}, "nics": {}}', 'saved-inventory-invalid'],
  ['YAML that grows', 'a: &a [x, x]\nnics: [*a, *a]\n', 'saved-inventory-invalid'],
] as const) {
  test(`${what} is refused`, async ({ folder }) => {
    const path = write(folder, 'a', content);
    await assert.rejects(diff(path, path), (error) => error instanceof BerthError && error.reason === reason);
  });
}

test('a mistake is told by its place in the document', async ({ folder }) => {
  const path = write(folder, 'a.json', '{"node": {}, "nics": [{"vfs": []}]}');
  const message = `${path} is no inventory: nics[0].address is missing or of another type (wanted: string)`;
  await assert.rejects(diff(path, path), { message });
});

test('what has no end is not read to it', async () => {
  await assert.rejects(diff('/dev/zero', '/dev/zero'), {
    message: /^\/dev\/zero is no inventory: more than \d+ bytes$/,
  });
});

test('what is not there is told', async ({ folder }) => {
  const wanted = { code: 'NotFound', reason: 'saved-inventory-unreadable' };
  await assert.rejects(diff(join(folder, 'none'), join(folder, 'none')), wanted);
});

test('an interface that went into a pod, and the pod, are said by name', async ({ folder }) => {
  const netdev = { ifname: 'eth0v0', mac: '02:00:00:00:00:01' };
  const owner = { pod: 'default/a', containerId: 'c1', ifname: 'net1', since: '2026-01-01T00:00:00Z' };
  const withVf = (more: object) => ({
    ...DOCUMENT,
    nics: DOCUMENT.nics.map((nic) => ({ ...nic, vfs: [{ index: 0, address: '0000:41:10.0', ...more }] })),
  });
  const before = write(folder, 'a.json', JSON.stringify(withVf({ netdev })));
  const after = write(folder, 'b.json', JSON.stringify(withVf({ owner })));
  const { out } = await diff(before, after);
  assert.match(out, /^ {4}netdev: eth0v0, now unknown$/m);
  assert.match(out, /^ {4}owner: default\/a net1 \(was unknown\)$/m);
  const json = JSON.parse((await diff(before, after, { output: 'json' })).out) as { differences: object[] };
  assert.ok(JSON.stringify(json.differences).includes('02:00:00:00:00:01'));
});

test.run();
