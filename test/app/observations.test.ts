import assert from 'node:assert/strict';
import { test } from 'uvu';
import { Observations } from '../../src/app/observations.ts';
import type { CniObservation } from '../../src/cni/index.ts';
import { BerthError } from '../../src/engine/errors.ts';
import type { Metrics } from '../../src/metrics/index.ts';

function listener() {
  const told: unknown[][] = [];
  const metrics: Pick<Metrics, 'called' | 'phase' | 'restored'> = {
    called: (call) => void told.push(['called', call]),
    phase: (...phase) => void told.push(['phase', ...phase]),
    restored: (...restore) => void told.push(['restored', ...restore]),
  };
  return { told, metrics };
}

const durationsMs = { parse: 1, engine: 2, total: 3 };

test('what happened before the metrics were there is told in order, and the rest as it happens', () => {
  const observations = new Observations();
  const { metrics, told } = listener();
  observations.restored('recovery', true);
  observations.phase('add', 'vf', 'link', 4);
  assert.deepEqual(told, []);
  observations.connect(metrics);
  const early = [
    ['restored', 'recovery', true],
    ['phase', 'add', 'vf', 'link', 4],
  ];
  assert.deepEqual(told, early);
  observations.restored('del', false);
  assert.deepEqual(told, [...early, ['restored', 'del', false]]);
});

test('of a call the metrics get what is counted, and of its error the reason', () => {
  const observations = new Observations();
  const { metrics, told } = listener();
  observations.connect(metrics);
  const error = new BerthError({ code: 'Denied', reason: 'namespace-not-allowed', message: 'no' });
  const call: CniObservation = { requestId: 'r', command: 'ADD', kind: 'vf', code: 103, error, durationsMs };
  observations.called(call);
  observations.called({ requestId: 'r', command: 'unknown', code: 0, durationsMs });
  assert.deepEqual(told, [
    ['called', { command: 'ADD', kind: 'vf', code: 103, durationsMs, reason: 'namespace-not-allowed' }],
    ['called', { command: 'unknown', code: 0, durationsMs }],
  ]);
});

test('metrics that never come cost a bounded memory', () => {
  const observations = new Observations();
  const { metrics, told } = listener();
  for (let count = 0; count < 20_000; count++) observations.restored('del', true);
  observations.connect(metrics);
  assert.equal(told.length, 10_000);
});

test.run();
