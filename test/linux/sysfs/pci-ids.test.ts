import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { suite } from 'uvu';
import { createPciNames } from '../../../src/linux/sysfs/pci-ids.ts';

const FILE = [
  '# a comment',
  '1af4  Red Hat, Inc.',
  '\t1041  Virtio 1.0 network device',
  '8086  Intel Corporation',
  '\t10c9  82576 Gigabit Network Connection',
  '\t\t8086 a03c  A subsystem',
  '\t10ca  82576 Virtual Function',
  'C 02  Network controller',
  '\t00  Ethernet controller',
  '',
].join('\n');

const test = suite<{ folder: string }>('pci.ids');
test.before.each((context) => {
  context.folder = mkdtempSync(join(tmpdir(), 'berth-ids-'));
});
test.after.each(({ folder }) => rmSync(folder, { recursive: true, force: true }));

for (const [name, content] of [
  ['pci.ids', FILE],
  ['pci.ids.gz', gzipSync(FILE)],
] as const) {
  test(`${name}: vendors and devices have names, others none`, async ({ folder }) => {
    writeFileSync(join(folder, name), content);
    const names = createPciNames([join(folder, 'missing'), join(folder, name)]);
    const pairs = ['8086:10ca', '8086:ffff', 'dead:beef', '1af4:1041'].map((pair) => ({
      vendor: pair.slice(0, 4),
      device: pair.slice(5),
    }));
    await names.load(pairs);
    assert.deepEqual(
      pairs.map((pair) => names.get(pair)),
      [
        { vendorName: 'Intel Corporation', deviceName: '82576 Virtual Function' },
        { vendorName: 'Intel Corporation' },
        {},
        { vendorName: 'Red Hat, Inc.', deviceName: 'Virtio 1.0 network device' },
      ],
    );
  });
}

test('without a file nothing has a name', async ({ folder }) => {
  const names = createPciNames([join(folder, 'missing')]);
  await names.load([{ vendor: '8086', device: '10ca' }]);
  assert.deepEqual(names.get({ vendor: '8086', device: '10ca' }), {});
});

test('a file without an end of line and with a very long line is read to its end', async ({ folder }) => {
  writeFileSync(join(folder, 'ids'), `${'x'.repeat(100_000)}\n8086  Intel`);
  const names = createPciNames([join(folder, 'ids')]);
  await names.load([{ vendor: '8086', device: '0001' }]);
  assert.deepEqual(names.get({ vendor: '8086', device: '0001' }), { vendorName: 'Intel' });
});

test.run();
