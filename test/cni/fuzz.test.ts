/**
 * Whatever comes in, an answer goes out that a runtime can read, nothing is thrown, and nothing is left
 * behind. For a long run: `BERTH_FUZZ_RUNS=100000 node test/cni/fuzz.test.ts`.
 */
import * as assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import * as fc from 'fast-check';
import { test } from 'uvu';
import { createHandler } from '../../src/cni/index.ts';
import { createPodNode } from '../standins/attachment-node.ts';
import { bench, call, MACVLAN, sandboxDescriptor, VF } from './calls.ts';

const RUNS = Number(process.env.BERTH_FUZZ_RUNS ?? 400);
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
  'device',
  'masterSelector',
  'vlanId',
  'owner',
  'logFile',
  'statusFailsOn',
  'cni.dev/valid-attachments',
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
    { numRuns: RUNS },
  );
});

/** Configurations that are right often enough to get far, on devices and uplinks of the node in memory. */
const plausible = fc
  .record(
    {
      cniVersion: fc.constantFrom('0.2.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'),
      name: fc.constantFrom('net-a', 'net-b'),
      type: fc.constantFrom('sriov', 'macvlan', 'ipvlan', 'vlan'),
      master: fc.constantFrom('eth0', 'eth1', 'eth9'),
      deviceID: fc.constantFrom('0000:41:10.0', '0000:41:10.1', 'eth1-3'),
      vlan: fc.nat(5000),
      vlanId: fc.nat(20),
      mtu: fc.nat(9000),
      mode: fc.constantFrom('bridge', 'private', 'l2', 'l3'),
      mac: fc.constantFrom('02:00:00:00:00:01', '01:00:00:00:00:01'),
      ipam: fc.constantFrom(IPAM, { ...IPAM, ranges: [[{ subnet: '10.0.0.0/30' }]] }, { type: 'static' }),
    },
    { requiredKeys: ['cniVersion', 'name', 'type'] },
  )
  .map((fields) => JSON.stringify(fields));
const operation = fc.record({
  command: fc.constantFrom('ADD', 'ADD', 'DEL', 'CHECK', 'GC'),
  container: fc.constantFrom('c1', 'c2', 'c3'),
  ifname: fc.constantFrom('net1', 'net2'),
  config: fc.oneof(plausible, mutated),
});

test('whatever is asked for in whatever order, DEL brings everything back', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { maxLength: 12 }), async (operations) => {
      const node = createPodNode({ vfAddresses: ['0000:41:10.0', '0000:41:10.1'] });
      for (const container of ['c1', 'c2', 'c3']) node.world.addSandbox(`/run/netns/${container}`);
      const before = node.snapshot();
      let path = '';
      const handle = createHandler({
        attachments: node.engine,
        adoptSandbox: async (fd) => {
          closeSync(fd);
          const sandbox = node.kernel.openUnwatched(path);
          assert.ok(sandbox);
          return sandbox;
        },
        uplinkName: async (name) => name,
      });
      const run = async (name: string, container: string, ifname: string, config: string): Promise<number> => {
        path = `/run/netns/${container}`;
        const env = { CNI_CONTAINERID: container, CNI_IFNAME: ifname, CNI_NETNS: path };
        const asked = call({ command: name, config, env, sandboxFd: sandboxDescriptor() });
        const { exitCode, stdout, sent } = await handle(asked, new AbortController().signal);
        sent?.();
        const code = exitCode === 0 ? 0 : JSON.parse(stdout).code;
        assert.notEqual(code, 100, stdout);
        return code;
      };
      for (const { command: name, container, ifname, config } of operations) await run(name, container, ifname, config);
      for (const container of ['c1', 'c2', 'c3'])
        for (const ifname of ['net1', 'net2'])
          assert.equal(
            await run('DEL', container, ifname, '{"cniVersion":"1.0.0","name":"net-a","type":"macvlan"}'),
            0,
          );
      assert.deepEqual(node.engine.list(), []);
      assert.equal(node.snapshot(), before);
    }),
    { numRuns: Math.ceil(RUNS / 4) },
  );
});

test.run();
