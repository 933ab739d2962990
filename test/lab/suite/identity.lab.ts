/**
 * Ports by what stays the same, on real NICs: the permanent address that the kernel tells, while the
 * current one and the interface's name are others, and the same from a captured tree.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { nodeAccess } from '../../../src/app/node.ts';
import { ip } from '../../kernel/own-namespace.ts';
import { eventually } from '../../standins/eventually.ts';

const test = suite('identity in the lab');
const PF = 'eth0';
const RENAMED = 'port0';
const LIMIT_MS = 60_000;

let permanent = '';
let folder = '';

function setVfs(count: number): void {
  const path = `/sys/class/net/${PF}/device/sriov_numvfs`;
  writeFileSync(path, '0');
  if (count > 0) writeFileSync(path, String(count));
}

async function planned(root: string): Promise<readonly (readonly [string, readonly (string | undefined)[]])[]> {
  const { pools, problems } = await nodeAccess.plan({ root, file: join(folder, 'config.yaml') });
  assert.deepEqual(problems, []);
  return pools.map(({ devices, resource }) => [resource, devices.map(({ pf, vf }) => `${pf}#${vf}`)] as const);
}

test.before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'berth-identity-'));
  setVfs(4);
  const [port] = JSON.parse(ip('-j', 'link', 'show', PF)) as { address: string; permaddr?: string }[];
  permanent = port?.permaddr ?? port?.address ?? '';
  writeFileSync(
    join(folder, 'config.yaml'),
    `pools:
  - {name: by-mac, kind: vf, selectors: [{pfMacs: ["${permanent}#0-1"]}]}
  - {name: by-name, kind: vf, selectors: [{pfNames: ["${PF}"]}]}
`,
  );
  await eventually(
    async () => {
      const { pools } = await nodeAccess.plan({ root: '/', file: join(folder, 'config.yaml') });
      assert.equal(pools.flatMap(({ devices }) => devices).length, 4);
    },
    LIMIT_MS,
    () => 'four VFs with drivers',
  );
});

test.after(() => {
  setVfs(0);
  rmSync(folder, { recursive: true });
});

test('a pool by permanent address has its VFs', async () => {
  assert.deepEqual(await planned('/'), [
    ['berth.dev/by-mac', [`${PF}#0`, `${PF}#1`]],
    ['berth.dev/by-name', [`${PF}#2`, `${PF}#3`]],
  ]);
});

test('it has them still when the port has another name and another address, and a pool by name has none', async () => {
  ip('link', 'set', PF, 'down');
  ip('link', 'set', PF, 'name', RENAMED);
  ip('link', 'set', RENAMED, 'address', '02:00:00:00:be:01');
  try {
    const [port] = JSON.parse(ip('-j', 'link', 'show', RENAMED)) as { permaddr?: string }[];
    assert.equal(port?.permaddr, permanent);
    const expected = [
      ['berth.dev/by-mac', [`${RENAMED}#0`, `${RENAMED}#1`]],
      ['berth.dev/by-name', []],
    ];
    assert.deepEqual(await planned('/'), expected);
    const found = await nodeAccess.explain({ root: '/', device: `${permanent}#1`, file: join(folder, 'config.yaml') });
    assert.deepEqual(
      found.offered.map(({ resource }) => resource),
      ['berth.dev/by-mac'],
    );
    assert.ok(found.names?.includes(`${permanent}#1`), found.names?.join(', '));
    await nodeAccess.capture('/', join(folder, 'tree'));
    assert.deepEqual(await planned(join(folder, 'tree')), expected, 'from a captured tree');
  } finally {
    ip('link', 'set', RENAMED, 'address', permanent);
    ip('link', 'set', RENAMED, 'name', PF);
    ip('link', 'set', PF, 'up');
  }
});

test.run();
