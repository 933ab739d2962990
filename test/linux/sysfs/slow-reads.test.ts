import assert from 'node:assert/strict';
import { test } from 'uvu';
import { createPacer } from '../../../src/linux/sysfs/pacer.ts';
import { SlowSlots } from '../../../src/linux/sysfs/slow-reads.ts';

test('no more reads run at once than there are slots, and all are answered', async () => {
  const reads = new SlowSlots(2).scan(60_000);
  let running = 0;
  let most = 0;
  const answers = await Promise.all(
    Array.from({ length: 7 }, (_, index) =>
      reads.read(`f${index}`, async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return index;
      }),
    ),
  );
  assert.deepEqual(answers, [0, 1, 2, 3, 4, 5, 6]);
  assert.equal(most, 2);
});

/** A read that answers when the test says so. */
function held(): { readonly read: () => Promise<string>; readonly answer: (text: string) => void } {
  const { promise, resolve } = Promise.withResolvers<string>();
  return { read: () => promise, answer: resolve };
}

test('a read that does not answer costs its scan the deadline, and is not asked again before it ends', async () => {
  const slots = new SlowSlots(2);
  const wedged = held();
  await assert.rejects(slots.scan(1).read('speed', wedged.read), /took too long/);
  await assert.rejects(
    slots.scan(60_000).read('speed', async () => assert.fail('asked again')),
    /an earlier read has not answered yet/,
  );
});

test('an answer that comes late is announced, and given once to who asks then', async () => {
  const slots = new SlowSlots(2);
  const slow = held();
  const announced = new Promise<void>((resolve) => {
    slots
      .scan(1)
      .read('speed', slow.read, resolve)
      .catch(() => slow.answer('1000'));
  });
  await announced;
  assert.equal(await slots.scan(60_000).read('speed', async () => assert.fail('asked again')), '1000');
  assert.equal(await slots.scan(60_000).read('speed', async () => '10'), '10');
});

test('who waits for a slot misses the deadline too, and is read when there is one', async () => {
  const slots = new SlowSlots(1);
  const first = held();
  const answered = slots.scan(60_000).read('a', first.read);
  const announced = new Promise<void>((resolve) => {
    slots
      .scan(1)
      .read('b', async () => 'b', resolve)
      .catch(() => first.answer('a'));
  });
  assert.equal(await answered, 'a');
  await announced;
});

test('a failing read fails its caller and frees its slot', async () => {
  const reads = new SlowSlots(1).scan(60_000);
  await assert.rejects(
    reads.read('a', async () => Promise.reject(new Error('EIO'))),
    /EIO/,
  );
  assert.equal(await reads.read('a', async () => 1), 1);
});

test('of several that pause only one goes on in a turn of the event loop', async () => {
  const pacer = createPacer(undefined, 0);
  const events: string[] = [];
  const count = async (name: string) => {
    await pacer.pause();
    events.push(name);
  };
  const all = Promise.all([count('a'), count('b'), count('c')]);
  setImmediate(() => {
    events.push('other work');
    setImmediate(() => events.push('more work'));
  });
  await all;
  assert.deepEqual(events, ['a', 'other work', 'b', 'more work', 'c']);
});

test('an aborted signal ends the work at its next pause', async () => {
  const stop = new AbortController();
  const pacer = createPacer(stop.signal);
  stop.abort(new Error('enough'));
  await assert.rejects(pacer.pause(), /enough/);
});

test.run();
