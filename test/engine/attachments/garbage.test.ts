/** `berth gc`: what it says in a dry run is what it does, and nothing else is touched. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseContainerId, parseIfName, parseNetworkName } from '../../../src/engine/values.ts';
import { createPodNode, DATA_DIR, macvlan, type PodNode, vf } from '../../standins/attachment-node.ts';

const test = suite('collecting on request');

/** One of everything: living, dead, hidden, home, stuck, and an address of an earlier boot. */
async function untidyNode(): Promise<PodNode> {
  const node = createPodNode();
  await node.attach('living', macvlan());
  await node.attach('dead', macvlan());
  await node.attach('hidden', macvlan());
  await node.attach('home', vf(node.device(0)));
  await node.attach('stuck', vf(node.device(1), { trust: true }));
  node.world.destroySandbox('/run/netns/dead');
  node.kernel.hide('/run/netns/hidden');
  node.world.destroySandbox('/run/netns/home');
  node.world.refusedSettings.add('trust');
  await node.detach('stuck').catch(() => undefined);
  const owner = {
    containerId: parseContainerId('old'),
    ifname: parseIfName('net1'),
    network: parseNetworkName('net-a'),
  };
  node.owned.note({ ...owner, bootId: 'boot-0', place: { type: 'host-local', dataDir: DATA_DIR } });
  node.reservations.folder(`${DATA_DIR}/net-a`).reserve('10.1.0.99', 'old\r\nnet1');
  return node;
}

const shown = (items: readonly { readonly attachment: string; readonly action: string; readonly outcome?: string }[]) =>
  items.map(({ attachment, action, outcome }) => [attachment, action, ...(outcome === undefined ? [] : [outcome])]);

test('a dry run tells what is to be done and changes nothing', async () => {
  const node = await untidyNode();
  const before = node.snapshot();
  const report = await node.engine.collectGarbage(true);
  assert.is(node.snapshot(), before);
  assert.equal(shown(report.items), [
    ['dead@net1', 'restore'],
    ['hidden@net1', 'keep'],
    ['home@net1', 'restore'],
    ['stuck@net1', 'restore'],
    ['old@net1', 'release'],
  ]);
  assert.is(report.living, 1);
  const why = report.items.map((item) => item.why).join('\n');
  for (const words of ['sandbox is gone', 'cannot be judged', 'come home without DEL', 'after 1 tries', 'boot-0'])
    assert.match(why, words);
  await node.engine.stop();
});

test('a run does it, says what failed, and leaves the living and the unknown alone', async () => {
  const node = await untidyNode();
  const first = await node.engine.collectGarbage(false);
  assert.equal(shown(first.items), [
    ['dead@net1', 'restore', 'done'],
    ['hidden@net1', 'keep'],
    ['home@net1', 'restore', 'done'],
    ['stuck@net1', 'restore', 'failed'],
    ['old@net1', 'release', 'done'],
  ]);
  assert.match(first.items[3]?.problem ?? '', 'trust');
  node.world.refusedSettings.clear();
  assert.equal(shown((await node.engine.collectGarbage(false)).items), [
    ['hidden@net1', 'keep'],
    ['stuck@net1', 'restore', 'done'],
  ]);
  assert.equal(
    node.engine.list().map((row) => row.containerId),
    ['living', 'hidden'],
  );
  assert.equal(node.reservations.reserved().length, 2);
  await node.engine.stop();
});

test('addresses that another plugin reserved in a network of ours are shown and stay', async () => {
  const node = createPodNode();
  await node.attach('c1', macvlan());
  const ours = node.reservations.folder(`${DATA_DIR}/net-a`);
  ours.reserve('10.1.0.77', 'of-the-go-plugin\r\nnet1');
  ours.reserve('10.1.0.78', '');
  node.reservations.folder(`${DATA_DIR}/cbr0`).reserve('10.244.0.5', 'default-network\r\neth0');
  for (const dryRun of [true, false]) {
    const { items, living } = await node.engine.collectGarbage(dryRun);
    assert.equal(shown(items), [['of-the-go-plugin@net1', 'keep']]);
    assert.is(living, 1);
    const folder = `${DATA_DIR}/net-a`;
    assert.match(items[0]?.why ?? '', `flock ${folder}/lock rm ${folder}/10.1.0.77`);
  }
  assert.equal(ours.list().get('10.1.0.77'), 'of-the-go-plugin\r\nnet1');
});

test('an ADD that is under way is nobody’s garbage', async () => {
  const node = createPodNode();
  const reached = Promise.withResolvers<void>();
  const go = Promise.withResolvers<void>();
  node.kernel.intercept(async ({ what, when }) => {
    if (what !== 'link.create' || when !== 'after') return;
    reached.resolve();
    await go.promise;
  });
  const adding = node.attach('c1', macvlan());
  await reached.promise;
  assert.equal((await node.engine.collectGarbage(false)).items, []);
  go.resolve();
  assert.ok((await adding).hasNetdev);
});

test.run();
