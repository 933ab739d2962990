/** On which thread a request is sent, with a clock of the test's own and no system call. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { type Pace, SendPace, slowest } from '../../../src/linux/netlink/pace.ts';

interface Scene {
  readonly pace: SendPace;
  /** Sends a request that takes so long; answers the thread. */
  send(pace: Pace, tookMs?: number): Promise<string>;
  /** Begins a request on the pool; the answer ends it. */
  begin(pace: Pace): () => Promise<unknown>;
  pass(ms: number): void;
}

function scene(): Scene {
  let nowMs = 1000;
  const pace = new SendPace(() => nowMs);
  return {
    pace,
    async send(kind, tookMs = 0.1) {
      let thread = 'nowhere';
      const result = await pace.run(
        kind,
        () => {
          thread = 'here';
          nowMs += tookMs;
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

test('on a slow machine, where lock-free requests take long too, more counts as quick', async () => {
  const { send } = scene();
  // The interrupted one does not count.
  for (const tookMs of [0.7, 400]) await send('lock-free', tookMs);
  assert.deepEqual([await send('change', 34.9), await send('quick')], ['here', 'here']);
  assert.deepEqual([await send('change', 35.1), await send('quick')], ['here', 'pool']);
});

test('only the last lock-free requests count', async () => {
  const { send } = scene();
  await send('lock-free', 0.7);
  for (let i = 0; i < 8; i++) await send('lock-free', 0.02);
  assert.deepEqual([await send('change', 2.1), await send('quick')], ['here', 'pool']);
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
