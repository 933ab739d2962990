/** The stand-in, the compiled shim and the front end together, around an engine that only remembers. */
import * as assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import { peerSocket } from '../../../src/app/peers.ts';
import { createCniServer, createHandler } from '../../../src/cni/index.ts';
import type { Namespace } from '../../../src/engine/attachments/port.ts';
import { silentLogger } from '../../../src/engine/logger.ts';
import { fakeNamespace } from '../../cni/calls.ts';
import { fakeAttachments } from '../../cni/fake-attachments.ts';
import { buildShim, temporaryFolder } from '../../shim/built-shim.ts';
import { createRuntime, type NetworkSelection, PluginFailure, type Pod } from './index.ts';

const folder = temporaryFolder();
const shimPath = buildShim(folder);
const socketPath = join(folder, 'cni.sock');
const pod: Pod = { namespace: 'default', name: 'p', uid: 'a4e2a5f7-7d47-4dd6-bd9a-af2546cea16b' };
const vf: NetworkSelection = {
  network: {
    namespace: 'default',
    name: 'storage',
    resourceName: 'berth.dev/vf',
    config: { cniVersion: '1.0.0', type: 'sriov', vlan: 100 },
  },
};

test('a pod gets its devices, its sandbox is made anew, and stale DELs name only the old container', async () => {
  const engine = fakeAttachments();
  const server = createCniServer({
    socketPath,
    log: silentLogger,
    peers: peerSocket,
    handle: createHandler({
      attachments: engine,
      adoptSandbox: async (fd) => {
        closeSync(fd);
        return fakeNamespace() as unknown as Namespace;
      },
      uplinkName: async (name) => name,
    }),
  });
  await server.listen();
  const runtime = createRuntime({
    shimPath,
    inherited: { BERTH_CNI_SOCKET: socketPath, BERTH_SPOOL_FOLDER: join(folder, 'spool') },
    devicesOf: async () => new Map([['berth.dev/vf', ['0000:41:10.2', '0000:41:10.1']]]),
    // Any file that can be opened: the fake adopts it.
    sandboxes: { make: async () => '/proc/self/ns/net', remove: async () => undefined },
  });
  try {
    const first = await runtime.addPod(pod, [vf, vf]);
    assert.deepEqual(
      engine.attached.map(({ key, link }) => [key.ifname, link.kind === 'vf' ? link.device : '']),
      [
        ['net1', '0000:41:10.1'],
        ['net2', '0000:41:10.2'],
      ],
    );
    const second = await runtime.remakeSandbox(pod);
    await runtime.collectSandboxes(pod);
    await runtime.deletePod(pod);
    const { containerId: old } = first;
    const { containerId: current } = second;
    assert.deepEqual(
      engine.detached.map(({ key, sandbox }) => [key.containerId, key.ifname, sandbox !== undefined]),
      [
        [old, 'net2', true],
        [old, 'net1', true],
        [old, 'net2', false],
        [old, 'net1', false],
        [old, 'net2', false],
        [old, 'net1', false],
        [current, 'net2', true],
        [current, 'net1', true],
      ],
    );
    await assert.rejects(runtime.addPod(pod, [vf, vf, vf]), (error) => {
      assert.ok(error instanceof PluginFailure);
      assert.equal(error.answer?.code, 7);
      assert.match(error.answer?.msg ?? '', /pod default\/p was given no device for network storage/);
      return true;
    });
  } finally {
    await runtime.close();
    await server.close();
  }
});

test.run();
