/** What failures of the API server, and of the way to it, are called. */
import assert from 'node:assert/strict';
import { ApiException } from '@kubernetes/client-node';
import { test } from 'uvu';
import { BerthError } from '../../src/engine/errors.ts';
import { apiErrorOf } from '../../src/kubernetes/api-error.ts';

const answer = (status: number, body: unknown = '', headers: Record<string, string> = {}) =>
  new ApiException(status, 'refused', body, headers);
const noAnswer = (code: string): Error =>
  new TypeError('fetch failed', { cause: Object.assign(new Error(code), { code }) });

const CASES: readonly (readonly [unknown, string, boolean])[] = [
  [answer(400), 'api-object-refused', true],
  [answer(401), 'api-server-refused', true],
  [answer(403), 'api-server-refused', true],
  [answer(404), 'api-resource-missing', true],
  [answer(409), 'api-server-busy', false],
  [answer(410), 'api-server-busy', false],
  [answer(422), 'api-object-refused', true],
  [answer(429), 'api-server-busy', false],
  [answer(500), 'api-server-busy', false],
  [answer(503), 'api-server-busy', false],
  [noAnswer('ECONNREFUSED'), 'api-server-unreachable', false],
  [noAnswer('UND_ERR_SOCKET'), 'api-server-unreachable', false],
  [noAnswer('CERT_HAS_EXPIRED'), 'api-server-untrusted', true],
  [noAnswer('DEPTH_ZERO_SELF_SIGNED_CERT'), 'api-server-untrusted', true],
  [noAnswer('ERR_TLS_CERT_ALTNAME_INVALID'), 'api-server-untrusted', true],
  ['a text', 'api-server-unreachable', false],
];

for (const [error, reason, needsPerson] of CASES) {
  test(`${error instanceof ApiException ? error.code : String((error as Error).cause ?? error)} is ${reason}`, () => {
    const found = apiErrorOf('reading', error);
    assert.equal(found.reason, reason);
    assert.equal(found.needsPerson, needsPerson);
    assert.match(found.message, /^reading: /);
    assert.ok((found.remedy ?? '') !== '');
  });
}

test('what the server says is repeated, and not more than a few lines of it', () => {
  const status = { kind: 'Status', message: 'nodes "n" is forbidden', details: { name: 'n' } };
  assert.match(apiErrorOf('reading', answer(403, status)).message, /nodes "n" is forbidden/);
  assert.match(apiErrorOf('reading', answer(403, JSON.stringify(status))).message, /nodes "n" is forbidden/);
  const page = apiErrorOf('reading', answer(502, `<html>${'x'.repeat(100_000)}`)).message;
  assert.ok(page.includes('<html>') && page.length < 400);
});

test('a node that is missing is no missing kind', () => {
  const status = { kind: 'Status', message: 'nodes "n" not found', details: { name: 'n', kind: 'nodes' } };
  assert.equal(apiErrorOf('reading node n', answer(404, status)).reason, 'node-not-registered');
});

test('a field that the definition lacks is named, though the server calls it a failure of its own', () => {
  const message =
    'failed to create typed patch object (/node-1; berth.dev/v1alpha1, Kind=NodeNetworkInventory): .status.colour: field not declared in schema';
  const found = apiErrorOf('applying', answer(500, { kind: 'Status', message }));
  assert.deepEqual([found.reason, found.needsPerson], ['api-object-refused', true]);
  assert.match(found.remedy ?? '', /has no \.status\.colour: apply/);
});

test('an object that is missing is told from a kind that is', () => {
  assert.equal(apiErrorOf('r', answer(404, { details: { name: 'node-1' } })).isMissingObject, true);
  assert.equal(apiErrorOf('r', answer(404, '404 page not found')).isMissingObject, false);
});

for (const [header, ms] of [
  ['7', 7000],
  ['0', 0],
  ['soon', undefined],
  ['-1', undefined],
] as const) {
  test(`Retry-After "${header}" means ${ms} ms`, () => {
    assert.equal(apiErrorOf('r', answer(429, '', { 'retry-after': header })).retryAfterMs, ms);
  });
}

test('an error of ours keeps its reason', () => {
  const ours = new BerthError({ code: 'Interrupted', reason: 'api-server-unreachable', message: 'no answer for 15 s' });
  assert.equal(apiErrorOf('reading', ours).message, 'no answer for 15 s');
});

test.run();
