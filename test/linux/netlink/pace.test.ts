/** On which thread a request is sent, with a clock of the test's own and no system call. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { type Pace, SendPace, slowest } from '../../../src/linux/netlink/pace.ts';

interface Scene {
  readonly pace: SendPace;
  /** Sends a request that takes so long, and waits for others so much of it; answers the thread. */
  send(pace: Pace, tookMs?: number, waitedMs?: number): Promise<string>;
  /** Begins a request on the pool; the answer ends it. */
  begin(pace: Pace): () => Promise<unknown>;
  pass(ms: number): void;
}

function scene(): Scene {
  let nowMs = 1000;
  let processorMs = 500;
  const pace = new SendPace({ nowMs: () => nowMs, processorMs: () => processorMs });
  return {
    pace,
    async send(kind, tookMs = 0.1, waitedMs = tookMs) {
      let thread = 'nowhere';
      const result = await pace.run(
        kind,
        () => {
          thread = 'here';
          nowMs += tookMs;
          processorMs += tookMs - waitedMs;
          return 7;
        },
        async () => {
          thread = 'pool';
          return 7;
        },
      );
      assert.equal(result, 7);
      return thread;
    },
    begin(kind) {
      const { promise, resolve } = Promise.withResolvers<number>();
      const running = pace.run(
        kind,
        () => assert.fail('it was sent here'),
        () => promise,
      );
      return async () => {
        resolve(0);
        await running;
      };
    },
    pass(ms) {
      nowMs += ms;
    },
  };
}

for (const [kind, thread] of [
  ['lock-free', 'here'],
  ['quick', 'here'],
  ['change', 'here'],
  ['patient', 'pool'],
  ['slow', 'pool'],
] as const) {
  test(`while RTNL is free, ${kind} is sent: ${thread}`, async () => {
    assert.equal(await scene().send(kind), thread);
  });
}

test('while a slow request is under way only what takes no RTNL is sent here', async () => {
  const { send, begin } = scene();
  const endFirst = begin('slow');
  const endSecond = begin('slow');
  assert.deepEqual([await send('lock-free'), await send('quick'), await send('change')], ['here', 'pool', 'pool']);
  await endFirst();
  assert.equal(await send('quick'), 'pool');
  await endSecond();
  assert.equal(await send('quick'), 'here');
});

test('a patient request on its way keeps nobody from sending here', async () => {
  const { send, begin } = scene();
  const end = begin('patient');
  assert.deepEqual([await send('quick'), await send('change')], ['here', 'here']);
  await end();
});

test('a slow request that fails counts no longer', async () => {
  const { pace, send } = scene();
  const failing = pace.run(
    'slow',
    () => 0,
    () => Promise.reject(new Error('lost')),
  );
  await assert.rejects(async () => failing, /lost/);
  assert.equal(await send('quick'), 'here');
});

test('after one that waited for RTNL here, the pool is used for a while', async () => {
  const { send, pass } = scene();
  assert.equal(await send('quick', 2), 'here');
  assert.equal(await send('quick'), 'here');
  assert.equal(await send('change', 2.1), 'here');
  assert.deepEqual([await send('quick'), await send('change')], ['pool', 'pool']);
  pass(99);
  assert.equal(await send('quick'), 'pool');
  pass(1);
  assert.equal(await send('quick'), 'here');
});

test('work is no wait, on a slow machine either', async () => {
  const { send } = scene();
  assert.deepEqual(
    [await send('change', 9, 0.1), await send('change', 9, 1.9), await send('quick')],
    Array(3).fill('here'),
  );
  assert.deepEqual([await send('change', 9, 2.1), await send('quick')], ['here', 'pool']);
});

test('what takes very long counts as a wait: the kernel waits for a holder that runs by running', async () => {
  const { send } = scene();
  assert.deepEqual(
    [await send('change', 10, 0), await send('change', 10.1, 0), await send('quick')],
    ['here', 'here', 'pool'],
  );
});

test('changes use the pool when more than one operation is under way', async () => {
  const { pace, send } = scene();
  const endFirst = pace.begin();
  assert.equal(await send('change'), 'here');
  const endSecond = pace.begin();
  assert.deepEqual([await send('quick'), await send('change')], ['here', 'pool']);
  endSecond();
  assert.equal(await send('change'), 'here');
  endFirst();
});

test('several requests in one are as slow as the slowest', () => {
  assert.equal(slowest(['lock-free', 'lock-free']), 'lock-free');
  assert.equal(slowest(['quick', 'lock-free']), 'quick');
  assert.equal(slowest(['change', 'quick', 'lock-free']), 'change');
  assert.equal(slowest(['quick', 'slow', 'change']), 'slow');
});

test.run();
