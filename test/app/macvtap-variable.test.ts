import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { followConfiguration } from '../../src/app/configuration.ts';
import { silentLogger } from '../../src/engine/logger.ts';

const test = suite('resources from the environment');
const VARIABLE = 'DP_MACVTAP_CONF';
const before = process.env[VARIABLE];
let folder = '';
let file = '';

test.before.each(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-config-'));
  file = join(folder, 'config.yaml');
  writeFileSync(file, 'pools: [{name: a, kind: vf}]\n');
});

test.after.each(() => {
  rmSync(folder, { recursive: true });
  if (before === undefined) delete process.env[VARIABLE];
  else process.env[VARIABLE] = before;
});

async function resources(): Promise<readonly string[]> {
  const configuration = await followConfiguration(file, {}, silentLogger);
  configuration.stop();
  return configuration.problems.length > 0
    ? configuration.problems
    : configuration.current.pools.map((pool) => pool.resource);
}

test('resources of macvtap-cni come from the environment', async () => {
  process.env[VARIABLE] = '[{"name": "dataplane", "lowerDevice": "eth0"}]';
  assert.deepEqual(await resources(), ['berth.dev/a', 'macvtap.network.kubevirt.io/dataplane']);
});

test('an empty variable says nothing', async () => {
  process.env[VARIABLE] = '';
  assert.deepEqual(await resources(), ['berth.dev/a']);
});

test('a broken one is told, and nothing is offered', async () => {
  process.env[VARIABLE] = '[{"name": "dataplane"}]';
  assert.deepEqual(await resources(), [`${file}: DP_MACVTAP_CONF[0].lowerDevice: required: a text`]);
});

test.run();
