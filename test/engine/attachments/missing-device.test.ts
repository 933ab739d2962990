/** The cause of a missing device, as far as kubelet and the own attachments tell. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { explainMissingDevice } from '../../../src/engine/attachments/missing-device.ts';
import type { AttachmentSummary } from '../../../src/engine/attachments/model.ts';
import type { PodDevices } from '../../../src/engine/attachments/pod-devices.ts';
import type { Plan } from '../../../src/engine/pools/model.ts';
import { podDevices } from '../../standins/pod-devices.ts';

const test = suite('missing device');
const POD = { namespace: 'default', name: 'p1' };

function explain(
  says: PodDevices,
  used: Readonly<Record<string, string>> = {},
  offered = 1,
): Promise<string | undefined> {
  const pools = [
    { spec: { kind: 'vf', resource: 'berth.dev/vf' }, devices: Array.from({ length: offered }), notes: [] },
  ];
  return explainMissingDevice(POD, 'vf', {
    podDevices: says,
    attachments: () => Object.entries(used).map(([device, ifname]) => ({ device, ifname }) as AttachmentSummary),
    plan: () => ({ pools, unused: [] }) as unknown as Plan,
  });
}

test('a pod that requests nothing', async () => {
  assert.is(
    await explain(podDevices([['0000:41:10.0', 'p2']], ['p1'])),
    'kubelet gave the pod no device, so none of its containers requests one; this node offers berth.dev/vf',
  );
});

test('a pod with more networks than devices', async () => {
  assert.is(
    await explain(podDevices([['0000:41:10.0', 'p1']]), { '0000:41:10.0': 'net1' }),
    'kubelet gave the pod berth.dev/vf 0000:41:10.0 (in use as net1); this node offers berth.dev/vf',
  );
});

test('a node that offers nothing of the kind', async () => {
  assert.match((await explain(podDevices([], ['p1']), {}, 0)) ?? '', /this node offers no vf devices$/);
});

test('nothing is said of a pod that kubelet does not list, nor when it does not answer', async () => {
  assert.is(await explain(podDevices([['0000:41:10.0', 'p2']])), undefined);
  assert.is(await explain({ ...podDevices([], ['p1']), holders: async () => undefined }), undefined);
});

test.run();
