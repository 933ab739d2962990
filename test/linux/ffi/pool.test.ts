import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { BerthError } from '../../../src/engine/errors.ts';
import { inFlightLimit, inPool, inPoolLater, poolState } from '../../../src/linux/ffi/index.ts';

/** A call that ends when it is told to. */
function heldCall(): { readonly start: () => Promise<string>; end(value: string): void; fail(error: Error): void } {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  return { start: () => promise, end: resolve, fail: reject };
}

const LIMITS = [
  { threads: 1, limit: 1 },
  { threads: 4, limit: 3 },
  { threads: 16, limit: 12 },
  { threads: 64, limit: 60 },
  { threads: 1024, limit: 200 },
];

for (const { threads, limit } of LIMITS) {
  test(`of ${threads} threads ${limit} are used at once`, () => {
    assert.equal(inFlightLimit(threads), limit);
  });
}

test('beyond the limit calls wait, and start in the order they came', async () => {
  const { limit } = poolState();
  const held = Array.from({ length: limit }, heldCall);
  const running = held.map((call) => inPool(call.start));
  const order: number[] = [];
  const waiting = [1, 2, 3].map((number) => inPool(async () => void order.push(number)));
  assert.deepEqual(poolState(), { running: limit, waiting: 3, limit });
  assert.deepEqual(order, []);
  for (const call of held) call.end('done');
  await Promise.all([...running, ...waiting]);
  assert.deepEqual(order, [1, 2, 3]);
  assert.deepEqual(poolState(), { running: 0, waiting: 0, limit });
});

test('a waiting call can be cancelled, a running one is not touched', async () => {
  const { limit } = poolState();
  const controller = new AbortController();
  const held = Array.from({ length: limit }, heldCall);
  const running = held.map((call) => inPool(call.start, controller.signal));
  let started = false;
  const cancelled = inPool(async () => {
    started = true;
  }, controller.signal);
  controller.abort(new Error('enough'));
  await assert.rejects(cancelled, (error) => error instanceof BerthError && error.code === 'Interrupted');
  assert.equal(started, false);
  for (const call of held) call.end('done');
  assert.equal((await Promise.all(running)).length, limit);
  assert.equal(poolState().waiting, 0);
});

test('calls that nobody waits for leave most threads to the others', async () => {
  const { limit } = poolState();
  const held = Array.from({ length: limit + 5 }, heldCall);
  const running = held.map((call) => inPoolLater(call.start));
  assert.equal(poolState().running, Math.max(1, Math.floor(limit / 4)));
  assert.equal(await inPool(async () => 'at once'), 'at once');
  for (const call of held) call.end('done');
  assert.equal((await Promise.all(running)).length, limit + 5);
  assert.equal(poolState().running, 0);
});

test('a call that is cancelled before it is made does not start', async () => {
  await assert.rejects(
    inPool(async () => assert.fail('it started'), AbortSignal.abort()),
    (error) => error instanceof BerthError && error.reason === 'cancelled',
  );
});

test('calls that fail or throw make room for others', async () => {
  const { limit } = poolState();
  const throwing = (): Promise<never> => {
    throw new Error('at once');
  };
  for (let i = 0; i < limit * 2; i++) {
    await assert.rejects(inPool(throwing), /at once/);
    await assert.rejects(
      inPool(() => Promise.reject(new Error('later'))),
      /later/,
    );
  }
  assert.equal(poolState().running, 0);
});

test.run();
