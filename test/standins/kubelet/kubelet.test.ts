/** The stand-in refuses what kubelet refuses; that it behaves as recorded is in test/kubelet/recorded.test.ts. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { credentials, type ServiceError, status } from '@grpc/grpc-js';
import { test } from 'uvu';
import {
  type DevicePluginServer,
  DevicePluginService,
  RegistrationClient,
} from '../../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import { PodResourcesListerClient } from '../../../src/kubelet/gen/podresources/v1/pod_resources.ts';
import { serveSocket } from '../../../src/kubelet/served-socket.ts';
import { AdmissionError, createKubelet, type StandInKubelet } from './index.ts';

async function withKubelet(body: (kubelet: StandInKubelet) => Promise<void>): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'berth-'));
  const kubelet = await createKubelet({ dir, timings: { dialTimeoutMs: 200 } });
  try {
    await body(kubelet);
  } finally {
    await kubelet.stop();
    rmSync(dir, { recursive: true });
  }
}

function register(
  kubelet: StandInKubelet,
  fields: Partial<Parameters<RegistrationClient['register']>[0]>,
): Promise<string> {
  const socket = join(kubelet.paths.devicePluginsDir, 'kubelet.sock');
  const client = new RegistrationClient(`unix:${socket}`, credentials.createInsecure());
  const good = { version: 'v1beta1', endpoint: 'x.sock', resourceName: 'a.b/c', options: undefined };
  return new Promise((resolve) => {
    client.register({ ...good, ...fields }, (error) => {
      client.close();
      resolve(error === null ? 'taken' : error.details);
    });
  });
}

const refusals: readonly (readonly [string, Parameters<typeof register>[1], RegExp])[] = [
  ['another version', { version: 'v1' }, /API version "v1" is not supported/],
  ['a name without a domain', { resourceName: 'vf' }, /the ResourceName "vf" is invalid/],
  ['a name of Kubernetes', { resourceName: 'kubernetes.io/vf' }, /is invalid/],
  ['a name of quotas', { resourceName: 'requests.a.b/vf' }, /is invalid/],
  ['a name of 64 characters', { resourceName: `a.b/${'c'.repeat(64)}` }, /is invalid/],
  ['a whole path as endpoint', { endpoint: '/run/x.sock' }, /is not the name of a socket/],
  ['a socket that nobody serves', {}, /DeadlineExceeded|Failed to connect/],
];
for (const [name, fields, expected] of refusals) {
  test(`${name} is refused`, () =>
    withKubelet(async (kubelet) => {
      assert.match(await register(kubelet, fields), expected);
      assert.equal(kubelet.isRegistered('a.b/c'), false);
    }));
}

/** A plugin whose preference is what the recorded one answered. */
async function pluginThatPrefers(kubelet: StandInKubelet, prefer: DevicePluginServer['getPreferredAllocation']) {
  const devices = [0, 1, 2, 3].map((index) => ({ ID: `0000:41:10.${index}`, health: 'Healthy', topology: undefined }));
  const service: DevicePluginServer = {
    getDevicePluginOptions: (_call, callback) =>
      callback(null, { preStartRequired: true, getPreferredAllocationAvailable: true }),
    listAndWatch: (call) => void call.write({ devices }),
    getPreferredAllocation: prefer,
    allocate: (_call, callback) => callback(null, { containerResponses: [] }),
    preStartContainer: (_call, callback) => callback(null, {}),
  };
  const socket = await serveSocket(join(kubelet.paths.devicePluginsDir, 'x.sock'), (server) =>
    server.addService(DevicePluginService, service),
  );
  assert.equal(await register(kubelet, {}), 'taken');
  await kubelet.until(() => kubelet.node().allocatable['a.b/c'] === 4, 'the devices');
  return socket;
}

const pod = { namespace: 'default', name: 'd11', containers: [{ name: 'main', resources: { 'a.b/c': 2 } }] };

for (const [name, deviceIDs] of [
  ['too few ids', ['0000:41:10.0']],
  ['no ids', []],
] as const) {
  test(`a preference of ${name} is filled up`, () =>
    withKubelet(async (kubelet) => {
      const plugin = await pluginThatPrefers(kubelet, (_call, callback) =>
        callback(null, { containerResponses: [{ deviceIDs: [...deviceIDs] }] }),
      );
      const { containers } = await kubelet.admit(pod);
      assert.equal(new Set(containers[0]?.devices['a.b/c']).size, 2);
      for (const id of deviceIDs) assert.ok(containers[0]?.devices['a.b/c']?.includes(id));
      await plugin.close();
    }));
}

test('a preference that fails rejects the pod in the recorded words', () =>
  withKubelet(async (kubelet) => {
    const plugin = await pluginThatPrefers(kubelet, (_call, callback) =>
      callback({ code: status.UNKNOWN, details: 'told to fail' }),
    );
    const path = new URL('../../fixtures/exchanges/dp-preferred-allocation-bad-answers.json', import.meta.url);
    const { exchange } = JSON.parse(readFileSync(path, 'utf8'));
    const { message } = exchange.at(-1)['pod d11e (answer: error)'];
    await assert.rejects(kubelet.admit(pod), (error) => error instanceof AdmissionError && error.message === message);
    await plugin.close();
  }));

test('PreStartContainer comes before each start of a container, and only where it is wanted', () =>
  withKubelet(async (kubelet) => {
    const plugin = await pluginThatPrefers(kubelet, (_call, callback) => callback(null, { containerResponses: [] }));
    await kubelet.admit(pod);
    await kubelet.startContainer(pod, 'main');
    await kubelet.startContainer(pod, 'main');
    assert.equal(kubelet.events.filter(({ event }) => event === 'PreStartContainer').length, 2);
    assert.equal(kubelet.events.filter(({ event }) => event === 'Allocate').length, 1);
    await plugin.close();
  }));

test('a removed pod frees its devices at once, and Get answers an unknown pod with Unknown', () =>
  withKubelet(async (kubelet) => {
    const plugin = await pluginThatPrefers(kubelet, (_call, callback) => callback(null, { containerResponses: [] }));
    await kubelet.admit(pod);
    kubelet.remove(pod);
    await kubelet.admit({ ...pod, name: 'd12', containers: [{ name: 'main', resources: { 'a.b/c': 4 } }] });
    const client = new PodResourcesListerClient(
      `unix:${kubelet.paths.podResourcesSocket}`,
      credentials.createInsecure(),
    );
    const error = await new Promise<ServiceError | null>((resolve) => {
      client.get({ podName: 'd11', podNamespace: 'default' }, resolve);
    });
    assert.equal(error?.code, status.UNKNOWN);
    assert.equal(error?.details, 'pod d11 in namespace default not found');
    client.close();
    await plugin.close();
  }));

test.run();
