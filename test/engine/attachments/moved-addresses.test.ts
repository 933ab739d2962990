/** Addresses of a device that moves are reserved while the kernel moves it, which takes it long. */
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { LinkSpec } from '../../../src/engine/attachments/model.ts';
import { toBerthError } from '../../../src/engine/errors.ts';
import { createPodNode, hostDevice, hostLocal, type PodNode, vf } from '../../standins/attachment-node.ts';

const test = suite('addresses of a device that moves');

const KINDS: Readonly<Record<string, (node: PodNode) => LinkSpec>> = {
  vf: (node) => vf(node.device(0)),
  'host-device': (node) => {
    node.world.addLink(node.world.host, { name: 'nic0' });
    return hostDevice();
  },
};

/** Room for one address. */
const SMALL = hostLocal('10.2.0.0/30');

/** How often a device moved while `work` ran. */
async function moves(node: PodNode, work: () => Promise<unknown>): Promise<number> {
  let count = 0;
  const { host } = node.kernel;
  const apply = host.apply.bind(host);
  host.apply = (operations) => {
    count += operations.filter((each) => each.op === 'link.set' && each.moveTo !== undefined).length;
    return apply(operations);
  };
  await work();
  host.apply = apply;
  return count;
}

async function reasonOf(attempt: Promise<unknown>): Promise<string | undefined> {
  return attempt.then(
    () => undefined,
    (error: unknown) => toBerthError(error).reason,
  );
}

for (const [kind, specOf] of Object.entries(KINDS)) {
  test(`${kind}: the reservation does not wait for the move`, async () => {
    const node = createPodNode();
    const spec = specOf(node);
    const { host } = node.kernel;
    const apply = host.apply.bind(host);
    let reservedAtMove: string[] | undefined;
    host.apply = async (operations) => {
      if (operations.some((each) => each.op === 'link.set' && each.moveTo !== undefined)) {
        reservedAtMove = node.reservations.reserved();
        while (node.reservations.reserved().length === 0) await new Promise(setImmediate);
      }
      await apply(operations);
    };
    const result = await node.attach('c1', spec, { ipam: hostLocal() });
    assert.equal(reservedAtMove, []);
    assert.is(result.addresses.length, 1);
  });

  test(`${kind}: a refusal brings it home; the next one moves nothing, until there is room again`, async () => {
    const node = createPodNode();
    const spec = specOf(node);
    await node.attach('c0', vf(node.device(1)), { ipam: SMALL });
    node.world.addSandbox('/run/netns/c1');
    const before = node.snapshot();
    const refused = async (): Promise<void> => {
      assert.is(await reasonOf(node.attach('c1', spec, { ipam: SMALL })), 'address-range-exhausted');
      assert.is(node.snapshot(), before);
    };
    assert.is(await moves(node, refused), 1);
    assert.is(await moves(node, refused), 0);
    await node.detach('c0');
    assert.is((await node.attach('c1', spec, { ipam: SMALL })).addresses.length, 1);
  });

  test(`${kind}: with both the move and the addresses refused, the move is told, and nothing stays`, async () => {
    const node = createPodNode();
    const spec = specOf(node);
    await node.attach('c0', vf(node.device(1)), { ipam: SMALL });
    node.world.addSandbox('/run/netns/c1');
    const before = node.snapshot();
    const { host } = node.kernel;
    const apply = host.apply.bind(host);
    host.apply = async (operations) => {
      if (operations.some((each) => each.op === 'link.set' && each.moveTo !== undefined)) throw new Error('no move');
      await apply(operations);
    };
    const error = await node.attach('c1', spec, { ipam: SMALL }).then(() => undefined, toBerthError);
    host.apply = apply;
    assert.match(error?.message ?? '', /no move/);
    assert.is(node.snapshot(), before);
  });
}

test.run();
