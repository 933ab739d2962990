/** A limit in time on top of another signal. */
import assert from 'node:assert/strict';
import { setTimeout as after } from 'node:timers/promises';
import { test } from 'uvu';
import { limitTime } from '../../src/engine/cancellation.ts';
import { BerthError } from '../../src/engine/errors.ts';

const expired = (): BerthError => new BerthError({ code: 'Interrupted', reason: 'deadline-exceeded', message: 'over' });

function aborted(signal: AbortSignal): Promise<unknown> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });
}

test('it aborts with its own error when the time is over', async () => {
  const limit = limitTime(new AbortController().signal, 1, expired);
  assert.equal((await aborted(limit.signal)) instanceof BerthError, true);
});

test('it aborts with the outer signal, for its reason', async () => {
  const outer = new AbortController();
  const limit = limitTime(outer.signal, 60_000, expired);
  outer.abort('gone');
  assert.equal(await aborted(limit.signal), 'gone');
  limit.end();
});

test('an outer signal that has aborted before aborts it at once', () => {
  const limit = limitTime(AbortSignal.abort('earlier'), 60_000, expired);
  assert.equal(limit.signal.reason, 'earlier');
  limit.end();
});

test('after its end neither the time nor the outer signal aborts it', async () => {
  const outer = new AbortController();
  const limit = limitTime(outer.signal, 1, expired);
  limit.end();
  outer.abort('gone');
  await after(5);
  assert.equal(limit.signal.aborted, false);
});

test.run();
