/**
 * Every recorded exchange of real runtimes (thin and thick Multus, containerd, ctr, podman, cnitool)
 * with the plugin that recorded them replaced by Berth: the front end and the engine, on a kernel in
 * memory, in the recorded order, with what kubelet listed at each call. Then once more with every
 * DEL missed, as happens when a pod is deleted by force.
 */
import * as assert from 'node:assert/strict';
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import { type CniHandler, createHandler } from '../../../src/cni/index.ts';
import { call, sandboxDescriptor } from '../../cni/calls.ts';
import { createPodNode, type PodNode } from '../../standins/attachment-node.ts';
import { podDevices } from '../../standins/pod-devices.ts';

interface Recorded {
  readonly plugin?: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Readonly<Record<string, unknown>>;
  readonly netns_exists?: boolean;
  readonly podresources_now?:
    | string
    | {
        readonly name: string;
        readonly containers: readonly { readonly devices?: readonly { readonly device_ids: readonly string[] }[] }[];
      };
}

const folder = new URL('../../fixtures/exchanges/', import.meta.url);
const VFS = ['0000:41:10.0', '0000:41:10.1', '0000:41:10.2', '0000:41:10.3'];

/** Calls of the plugin that stood where Berth stands: in a chain the first, for the default network the only one. */
function callsOf(file: string): { readonly what: string; readonly calls: readonly Recorded[] } {
  const { what, exchange } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as {
    what: string;
    exchange: readonly Recorded[];
  };
  const first = exchange.filter((entry) => entry.plugin === 'recorder');
  return { what, calls: first.length > 0 ? first : exchange.filter((entry) => entry.plugin === 'recorder2') };
}

interface Scene {
  readonly node: PodNode;
  /** Replays one call with Berth's type in place of the recorder's. */
  replay(recorded: Recorded): Promise<Readonly<Record<string, unknown>>>;
}

function scene(type: 'sriov' | 'macvlan'): Scene {
  const node = createPodNode({ vfAddresses: VFS });
  let path = '';
  // A runtime hands back what it was answered.
  const results = new Map<string, unknown>();
  const handle: CniHandler = createHandler({
    attachments: node.engine,
    // The descriptor stands for the sandbox that the call names.
    adoptSandbox: async (fd) => {
      closeSync(fd);
      const sandbox = node.kernel.openUnwatched(path);
      if (sandbox === undefined) throw new Error(`${path} is not there`);
      return sandbox;
    },
    uplinkName: async (name) => name,
  });
  return {
    node,
    replay: async ({ env, stdin, netns_exists: exists, podresources_now: listed }) => {
      path = env.CNI_NETNS ?? '';
      if (env.CNI_COMMAND === 'ADD' && !node.world.paths.has(path)) node.world.addSandbox(path);
      const pod = typeof listed === 'object' ? listed : undefined;
      const ids = (pod?.containers ?? []).flatMap((each) => each.devices ?? []).flatMap((each) => each.device_ids);
      node.podDevices = podDevices(
        ids.map((id) => [id, pod?.name ?? '']),
        pod === undefined ? [] : [pod.name],
      );
      const key = `${env.CNI_CONTAINERID}@${env.CNI_IFNAME}`;
      const config = {
        ...stdin,
        type,
        ...(type === 'macvlan' ? { master: 'eth1' } : {}),
        ...(stdin.prevResult === undefined ? {} : { prevResult: results.get(key) ?? stdin.prevResult }),
      };
      const hasSandbox = exists === true && node.world.paths.has(path);
      const reply = await handle(
        call({ env, config: JSON.stringify(config), ...(hasSandbox ? { sandboxFd: sandboxDescriptor() } : {}) }),
        new AbortController().signal,
      );
      reply.sent?.();
      const answer = reply.stdout === '' ? {} : JSON.parse(reply.stdout);
      assert.equal(reply.exitCode, answer.code === undefined ? 0 : 1);
      if (env.CNI_COMMAND === 'ADD') results.set(key, answer);
      return answer;
    },
  };
}

/** The recorder took everything; Berth refuses what it cannot honour, and a VF without a device. */
function expectedCode({ env, stdin }: Recorded, type: string): number | undefined {
  if (env.CNI_COMMAND !== 'ADD') return undefined;
  const asked = (stdin.runtimeConfig ?? {}) as Readonly<Record<string, unknown>>;
  if (type === 'sriov' && stdin.deviceID === undefined && asked.deviceID === undefined) return 7;
  // An address of a network that has no ipam.
  if (stdin.ipam === undefined && (asked.ips !== undefined || /(^|;)IP=/.test(env.CNI_ARGS ?? ''))) return 7;
  return ['portMappings', 'infinibandGUID'].some((key) => asked[key] !== undefined) ? 2 : undefined;
}

/** The sandboxes end as they do when containers die, and the kernel tells. */
async function endSandboxes(node: PodNode): Promise<void> {
  for (const path of [...node.world.paths.keys()]) {
    const nsid = node.world.destroySandbox(path);
    if (nsid !== undefined) await node.engine.onNamespaceGone(nsid);
  }
  for (const { address } of node.vfs) await node.engine.onDeviceHome(address);
}

function holders(node: PodNode): readonly string[] {
  return node.engine
    .list()
    .map(({ containerId, ifname, state }) => `${containerId}@${ifname} ${state}`)
    .sort();
}

for (const file of readdirSync(folder).sort()) {
  const { what, calls } = callsOf(file);
  // Beside these are exchanges of kubelet with device plugins.
  if (calls.length === 0) continue;
  const usesDevices = calls.some(
    ({ stdin }) => stdin.deviceID !== undefined || Reflect.get(Object(stdin.runtimeConfig), 'deviceID') !== undefined,
  );
  const type = usesDevices || file.startsWith('multus-thin-4') ? 'sriov' : 'macvlan';

  test(`${file}: ${what}`, async () => {
    const { node, replay } = scene(type);
    const before = node.snapshot();
    const running = new Set<string>();
    for (const [at, recorded] of calls.entries()) {
      const { CNI_COMMAND: command = '', CNI_CONTAINERID: id = '', CNI_IFNAME: ifname = '' } = recorded.env;
      const label = `call ${at + 1}, ${command} of ${id.slice(0, 8)} ${ifname}`;
      const answer = await replay(recorded);
      assert.equal(answer.code, expectedCode(recorded, type), `${label}: ${JSON.stringify(answer)}`);
      const key = `${id}@${ifname} attached`;
      if (command === 'ADD' && answer.code === undefined) {
        assert.equal(answer.cniVersion, recorded.stdin.cniVersion, label);
        // A device that goes to its next owner before the DEL of the last one.
        for (const other of running) if (!holders(node).includes(other)) running.delete(other);
        running.add(key);
      }
      if (command === 'VERSION') assert.ok(Array.isArray(answer.supportedVersions), label);
      if (command === 'DEL') running.delete(key);
      assert.deepEqual(
        holders(node),
        [...running].sort(),
        `${label}: what runs keeps its device, and nothing else does`,
      );
      for (const { device, containerId } of node.engine.list()) {
        if (type === 'sriov')
          assert.ok(isInSandboxOf(node, calls, containerId, device), `${label}: ${device} is where it belongs`);
      }
    }
    await endSandboxes(node);
    assert.equal(node.snapshot(), before, 'nothing stays behind');
  });

  test(`${file}, with every DEL missed: nothing stays behind when the sandboxes are dead`, async () => {
    const { node, replay } = scene(type);
    const before = node.snapshot();
    for (const recorded of calls) if (recorded.env.CNI_COMMAND === 'ADD') await replay(recorded);
    await endSandboxes(node);
    assert.deepEqual(holders(node), []);
    assert.equal(node.snapshot(), before);
  });
}

/** The device is in the sandbox that this container's ADD named. */
function isInSandboxOf(node: PodNode, calls: readonly Recorded[], container: string, device: string): boolean {
  const add = calls.find(({ env }) => env.CNI_COMMAND === 'ADD' && env.CNI_CONTAINERID === container);
  const sandbox = node.world.paths.get(add?.env.CNI_NETNS ?? '');
  return [...(sandbox?.links.values() ?? [])].some((link) => link.pci === device);
}

test.run();
