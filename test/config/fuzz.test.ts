/** Documents that nobody would write: every one gives pools or reasons, and pools that it gives can be evaluated. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'uvu';
import { parseConfig } from '../../src/config/index.ts';
import { evaluate } from '../../src/engine/pools/evaluate.ts';
import { isError } from '../../src/engine/view.ts';
import { context, nic, vf } from '../engine/pools/build.ts';

const word = fc.constantFrom(
  'vf',
  'sf',
  'macvlan',
  'macvtap',
  'uplink',
  'accelerator',
  'eth0',
  'eth0#0-3',
  'eth*#7-2',
  '8086',
  '0x8001',
  '50%',
  '0000:41:00.0',
  '10.0.0.0/8',
  '{uplink}',
  'a',
  'storage',
  '',
  '*',
  'pci0000:40',
  'bridge',
  'vhost',
  'netDevice',
  'auxNetDevice',
);
const key = fc.constantFrom(
  'pools',
  'resourceList',
  'uplinkGroups',
  'keepBack',
  'name',
  'kind',
  'selectors',
  'uplinks',
  'perPf',
  'limit',
  'pfNames',
  'pfGroups',
  'groups',
  'numaNodes',
  'vendors',
  'isRdma',
  'vdpaType',
  'resourceName',
  'deviceType',
  'auxTypes',
  'additionalInfo',
  'capacity',
  'mode',
  'lowerDevice',
  'health',
  '__proto__',
  'storage',
  'Selectors',
  'resourcePrefix',
);
const leaf = fc.oneof(
  word,
  fc.integer({ min: -2, max: 9 }),
  fc.boolean(),
  fc.constant(null),
  fc.string({ maxLength: 6 }),
);
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    leaf,
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(key, tie('value'), { maxKeys: 4 }),
  ),
}));
const pool = fc.record(
  {
    name: word,
    kind: word,
    selectors: fc.array(fc.dictionary(key, value, { maxKeys: 2 }), { maxLength: 2 }),
    uplinks: value,
    perPf: value,
  },
  { requiredKeys: ['name', 'kind'] },
);
const resource = fc.record(
  { resourceName: word, deviceType: word, selectors: value },
  { requiredKeys: ['resourceName', 'selectors'] },
);
const document = fc.oneof(
  value,
  fc.record(
    { pools: fc.array(pool, { maxLength: 3 }), uplinkGroups: value, keepBack: value },
    { requiredKeys: ['pools'] },
  ),
  fc.record({ resourceList: fc.array(resource, { maxLength: 3 }) }),
  fc.array(fc.record({ name: word, lowerDevice: word, mode: value }, { requiredKeys: ['name'] }), { maxLength: 3 }),
);

const node = context([nic('eth0', [vf(0), vf(1)])]);

test('a document gives pools that can be evaluated, or the reasons why not', () => {
  fc.assert(
    fc.property(document, (written) => {
      const text = JSON.stringify(written, undefined, 1) ?? '';
      const { config, problems } = parseConfig(text, 'f');
      assert.equal(config === undefined, problems.some(isError), `${text}\n${JSON.stringify(problems)}`);
      const lines = text.split('\n').length;
      for (const { line, message } of problems) {
        assert.ok(
          line !== undefined && line >= 1 && line <= lines,
          `${message} is said to be on line ${line} of ${lines}`,
        );
        assert.doesNotMatch(message, /Invalid input|undefined|\[object/);
      }
      if (config !== undefined) assert.ok(evaluate(config.pools, node).pools.length >= 0);
    }),
    { numRuns: 1500, seed: 4 },
  );
});

test('text that is no document gives reasons', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      const { config, problems } = parseConfig(text, 'f');
      assert.equal(config === undefined, problems.some(isError));
    }),
    { numRuns: 500, seed: 4 },
  );
});

test.run();
