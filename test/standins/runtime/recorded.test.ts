/** Holds the stand-in to what real runtimes did. */
import * as assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import type { Execution } from './execute.ts';
import { createRuntime, type NetworkDefinition, type NetworkSelection, type Pod, type Runtime } from './index.ts';

interface Recorded {
  readonly plugin?: string;
  readonly env: Record<string, string>;
  readonly stdin: Record<string, unknown>;
}

function recorded(file: string, plugin = 'recorder'): Recorded[] {
  const text = readFileSync(new URL(`../../fixtures/exchanges/${file}.json`, import.meta.url), 'utf8');
  const { exchange } = JSON.parse(text) as { exchange: Recorded[] };
  return exchange.filter((entry) => entry.plugin === plugin);
}

const RESULT = {
  cniVersion: '1.0.0',
  interfaces: [{ name: 'net1', mac: '02:5e:c4:57:63:39', sandbox: '/var/run/netns/cni-1' }],
  ips: [{ address: '10.60.0.6/24', interface: 0 }],
};

interface Scene {
  readonly runtime: Runtime;
  readonly executions: Execution[];
}

function scene(style: 'thin' | 'thick', devices: readonly string[]): Scene {
  const executions: Execution[] = [];
  let sandboxes = 0;
  const runtime = createRuntime({
    shimPath: '/shim',
    style,
    devicesOf: async () => new Map([['rig.example/vf', devices]]),
    sandboxes: { make: async () => `/var/run/netns/cni-${++sandboxes}`, remove: async () => undefined },
    execute: async (execution) => {
      executions.push(execution);
      return { exitCode: 0, stdout: execution.env.CNI_COMMAND === 'ADD' ? JSON.stringify(RESULT) : '' };
    },
  });
  return { runtime, executions };
}

const NET_A: NetworkDefinition = {
  namespace: 'default',
  name: 'net-a',
  resourceName: 'rig.example/vf',
  config: { cniVersion: '1.0.0', type: 'recorder', vlan: 100, spoofchk: 'off', ipam: { type: 'static' } },
};

/** Keys of the arguments, with how often each comes; the order is chance. */
function argumentKeys(args: string): string[] {
  return args
    .split(';')
    .map((part) => part.split('=')[0] ?? '')
    .sort();
}

function assertLike(actual: Execution | undefined, expected: Recorded | undefined, what: string): void {
  assert.ok(actual !== undefined && expected !== undefined, what);
  const command = expected.env.CNI_COMMAND;
  assert.equal(actual.env.CNI_COMMAND, command, what);
  assert.deepEqual(
    Object.keys(actual.env).sort(),
    Object.keys(expected.env).sort(),
    `${what}: environment of ${command}`,
  );
  assert.deepEqual(
    argumentKeys(actual.env.CNI_ARGS ?? ''),
    argumentKeys(expected.env.CNI_ARGS ?? ''),
    `${what}: CNI_ARGS of ${command}`,
  );
  assert.equal(actual.env.CNI_IFNAME, expected.env.CNI_IFNAME, what);
  assert.equal(actual.env.CNI_PATH, expected.env.CNI_PATH, what);
  assert.equal(actual.env.CNI_NETNS === '', expected.env.CNI_NETNS === '', `${what}: sandbox of ${command}`);
  const stdin = JSON.parse(actual.stdin) as Record<string, unknown>;
  assert.equal(actual.stdin, JSON.stringify(stdin), `${what}: compact`);
  assert.deepEqual(Object.keys(stdin), Object.keys(expected.stdin).sort(), `${what}: configuration of ${command}`);
  for (const key of ['deviceID', 'pciBusID', 'cniVersion', 'args', 'capabilities', 'vlan', 'ipam'] as const) {
    assert.deepEqual(stdin[key], expected.stdin[key], `${what}: ${key} of ${command}`);
  }
}

const pod: Pod = { namespace: 'default', name: 'p', uid: 'a4e2a5f7-7d47-4dd6-bd9a-af2546cea16b' };
const of = (network: NetworkDefinition): NetworkSelection => ({ network });

test('two attachments of one resource get its devices in sorted order', async () => {
  const real = recorded('multus-thin-2-two-devices');
  const { runtime, executions } = scene('thin', ['0000:41:10.2', '0000:41:10.1']);
  await runtime.addPod(pod, [of(NET_A), of(NET_A)]);
  assertLike(executions[0], real[0], 'net1');
  assertLike(executions[1], real[1], 'net2');
});

test('a pod without the resource is called without device keys', async () => {
  const real = recorded('multus-thin-4-resource-not-requested');
  const { runtime, executions } = scene('thin', []);
  await runtime.addPod(pod, [of(NET_A)]);
  await runtime.deletePod(pod);
  assertLike(executions[0], real[0], 'ADD');
  assertLike(executions[1], real[1], 'DEL');
});

test('no result is handed back at 0.3.1, and DEL goes backwards', async () => {
  const real = recorded('multus-thin-7-cniversion-1.1.0-and-0.3.1');
  const { runtime, executions } = scene('thin', ['0000:41:10.2', '0000:41:10.3']);
  const at = (cniVersion: string): NetworkSelection =>
    of({ ...NET_A, name: `net-v${cniVersion}`, config: { cniVersion, type: 'recorder' } });
  await runtime.addPod(pod, [at('1.1.0'), at('0.3.1')]);
  await runtime.deletePod(pod);
  assert.equal(executions.length, real.length);
  for (const [i, execution] of executions.entries()) assertLike(execution, real[i], `call ${i}`);
});

test('thick Multus repeats no arguments', async () => {
  const real = recorded('multus-thick-1-one-device');
  const { runtime, executions } = scene('thick', ['0000:41:10.1']);
  await runtime.addPod(pod, [of(NET_A)]);
  await runtime.deletePod(pod);
  assertLike(executions[0], real[0], 'ADD');
  assertLike(executions[1], real[1], 'DEL');
});

test('a sandbox made anew: DEL of the old, ADD of the new with the same device, later DELs of the old without sandbox or result', async () => {
  const real = recorded('del-4-sandbox-remade');
  const { runtime, executions } = scene('thin', ['0000:41:10.1']);
  await runtime.addPod(pod, [of(NET_A)]);
  const remade = await runtime.remakeSandbox(pod);
  await runtime.deletePod(pod);
  await runtime.collectSandboxes(pod);
  for (const [i, expected] of real.entries()) assertLike(executions[i], expected, `call ${i}`);
  const last = executions[4];
  assert.ok(
    last !== undefined && last.env.CNI_CONTAINERID !== remade.containerId,
    'the stale DEL is of the old container',
  );
});

test('a DEL without any ADD has a device and no result', async () => {
  const real = recorded('del-8-del-without-add');
  const { runtime, executions } = scene('thick', ['0000:41:10.2']);
  await runtime.delWithoutAdd(pod, [of(NET_A)]);
  assertLike(executions[0], real[0], 'DEL');
});

test('requests of the annotation arrive in runtimeConfig, args and CNI_ARGS, and MAC and IP not with DEL', async () => {
  const real = recorded('multus-thin-3-json-selection');
  const { runtime, executions } = scene('thin', ['0000:41:10.3']);
  // Port mappings and bandwidth are left out: the stand-in passes what Berth can be asked for.
  const capabilities = { CNIDeviceInfoFile: true, deviceID: true, ips: true, mac: true };
  const network: NetworkDefinition = {
    ...NET_A,
    name: 'net-b',
    config: { cniVersion: '1.0.0', type: 'recorder', capabilities },
  };
  const selection = {
    network,
    interface: 'vf0',
    mac: '02:11:22:33:44:55',
    ips: ['10.70.0.5/24'],
    cniArgs: { foo: 'bar', n: 1 },
  };
  await runtime.addPod(pod, [selection]);
  await runtime.deletePod(pod);
  for (const [i, command] of ['ADD', 'DEL'].entries()) {
    const expected = real[i];
    assert.ok(expected);
    const asked = expected.stdin.runtimeConfig as Record<string, unknown>;
    const { bandwidth: _b, portMappings: _p, infinibandGUID: _g, ...runtimeConfig } = asked;
    assertLike(executions[i], { ...expected, stdin: { ...expected.stdin, capabilities, runtimeConfig } }, command);
    const stdin = JSON.parse(executions[i]?.stdin ?? '') as { runtimeConfig: Record<string, unknown> };
    assert.deepEqual(Object.keys(stdin.runtimeConfig), Object.keys(runtimeConfig).sort());
  }
});

test('a failed ADD is followed by the DELs of everything so far, backwards, and the sandbox ends', async () => {
  const commands: string[] = [];
  const removed: string[] = [];
  const runtime = createRuntime({
    shimPath: '/shim',
    devicesOf: async () => new Map(),
    sandboxes: { make: async () => '/var/run/netns/cni-1', remove: async (path) => void removed.push(path) },
    execute: async ({ env }) => {
      commands.push(`${env.CNI_COMMAND} ${env.CNI_IFNAME}`);
      if (env.CNI_COMMAND === 'ADD' && env.CNI_IFNAME === 'net2')
        return { exitCode: 1, stdout: '{"code":11,"msg":"later"}' };
      return { exitCode: 0, stdout: env.CNI_COMMAND === 'ADD' ? JSON.stringify(RESULT) : '' };
    },
  });
  await assert.rejects(
    runtime.addPod(pod, [of(NET_A), of(NET_A), of(NET_A)]),
    /ADD net2 exited with 1: code 11, later/,
  );
  assert.deepEqual(commands, ['ADD net1', 'ADD net2', 'DEL net2', 'DEL net1']);
  assert.deepEqual(removed, ['/var/run/netns/cni-1']);
});

test.run();
