/** The generated code is what proto/ gives, and says the names and numbers that kubelet speaks. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'uvu';
import {
  AllocateResponse,
  Device,
  DevicePluginService,
  RegistrationService as LegacyRegistrationService,
  PreferredAllocationRequest,
  RegisterRequest,
} from '../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import { PluginInfo, RegistrationService } from '../../src/kubelet/gen/pluginregistration/v1/plugin_registration.ts';
import { DynamicResource, PodResourcesListerService } from '../../src/kubelet/gen/podresources/v1/pod_resources.ts';

const root = new URL('../../', import.meta.url).pathname;

test('the committed code is what proto/ gives', () => {
  const run = spawnSync(`${root}hack/proto`, ['--check'], { encoding: 'utf8' });
  assert.equal(run.status, 0, run.stdout + run.stderr);
});

const paths: readonly (readonly [string, string])[] = [
  [LegacyRegistrationService.register.path, '/v1beta1.Registration/Register'],
  [DevicePluginService.getDevicePluginOptions.path, '/v1beta1.DevicePlugin/GetDevicePluginOptions'],
  [DevicePluginService.listAndWatch.path, '/v1beta1.DevicePlugin/ListAndWatch'],
  [DevicePluginService.getPreferredAllocation.path, '/v1beta1.DevicePlugin/GetPreferredAllocation'],
  [DevicePluginService.allocate.path, '/v1beta1.DevicePlugin/Allocate'],
  [DevicePluginService.preStartContainer.path, '/v1beta1.DevicePlugin/PreStartContainer'],
  [RegistrationService.getInfo.path, '/pluginregistration.Registration/GetInfo'],
  [RegistrationService.notifyRegistrationStatus.path, '/pluginregistration.Registration/NotifyRegistrationStatus'],
  [PodResourcesListerService.list.path, '/v1.PodResourcesLister/List'],
  [PodResourcesListerService.get.path, '/v1.PodResourcesLister/Get'],
  [PodResourcesListerService.getAllocatableResources.path, '/v1.PodResourcesLister/GetAllocatableResources'],
];

for (const [actual, expected] of paths) {
  test(`the method's path is ${expected}`, () => assert.equal(actual, expected));
}

/** Message, and its bytes written out by hand from the field numbers. */
const literals: readonly (readonly [string, Uint8Array, string])[] = [
  [
    'RegisterRequest',
    RegisterRequest.encode({
      version: 'v1beta1',
      endpoint: 'a.sock',
      resourceName: 'a.b/c',
      options: { preStartRequired: true, getPreferredAllocationAvailable: true },
    }).finish(),
    '0a07763162657461311206612e736f636b1a05612e622f63220408011001',
  ],
  [
    'Device',
    Device.encode({ ID: 'x', health: 'Healthy', topology: { nodes: [{ ID: 1 }] } }).finish(),
    '0a0178' + '12074865616c746879' + '1a040a020801',
  ],
  [
    'a NUMA node 0, which is an empty message and not an absent one',
    Device.encode({ ID: 'x', health: '', topology: { nodes: [{ ID: 0 }] } }).finish(),
    '0a0178' + '1a020a00',
  ],
  [
    'PreferredAllocationRequest',
    PreferredAllocationRequest.encode({
      containerRequests: [{ availableDeviceIDs: ['a', 'b'], mustIncludeDeviceIDs: ['a'], allocationSize: 2 }],
    }).finish(),
    '0a0b' + '0a0161' + '0a0162' + '120161' + '1802',
  ],
  [
    'AllocateResponse',
    AllocateResponse.encode({
      containerResponses: [
        {
          envs: { A: 'b' },
          mounts: [],
          devices: [{ containerPath: '/c', hostPath: '/h', permissions: 'rw' }],
          annotations: {},
          cdiDevices: [{ name: 'n' }],
        },
      ],
    }).finish(),
    '0a1b' + '0a060a0141120162' + '1a0c0a022f6312022f681a027277' + '2a030a016e',
  ],
  [
    'PluginInfo',
    PluginInfo.encode({ type: 't', name: 'n', endpoint: 'e', supportedVersions: ['v'] }).finish(),
    '0a0174' + '12016e' + '1a0165' + '220176',
  ],
  [
    'DynamicResource, whose numbers begin at 2',
    DynamicResource.encode({
      claimName: 'c',
      claimNamespace: 'n',
      claimResources: [{ cdiDevices: [], driverName: 'd', poolName: 'p', deviceName: 'v', shareId: 's' }],
    }).finish(),
    '120163' + '1a016e' + '220c' + '120164' + '1a0170' + '220176' + '2a0173',
  ],
];

for (const [name, actual, expected] of literals) {
  test(`the bytes of ${name}`, () => assert.equal(Buffer.from(actual).toString('hex'), expected));
}

test.run();
