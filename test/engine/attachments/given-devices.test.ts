/** What is known of kubelet's devices between its answers: when it is asked, and when it is believed. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { GivenDevices } from '../../../src/engine/attachments/given-devices.ts';
import type { DeviceHolder, PodDevicesListener } from '../../../src/engine/attachments/pod-devices.ts';
import { silentLogger } from '../../../src/engine/logger.ts';
import { ManualClock } from '../../standins/manual-clock.ts';

const VF = '0000:41:10.0';
const OTHER = '0000:41:10.1';
const SF = 'mlx5_core.sf.4';

/** Kubelet, its list and its answers, in the hand of the test. */
class Scene {
  readonly clock = new ManualClock();
  readonly attached = new Set<string>();
  /** Device and pod. */
  list: readonly (readonly [string, string])[] = [];
  pods = true;
  isAway = false;
  asked = 0;
  news = 0;
  readonly given: GivenDevices;
  #listener: PodDevicesListener = () => undefined;

  constructor() {
    this.given = new GivenDevices({
      podDevices: {
        holders: async () => this.answer(),
        onAnswer: (listener) => {
          this.#listener = listener;
          return () => undefined;
        },
      },
      attached: () => this.attached,
      clock: this.clock,
      log: silentLogger,
    });
    this.given.subscribe(() => {
      this.news += 1;
    });
  }

  /** Kubelet answers, whoever asked. */
  answer(): ReadonlyMap<string, readonly DeviceHolder[]> | undefined {
    this.asked += 1;
    if (this.isAway) return undefined;
    const holders = new Map(
      this.list.map(([device, name]) => [
        device,
        [{ resource: 'berth.dev/vf-vfio', pod: { namespace: 'default', name }, container: 'main' }],
      ]),
    );
    this.#listener(holders, this.pods);
    return holders;
  }

  /** Ends a pause, and lets happen what it kept waiting; false when there was none. */
  async pass(): Promise<boolean> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.clock.pauses === 0) return false;
    this.clock.tick();
    await new Promise((resolve) => setImmediate(resolve));
    return true;
  }

  /** Until it asks no more. */
  async settle(): Promise<number> {
    let pauses = 0;
    while (await this.pass()) {
      pauses += 1;
      assert.ok(pauses < 50, 'it goes on without end');
    }
    return pauses;
  }

  get known(): unknown {
    return Object.fromEntries(Object.entries(this.given.current ?? {}).map(([id, { pod }]) => [id, pod]));
  }
}

async function settled(list: Scene['list'], attached: readonly string[] = []): Promise<Scene> {
  const scene = new Scene();
  scene.list = list;
  for (const device of attached) scene.attached.add(device);
  scene.given.look();
  await scene.settle();
  return scene;
}

test('it asks at its first look, and is done when every device is attached', async () => {
  const scene = await settled([[VF, 'web']], [VF]);
  assert.deepEqual([scene.known, scene.asked, scene.news], [{ [VF]: 'default/web' }, 1, 1]);
  scene.given.look();
  await scene.settle();
  assert.equal(scene.asked, 1, 'nothing can have changed that it would not know');
});

test('a node without devices for pods alone is not asked about again', async () => {
  const scene = await settled([['eth0-3', 'web']]);
  assert.deepEqual([scene.known, scene.asked], [{}, 1]);
  for (let i = 0; i < 100; i++) scene.given.look();
  scene.given.given(['eth0-4']);
  await scene.settle();
  assert.equal(scene.asked, 1);
});

test('a device that is just given is known as soon as kubelet lists it', async () => {
  const scene = await settled([]);
  scene.given.given([VF]);
  await scene.pass();
  assert.deepEqual(scene.known, {});
  scene.list = [
    [VF, 'dpdk'],
    [SF, 'sf'],
  ];
  await scene.pass();
  assert.deepEqual(scene.known, { [VF]: 'default/dpdk', [SF]: 'default/sf' });
});

test('one that is never listed is asked for a few times', async () => {
  const scene = await settled([]);
  scene.given.given([VF]);
  await scene.settle();
  assert.equal(scene.asked, 1 + 4);
});

test('an end on the node frees a device that was not attached', async () => {
  const scene = await settled([[VF, 'dpdk']]);
  const before = scene.asked;
  scene.given.look();
  await scene.pass();
  assert.deepEqual(scene.known, { [VF]: 'default/dpdk' });
  scene.list = [];
  await scene.settle();
  assert.deepEqual(scene.known, {});
  assert.ok(scene.asked - before <= 4, `${scene.asked - before} questions`);
});

test('an attachment that ended leaves its device with the pod until kubelet says otherwise', async () => {
  const scene = await settled([[VF, 'web']], [VF]);
  scene.attached.delete(VF);
  scene.given.look();
  assert.deepEqual(scene.known, { [VF]: 'default/web' });
  scene.list = [];
  await scene.settle();
  assert.deepEqual(scene.known, {});
});

test('however much happens, kubelet is asked four times for a series and once more for what came meanwhile', async () => {
  const scene = await settled([[VF, 'dpdk']]);
  const before = scene.asked;
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < 1000; j++) scene.given.look();
    await scene.pass();
  }
  assert.equal(scene.asked - before, 4);
  await scene.settle();
  assert.equal(scene.asked - before, 8);
});

test('answers that others asked for are taken, and the same again is no news', async () => {
  const scene = await settled([]);
  scene.list = [[VF, 'web']];
  scene.answer();
  scene.answer();
  assert.deepEqual([scene.known, scene.news], [{ [VF]: 'default/web' }, 2]);
  scene.list = [[VF, 'other']];
  scene.answer();
  assert.deepEqual([scene.known, scene.news], [{ [VF]: 'default/other' }, 3]);
});

test('a kubelet that lists no pod at all is believed when it has had its time', async () => {
  const scene = await settled([
    [VF, 'web'],
    [OTHER, 'dpdk'],
  ]);
  scene.list = [];
  scene.pods = false;
  scene.answer();
  assert.deepEqual(scene.known, { [VF]: 'default/web', [OTHER]: 'default/dpdk' });
  scene.given.look();
  for (let i = 0; i < 3; i++) await scene.pass();
  assert.deepEqual(scene.known, { [VF]: 'default/web', [OTHER]: 'default/dpdk' });
  await scene.settle();
  assert.deepEqual(scene.known, {});
});

test('a kubelet that does not answer changes nothing', async () => {
  const scene = await settled([[VF, 'dpdk']]);
  scene.isAway = true;
  scene.given.look();
  await scene.settle();
  assert.deepEqual(scene.known, { [VF]: 'default/dpdk' });
  const never = new Scene();
  never.isAway = true;
  never.given.look();
  await never.settle();
  assert.equal(never.given.current, undefined);
});

test('nothing is asked after the end', async () => {
  const scene = await settled([[VF, 'dpdk']]);
  const before = scene.asked;
  scene.given.look();
  scene.given.stop();
  await scene.settle();
  scene.given.given([OTHER]);
  scene.given.look();
  await scene.settle();
  assert.equal(scene.asked, before);
});

test.run();
