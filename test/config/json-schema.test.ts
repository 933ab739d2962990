/** The published schema says what the agent does: the same documents are good for both. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { suite } from 'uvu';
import { z } from 'zod';
import { configJsonSchema, parseConfig } from '../../src/config/index.ts';
import { schemaKeys } from '../../src/config/json-schema.ts';
import { KEY_WORDS } from '../../src/config/key-words.ts';

const test = suite('JSON schema');
const root = join(import.meta.dirname, '../..');
const schema = configJsonSchema();
// A reader of JSON Schema that shares nothing with the schema the agent has.
const published = z.fromJSONSchema(schema as z.core.JSONSchema.JSONSchema);
const keys = new Map(schemaKeys(schema));

const good: Readonly<Record<string, unknown>> = {
  nothing: {},
  'the address of the schema': { $schema: './berth-config.schema.json' },
  'no pools': { pools: [] },
  'a pool': { pools: [{ name: 'a', kind: 'vf' }] },
  'selectors of every shape': {
    resourcePrefix: 'example.com',
    pools: [
      {
        name: 'fast',
        kind: 'vf',
        selectors: [
          { vendors: ['8086', '15B3'], pfNames: ['eth0#0,2-7', 'eth1', 'ens3f0np0#1'] },
          { rootDevices: ['0000:41:00.0#0-3'], pciAddresses: ['0000:41:10.0'], isRdma: true },
          { pfSerials: ['MT42@1#0-3', 'XY'], pfMacs: ['3C-FD-FE-00-00-01#7'] },
        ],
        namespaces: ['team-a'],
        additionalInfo: { '*': { site: 'a' } },
      },
    ],
  },
  'uplinks of every shape': {
    pools: [
      {
        name: 'shared',
        kind: 'macvlan',
        capacity: 7,
        uplinks: [{ names: ['eth0'] }, { subnets: ['10.0.0.0/16', '2001:db8::/32'], macs: ['3c:fd:fe:00:00:01'] }],
        health: { linkDown: 'ignore' },
      },
    ],
  },
  folders: { paths: { kubeletDir: '/var/lib/k0s/kubelet' }, kubelet: { registration: 'legacy' } },
};

const bad: Readonly<Record<string, unknown>> = {
  'a text': 'pools',
  'an unknown key': { pool: [] },
  'an unknown key of a pool': { pools: [{ name: 'a', kind: 'vf', selector: [{}] }] },
  'an unknown selector': { pools: [{ name: 'a', kind: 'vf', selectors: [{ pfName: ['eth0'] }] }] },
  'a pool without a name': { pools: [{ kind: 'vf' }] },
  'a pool without a kind': { pools: [{ name: 'a' }] },
  'an unknown kind': { pools: [{ name: 'a', kind: 'vlan' }] },
  'a name that leaves its folder': { pools: [{ name: '../a', kind: 'vf' }] },
  'a null selector': { pools: [{ name: 'a', kind: 'vf', selectors: null }] },
  'an empty list': { pools: [{ name: 'a', kind: 'vf', selectors: [{ vendors: [] }] }] },
  'a number for a vendor': { pools: [{ name: 'a', kind: 'vf', selectors: [{ vendors: [8086] }] }] },
  'a vendor of three digits': { pools: [{ name: 'a', kind: 'vf', selectors: [{ vendors: ['808'] }] }] },
  'half an address': { pools: [{ name: 'a', kind: 'vf', selectors: [{ pciAddresses: ['41:10.0'] }] }] },
  'a range without an end': { pools: [{ name: 'a', kind: 'vf', selectors: [{ pfNames: ['eth0#1-'] }] }] },
  'a serial number with a space': { pools: [{ name: 'a', kind: 'vf', selectors: [{ pfSerials: ['a b'] }] }] },
  'capacity 0': { pools: [{ name: 'a', kind: 'macvlan', capacity: 0 }] },
  'a fraction of a slot': { pools: [{ name: 'a', kind: 'macvlan', capacity: 1.5 }] },
  'a namespace in capitals': { pools: [{ name: 'a', kind: 'vf', namespaces: ['Team'] }] },
  'a subnet without its length': { pools: [{ name: 'a', kind: 'macvlan', uplinks: [{ subnets: ['10.0.0.0'] }] }] },
  'a policy that is not one': { pools: [{ name: 'a', kind: 'vf', health: { linkDown: 'maybe' } }] },
  'a relative folder': { paths: { runDir: 'run/berth' } },
  'a prefix in capitals': { resourcePrefix: 'Example.com' },
};

function agentTakes(document: unknown): boolean {
  return parseConfig(JSON.stringify(document), 'c.json').config !== undefined;
}

for (const [name, document] of Object.entries(good)) {
  test(`${name}: good for an editor and for the agent`, () => {
    assert.equal(published.safeParse(document).success, true);
    assert.equal(agentTakes(document), true);
  });
}

for (const [name, document] of Object.entries(bad)) {
  test(`${name}: bad for an editor and for the agent`, () => {
    assert.equal(published.safeParse(document).success, false);
    assert.equal(agentTakes(document), false);
  });
}

test('each key of the schema has words, and no words are for a key that is not there', () => {
  assert.deepEqual(
    [...keys.keys()].filter((key) => KEY_WORDS[key] === undefined),
    [],
    'without words in src/config/key-words.ts',
  );
  assert.deepEqual(
    Object.keys(KEY_WORDS).filter((key) => !keys.has(key)),
    [],
    'without a key',
  );
});

test('every example is what its key takes', () => {
  let seen = 0;
  for (const [key, { examples = [] }] of Object.entries(KEY_WORDS)) {
    const shape = keys.get(key);
    assert.ok(shape, key);
    const check = z.fromJSONSchema(shape as z.core.JSONSchema.JSONSchema);
    for (const example of examples) {
      assert.equal(check.safeParse(example).success, true, `${key}: ${JSON.stringify(example)}`);
      seen += 1;
    }
  }
  assert.ok(seen > 20, `${seen} examples`);
});

test('what hack/schema writes is current', () => {
  const { status, stderr } = spawnSync(join(root, 'hack/schema'), ['--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});

test.run();
