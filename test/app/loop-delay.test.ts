/** The turns of this process's own event loop. */
import * as assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import { LoopDelay } from '../../src/app/loop-delay.ts';

function hold(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

async function withLoopDelay(use: (loop: LoopDelay) => Promise<void>): Promise<void> {
  const loop = new LoopDelay();
  try {
    await use(loop);
  } finally {
    loop.stop();
  }
}

test('a turn that holds the loop is measured whole', async () => {
  await withLoopDelay(async (loop) => {
    await setTimeout(5);
    hold(30);
    await setTimeout(5);
    assert.ok(loop.maxMs >= 30, String(loop.maxMs));
    const { p50Ms, p99Ms, maxMs } = loop.lap();
    assert.ok(maxMs >= 30 && p99Ms >= p50Ms && p50Ms > 0, JSON.stringify({ p50Ms, p99Ms, maxMs }));
  });
});

test('a lap knows what came since the last one, and the whole what was before', async () => {
  await withLoopDelay(async (loop) => {
    await setTimeout(5);
    hold(500);
    await setTimeout(5);
    const first = loop.lap();
    assert.deepEqual(loop.lap(), { p50Ms: 0, p99Ms: 0, maxMs: 0 });
    await setTimeout(5);
    assert.ok(loop.lap().maxMs < first.maxMs);
    assert.equal(loop.maxMs, first.maxMs);
  });
});

test('waiting is no delay, and nothing ends the wait', async () => {
  await withLoopDelay(async (loop) => {
    await setTimeout(5);
    loop.lap();
    const before = performance.eventLoopUtilization();
    await setTimeout(300);
    const { idle } = performance.eventLoopUtilization(before);
    assert.ok(idle > 100, `idle for ${idle} ms`);
    assert.ok(loop.lap().maxMs < 300);
  });
});

test('one that is stopped measures no more', async () => {
  const loop = new LoopDelay();
  loop.stop();
  await setTimeout(2);
  hold(20);
  await setTimeout(2);
  assert.equal(loop.maxMs, 0);
});

test.run();
