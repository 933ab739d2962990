import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { parseConfig, readConfig } from '../../src/config/index.ts';
import type { PoolSpec } from '../../src/engine/pools/model.ts';
import { describeProblem } from '../../src/engine/view.ts';

const said = (problems: ReturnType<typeof parseConfig>['problems']) =>
  problems.map((problem) => describeProblem('f', problem));

const pool = (facts: object): object => ({
  kind: 'macvtap',
  resource: 'macvtap.network.kubevirt.io/dataplane',
  origin: 'f:1',
  excludeTopology: false,
  health: { linkDown: 'unhealthy', driverChanged: 'unhealthy' },
  slotIds: 'macvtap-cni',
  uplinks: [{ names: ['eth0'] }],
  capacity: 100,
  mode: 'bridge',
  ...facts,
});

const good: readonly (readonly [string, string, readonly object[], readonly string[]])[] = [
  [
    'a resource',
    '[{"name": "dataplane", "lowerDevice": "eth0", "mode": "vepa", "capacity": 50}]',
    [pool({ mode: 'vepa', capacity: 50 })],
    [],
  ],
  ['a resource of few words', '[{"name": "dataplane", "lowerDevice": "eth0"}]', [pool({})], []],
  [
    'no mode and no capacity',
    '[{"name": "dataplane", "lowerDevice": "eth0", "mode": "", "capacity": 0}]',
    [pool({})],
    [],
  ],
  [
    'two resources on one uplink',
    '[{"name": "dataplane", "lowerDevice": "eth0"},\n{"name": "b", "lowerDevice": "eth0", "mode": "private"}]',
    [pool({}), pool({ resource: 'macvtap.network.kubevirt.io/b', origin: 'f:2', mode: 'private' })],
    [],
  ],
  [
    'nothing, which is a resource on each uplink',
    '[]',
    [
      {
        kind: 'macvtap',
        resource: 'macvtap.network.kubevirt.io/{uplink}',
        origin: 'f',
        excludeTopology: false,
        health: { linkDown: 'unhealthy', driverChanged: 'unhealthy' },
        slotIds: 'macvtap-cni',
        uplinks: [],
        capacity: 100,
        perUplink: true,
      },
    ],
    [],
  ],
  [
    'keys that the plugin ignores',
    '[{"name": "dataplane", "lowerDevice": "eth0",\n"mtu": 9000}]',
    [pool({})],
    ['f:2: warning: [0].mtu: unknown key "mtu", which is ignored (known here: name, lowerDevice, mode, capacity)'],
  ],
  [
    'a name that is there twice',
    '[{"name": "dataplane", "lowerDevice": "eth1"},\n{"name": "dataplane", "lowerDevice": "eth0"}]',
    [pool({ origin: 'f:2' })],
    [
      'f:2: warning: [1].name: the resource dataplane is there already, on line 1; the last one counts (give one of them another name)',
    ],
  ],
];
for (const [what, text, pools, problems] of good) {
  test(`a file of macvtap-cni's device plugin gives pools: ${what}`, () => {
    const result = parseConfig(text, 'f');
    assert.deepEqual(result.config?.pools, pools);
    assert.deepEqual(said(result.problems), problems);
  });
}

const bad: readonly (readonly [string, string, readonly string[]])[] = [
  [
    'a name that leaves a folder',
    '[{"name": "../x", "lowerDevice": "eth0"}]',
    ['f:1: [0].name: "../x" is not a resource name: letters, digits, "-", "_" and ".", a letter or digit at both ends'],
  ],
  ['no uplink', '[{"name": "a"}]', ['f:1: [0].lowerDevice: required: a text']],
  [
    'an uplink that cannot be',
    '[{"name": "a", "lowerDevice": "a/b"}]',
    ['f:1: [0].lowerDevice: "a/b" cannot be the name of an interface'],
  ],
  [
    'a mode that is none',
    '[{"name": "a", "lowerDevice": "eth0", "mode": "brigde"}]',
    ['f:1: [0].mode: "brigde" is not one of bridge, private, vepa (did you mean bridge?)'],
  ],
  [
    'a capacity that is no number',
    '[{"name": "a", "lowerDevice": "eth0", "capacity": "7"}]',
    ['f:1: [0].capacity: a number is expected, not the text "7"'],
  ],
  [
    'a capacity of too many',
    '[{"name": "a", "lowerDevice": "eth0", "capacity": 10001}]',
    ['f:1: [0].capacity: 10001 is more than 10000'],
  ],
];
for (const [what, text, problems] of bad) {
  test(`a file of macvtap-cni's device plugin is refused with its reasons: ${what}`, () => {
    const result = parseConfig(text, 'f');
    assert.equal(result.config, undefined);
    assert.deepEqual(said(result.problems), problems);
  });
}

const VARIABLE = '[{"name": "dataplane", "lowerDevice": "eth0"}]';
const resources = (pools: readonly PoolSpec[] | undefined) => pools?.map(({ resource }) => resource);

test('without a file the variable is all there is', async () => {
  const { config, problems } = await readConfig('/nonexistent/config.yaml', true, { macvtap: VARIABLE });
  assert.deepEqual(problems, []);
  assert.deepEqual(resources(config?.pools), ['macvtap.network.kubevirt.io/dataplane']);
  assert.equal(config?.pools[0]?.origin, 'DP_MACVTAP_CONF:1');
});

async function withFile(text: string, body: (file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'berth-config-'));
  try {
    writeFileSync(join(folder, 'f'), text);
    await body(join(folder, 'f'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('its resources come behind those of a file', async () => {
  await withFile('pools: [{name: a, kind: vf}]', async (file) => {
    const { config } = await readConfig(file, true, { macvtap: VARIABLE });
    assert.deepEqual(resources(config?.pools), ['berth.dev/a', 'macvtap.network.kubevirt.io/dataplane']);
  });
});

test('its problems name it, beside those of the file', async () => {
  await withFile('pols: []', async (file) => {
    const { config, problems } = await readConfig(file, true, { macvtap: '[{"name": 5}]' });
    assert.equal(config, undefined);
    assert.deepEqual(
      problems.map(({ path, message }) => `${path}: ${message}`),
      [
        'pols: unknown key "pols"',
        'DP_MACVTAP_CONF[0].name: a text is expected, not 5',
        'DP_MACVTAP_CONF[0].lowerDevice: required: a text',
      ],
    );
  });
});

test('what is no list in it is told', async () => {
  const { config, problems } = await readConfig('/nonexistent/config.yaml', true, { macvtap: '{"name": "a"}' });
  assert.equal(config, undefined);
  assert.deepEqual(
    problems.map(({ path, message }) => `${path}: ${message}`),
    ['DP_MACVTAP_CONF: a list is expected, not a mapping'],
  );
});

test.run();
