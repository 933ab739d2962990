import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import type { ConfigProblem } from '../../src/cni/config.ts';
import { parseArgs } from '../../src/cni/environment.ts';
import { parseIpamSpec } from '../../src/cni/ipam-spec.ts';
import { RecentConfigs } from '../../src/cni/recent-configs.ts';
import { BerthError } from '../../src/engine/errors.ts';
import type { HostLocalSpec } from '../../src/engine/ipam/model.ts';
import { parseRangeSets } from '../../src/engine/ipam/ranges.ts';

function config(more: object = {}): Buffer {
  return Buffer.from(
    JSON.stringify({ cniVersion: '1.0.0', name: 'net', type: 'macvlan', master: 'eth1', mode: 'bridge', ...more }),
  );
}

test('the same bytes are read once', () => {
  const configs = new RecentConfigs();
  const first = configs.decode(config());
  assert.equal(configs.decode(config()), first);
  assert.equal(configs.parse(first), configs.parse(configs.decode(config())));
});

test('one byte less is another configuration', () => {
  const configs = new RecentConfigs();
  configs.decode(config({ master: 'eth12' }));
  const other = configs.decode(config());
  assert.equal(other.fields.master, 'eth1');
  assert.equal(configs.parse(other).config.master, 'eth1');
});

test('bytes that are no UTF-8 are told apart, and refused each time', () => {
  const configs = new RecentConfigs();
  const broken = Buffer.concat([config().subarray(0, -2), Buffer.from([0xff, 0x22, 0x7d])]);
  for (let times = 0; times < 2; times += 1) {
    assert.throws(
      () => configs.decode(broken),
      (error) => error instanceof BerthError && error.reason === 'config-not-json',
    );
  }
});

test('wrong fields are told to every call', () => {
  const configs = new RecentConfigs();
  for (let times = 0; times < 2; times += 1) {
    const { problems } = configs.parse(configs.decode(config({ mtu: 'large' })));
    assert.deepEqual(
      problems.map(({ path }) => path),
      ['mtu'],
    );
  }
});

test('what is remembered cannot be changed by one call for the next', () => {
  const configs = new RecentConfigs();
  const decoded = configs.decode(config({ ipam: { type: 'static', addresses: [{ address: '10.0.0.2/24' }] } }));
  const { ipam } = configs.parse(decoded).config;
  for (const change of [
    () => Reflect.set(decoded.fields, 'name', 'other'),
    () => Reflect.set(ipam ?? {}, 'type', 'host-local'),
    () => Reflect.set(ipam?.addresses?.[0] ?? {}, 'address', '10.0.0.3/24'),
  ]) {
    assert.equal(change(), false);
  }
});

test('results of plugins before, and what is large, are not remembered', () => {
  const configs = new RecentConfigs();
  for (const more of [{ prevResult: { cniVersion: '1.0.0' } }, { note: 'x'.repeat(8 * 1024) }]) {
    assert.notEqual(configs.decode(config(more)), configs.decode(config(more)));
  }
});

test('sixty-four are remembered, those that were used last', () => {
  const configs = new RecentConfigs();
  const first = configs.decode(config({ number: 0 }));
  const second = configs.decode(config({ number: 1 }));
  for (let number = 2; number < 64; number += 1) configs.decode(config({ number }));
  assert.equal(configs.decode(config({ number: 0 })), first);
  configs.decode(config({ number: 64 }));
  assert.equal(configs.decode(config({ number: 0 })), first);
  assert.notEqual(configs.decode(config({ number: 1 })), second);
});

const LOCAL = { type: 'host-local', subnet: '10.1.0.0/24', routes: [{ dst: '0.0.0.0/0' }] };

function addressingOf(configs: RecentConfigs, cniArgs: string, ipam: object = LOCAL) {
  const problems: ConfigProblem[] = [];
  const { config: parsed } = configs.parse(configs.decode(config({ ipam })));
  return { spec: parseIpamSpec(parsed, parseArgs(cniArgs), problems) as HostLocalSpec, problems };
}

test('the ranges of a definition are read once, what a pod asks for each time', () => {
  const configs = new RecentConfigs();
  const first = addressingOf(configs, 'IP=10.1.0.7');
  const second = addressingOf(configs, '');
  assert.deepEqual([first.spec.requested, second.spec.requested], [['10.1.0.7'], []]);
  assert.equal(second.spec.rangeSets, first.spec.rangeSets);
  assert.equal(parseRangeSets(second.spec.rangeSets), parseRangeSets(first.spec.rangeSets));
  assert.deepEqual(addressingOf(new RecentConfigs(), '').spec, second.spec);
});

test('wrong ranges are told to every call', () => {
  const configs = new RecentConfigs();
  for (let times = 0; times < 2; times += 1) {
    const { problems } = addressingOf(configs, '', { ...LOCAL, dataDir: 'relative' });
    assert.deepEqual(
      problems.map(({ path }) => path),
      ['ipam.dataDir'],
    );
    const { spec } = addressingOf(configs, '', { type: 'host-local', subnet: '10.1.0.0/31' });
    assert.throws(() => parseRangeSets(spec.rangeSets), /too small/);
  }
});

test.run();
