import * as assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import { parseArgs } from '../../src/cni/environment.ts';
import { CniFault } from '../../src/cni/errors.ts';

test('every recorded CNI_ARGS is understood, whatever its order and repetitions', () => {
  const folder = new URL('../fixtures/exchanges/', import.meta.url);
  let seen = 0;
  for (const file of readdirSync(folder)) {
    const { exchange } = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as {
      exchange: { env?: Record<string, string> }[];
    };
    for (const { env } of exchange) {
      const text = env?.CNI_ARGS;
      if (text === undefined) continue;
      seen++;
      const { pod } = parseArgs(text);
      assert.equal(pod?.namespace, /K8S_POD_NAMESPACE=([^;]*)/.exec(text)?.[1], text);
    }
  }
  assert.ok(seen > 40, `${seen} recorded`);
});

test('MAC, addresses and gateways are taken, several with commas', () => {
  assert.deepEqual(parseArgs('MAC=02:00:00:00:00:01;IP=10.0.0.2/24, fd00::2/64;GATEWAY=10.0.0.1'), {
    mac: '02:00:00:00:00:01',
    ips: ['10.0.0.2/24', 'fd00::2/64'],
    gateways: ['10.0.0.1'],
  });
  assert.deepEqual(parseArgs(''), { ips: [], gateways: [] });
  assert.deepEqual(parseArgs('IgnoreUnknown=1;K8S_POD_NAME=modest_kalam'), { ips: [], gateways: [] });
});

for (const [text, reason] of [
  ['FOO=bar', 'unknown-cni-args'],
  ['IgnoreUnknown=0;FOO=bar', 'unknown-cni-args'],
  ['IgnoreUnknown=perhaps', 'invalid-cni-args'],
  ['MAC', 'invalid-cni-args'],
  ['=x', 'invalid-cni-args'],
  ['MAC=02:00:00:00:00:01;MAC=02:00:00:00:00:02', 'contradicting-cni-args'],
] as const) {
  test(`CNI_ARGS ${text} is ${reason}`, () => {
    assert.throws(
      () => parseArgs(text),
      (error) => error instanceof CniFault && error.cniCode === 4 && error.reason === reason,
    );
  });
}

test('unknown keys pass where any IgnoreUnknown says so, and their contradictions too', () => {
  assert.deepEqual(parseArgs('FOO=1;IgnoreUnknown=0;FOO=2;IgnoreUnknown=true'), { ips: [], gateways: [] });
});

test.run();
