/**
 * `hack/bench kubelet`: what a pod's admission waits for, on a pool of 1,000 VFs; and lists, events
 * and plans, in the files beside this one. The calls go to the plugin's socket one after another, as
 * kubelet's do. The limit is a call to the same server that has nothing to do.
 */
import { mkdirSync } from 'node:fs';
import {
  AllocateRequest,
  AllocateResponse,
  PreferredAllocationRequest,
} from '../../src/kubelet/gen/deviceplugin/v1beta1/device_plugin.ts';
import { pluginSocketPath } from '../../src/kubelet/paths.ts';
import { createKubelet, type StandInKubelet } from '../../test/standins/kubelet/index.ts';
import { generateTree } from '../../test/trees/generate.ts';
import { KUBELET_DIR, withAgent } from './agent-process.ts';
import { type Bench, BenchError } from './bench.ts';
import { GrpcCaller } from './grpc-caller.ts';
import { eventRows } from './kubelet-events.ts';
import { listRows } from './kubelet-lists.ts';
import { planRows } from './kubelet-plan.ts';
import { type Measurement, measurement } from './measurement.ts';
import { WORK_DIR } from './private-node.ts';

const TREE = `${WORK_DIR}/tree-1000`;
const RESOURCE = 'berth.dev/vf';
const SERVICE = '/v1beta1.DevicePlugin';
const PFS = 8;
const VFS_OF_EACH = 125;
/** A call takes a fraction of a millisecond, and the 99th percentile needs many. */
const RUNS_FACTOR = 25;
const WARM_UP_CALLS = 200;

export async function benchKubelet(bench: Bench): Promise<Measurement[]> {
  const kubelet = await createKubelet({ dir: KUBELET_DIR });
  try {
    return [
      ...(await admissionRows(bench, kubelet)),
      ...(await eventRows(bench, kubelet)),
      ...(await listRows(bench, kubelet)),
      ...(await planRows(bench)),
    ];
  } finally {
    await kubelet.stop();
  }
}

async function admissionRows(bench: Bench, kubelet: StandInKubelet): Promise<Measurement[]> {
  mkdirSync(TREE);
  const tree = generateTree(TREE, { numaNodes: 2, pfs: Array.from({ length: PFS }, () => ({ vfs: VFS_OF_EACH })) });
  const devices = tree.pfs.flatMap((pf) => pf.vfs);
  return await withAgent(bench, { tree: TREE }, async () => {
    const listed = () => kubelet.node().allocatable[RESOURCE] === devices.length;
    await kubelet.until(listed, `${devices.length} devices`, 60_000);
    const caller = await GrpcCaller.open(pluginSocketPath(kubelet.paths.pluginsRegistryDir, RESOURCE));
    try {
      return await allocateRows(bench, caller, devices);
    } finally {
      caller.close();
    }
  });
}

async function allocateRows(bench: Bench, caller: GrpcCaller, devices: readonly string[]): Promise<Measurement[]> {
  const calls = bench.runs * RUNS_FACTOR;
  bench.say(`kubelet: ${calls} calls of each kind with ${devices.length} devices`);
  const allocate: number[] = [];
  const preferred: number[] = [];
  const bare: number[] = [];
  const preference = PreferredAllocationRequest.encode({
    containerRequests: [{ availableDeviceIDs: [...devices], mustIncludeDeviceIDs: [], allocationSize: 1 }],
  }).finish();
  for (let run = -WARM_UP_CALLS; run < calls; run++) {
    const id = devices[(run + WARM_UP_CALLS) % devices.length] ?? '';
    const request = AllocateRequest.encode({ containerRequests: [{ devicesIds: [id] }] }).finish();
    const start = performance.now();
    await caller.call(`${SERVICE}/GetDevicePluginOptions`, Buffer.alloc(0));
    const asked = performance.now();
    const choice = await caller.call(`${SERVICE}/GetPreferredAllocation`, preference);
    const chosen = performance.now();
    const answer = await caller.call(`${SERVICE}/Allocate`, request);
    const done = performance.now();
    const envs = Object.values(AllocateResponse.decode(answer).containerResponses[0]?.envs ?? {});
    if (!envs.includes(id)) throw new BenchError(`Allocate of ${id} answered ${answer.toString('latin1')}`);
    if (choice.length === 0) throw new BenchError('GetPreferredAllocation answered nothing');
    if (run < 0) continue;
    bare.push(asked - start);
    preferred.push(chosen - asked);
    allocate.push(done - chosen);
  }
  return [
    measurement('kubelet.allocate', 'ms', { berth: allocate, limit: bare }),
    measurement('kubelet.allocate.p99', 'ms', { berth: allocate, limit: bare }, { share: 0.99 }),
    measurement('kubelet.preferred', 'ms', { berth: preferred, limit: bare }),
    measurement('kubelet.preferred.p99', 'ms', { berth: preferred, limit: bare }, { share: 0.99 }),
  ];
}
