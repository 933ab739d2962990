/** Whatever comes in, an answer goes out that a runtime can read, and nothing is thrown. */
import * as assert from 'node:assert/strict';
import * as fc from 'fast-check';
import { test } from 'uvu';
import { bench, call, MACVLAN, sandboxDescriptor, VF } from './calls.ts';

const IPAM = { type: 'host-local', ranges: [[{ subnet: '10.0.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] };
const BASE = JSON.stringify({
  cniVersion: '1.0.0',
  name: 'net-a',
  ...VF,
  vlan: 5,
  ipam: IPAM,
  runtimeConfig: { mac: '02:00:00:00:00:01', ips: ['10.0.0.2/24'] },
  prevResult: { interfaces: [{ name: 'net1', sandbox: '/s' }], ips: [{ address: '10.0.0.2/24', interface: 0 }] },
});

/** A JSON text with one place changed: cut, overwritten or with something put in. */
const mutated = fc
  .tuple(fc.nat(BASE.length), fc.nat(12), fc.string({ maxLength: 12 }))
  .map(([at, cut, put]) => BASE.slice(0, at) + put + BASE.slice(at + cut));
const KEYS = [
  'type',
  'link',
  'deviceID',
  'master',
  'mode',
  'mac',
  'mtu',
  'vlan',
  'ipam',
  'runtimeConfig',
  'args',
  'prevResult',
  'name',
  'cniVersion',
  'dns',
  'trust',
];
const anyConfig = fc
  .dictionary(fc.constantFrom(...KEYS), fc.jsonValue({ maxDepth: 3 }))
  .map((fields) => JSON.stringify({ cniVersion: '1.0.0', name: 'net-a', ...MACVLAN, ...fields }));
const anyEnv = fc.dictionary(
  fc.constantFrom('CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_NETNS', 'CNI_ARGS', 'TRACEPARENT'),
  fc.string({ maxLength: 20 }),
);
const command = fc.constantFrom('ADD', 'DEL', 'CHECK', 'STATUS', 'GC', 'VERSION', '', 'add');

test('every request, however broken, gets a well-formed answer', async () => {
  await fc.assert(
    fc.asyncProperty(command, fc.oneof(mutated, anyConfig, fc.string()), anyEnv, async (name, config, env) => {
      const { handle } = bench();
      const { exitCode, stdout } = await handle(
        call({ command: name, config, env, sandboxFd: sandboxDescriptor() }),
        new AbortController().signal,
      );
      if (exitCode === 0) {
        assert.ok(stdout === '' || typeof JSON.parse(stdout).cniVersion === 'string');
        return;
      }
      const answer = JSON.parse(stdout);
      assert.deepEqual(Object.keys(answer), ['cniVersion', 'code', 'msg', 'details']);
      assert.ok([1, 2, 3, 4, 5, 6, 7].includes(answer.code), stdout);
      assert.ok(answer.msg.length > 0 && answer.details.length > 0);
    }),
    { numRuns: 400 },
  );
});

test.run();
