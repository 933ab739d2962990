/** A function is taken from its driver and given back, by the files of sysfs. */
import * as assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { toBerthError } from '../../../src/engine/errors.ts';
import { parsePciAddress } from '../../../src/engine/values.ts';
import { rebind } from '../../../src/linux/sysfs/rebind.ts';

const ADDRESS = parsePciAddress('0000:41:10.0');
const test = suite('binding a driver anew', { pci: '' });

test.before.each((context) => {
  context.pci = mkdtempSync(join(tmpdir(), 'berth-pci-'));
  mkdirSync(join(context.pci, 'devices', ADDRESS), { recursive: true });
  for (const driver of ['mlx5_core', 'vfio-pci']) {
    mkdirSync(join(context.pci, 'drivers', driver), { recursive: true });
    for (const file of ['bind', 'unbind']) writeFileSync(join(context.pci, 'drivers', driver, file), '');
  }
});
test.after.each(({ pci }) => rmSync(pci, { recursive: true }));

const written = (pci: string, file: string): string => readFileSync(join(pci, 'drivers', file), 'utf8');

test('it is unbound from the driver that it has, and bound to the one that is asked for', async ({ pci }) => {
  symlinkSync('../../drivers/vfio-pci', join(pci, 'devices', ADDRESS, 'driver'));
  await rebind(ADDRESS, 'mlx5_core', pci);
  assert.deepEqual(
    ['vfio-pci/unbind', 'mlx5_core/bind', 'mlx5_core/unbind'].map((file) => written(pci, file)),
    [ADDRESS, ADDRESS, ''],
  );
});

test('one without a driver is only bound', async ({ pci }) => {
  await rebind(ADDRESS, 'mlx5_core', pci);
  assert.deepEqual(
    ['mlx5_core/bind', 'mlx5_core/unbind'].map((file) => written(pci, file)),
    [ADDRESS, ''],
  );
});

test('a driver that is not there is named', async ({ pci }) => {
  const failure = await rebind(ADDRESS, 'mlx4_core', pci).catch(toBerthError);
  assert.equal(toBerthError(failure).reason, 'rebind-failed');
  assert.match(toBerthError(failure).message, /mlx4_core/);
});

test.run();
