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

test('a read that does not answer costs its scan the deadline, and is not asked again before it ends', async () => {
  const slots = new SlowSlots(2);
  let answer: (text: string) => void = () => undefined;
  const wedged = () => new Promise<string>((resolve) => (answer = resolve));
  await assert.rejects(slots.scan(1).read('speed', wedged), /took too long/);
  await assert.rejects(
    slots.scan(60_000).read('speed', async () => assert.fail('asked again')),
    /an earlier read has not answered yet/,
  );
  answer('1000');
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await slots.scan(60_000).read('speed', async () => '10'), '10');
});

test('who waits for a slot gives up at the deadline', async () => {
  const slots = new SlowSlots(1);
  let end: () => void = () => undefined;
  const first = slots.scan(60_000).read('a', () => new Promise<void>((resolve) => (end = resolve)));
  await assert.rejects(
    slots.scan(1).read('b', async () => assert.fail('there was no slot')),
    /took too long/,
  );
  end();
  await first;
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
