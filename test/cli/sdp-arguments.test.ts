/** The device plugin's own arguments, as its manifests have them. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { fromSdpArguments } from '../../src/cli/sdp-arguments.ts';

const given: readonly (readonly [string, readonly string[], readonly string[], readonly string[]])[] = [
  [
    'its own DaemonSet',
    ['--log-dir=sriovdp', '--log-level=10'],
    ['agent', '--config=/etc/pcidp/config.json'],
    ['--log-dir=sriovdp', '--log-level=10'],
  ],
  [
    'a file for each node',
    ['--log-dir=sriovdp', '--log-level=10', '--config-file=/etc/pcidp/worker-1'],
    ['agent', '--config=/etc/pcidp/worker-1'],
    ['--log-dir=sriovdp', '--log-level=10'],
  ],
  [
    'that of the SR-IOV operator',
    ['--log-level=10', '--resource-prefix=openshift.io', '--config-file=/etc/pcidp/worker-1', '--use-cdi'],
    ['agent', '--config=/etc/pcidp/worker-1', '--resource-prefix=openshift.io', '--use-cdi'],
    ['--log-level=10'],
  ],
  [
    'the program without its image',
    ['-config-file', '/c.json', '-resource-prefix', 'a.example', '-logtostderr', '-v', '10', '-use-cdi=false'],
    ['agent', '--config=/c.json', '--resource-prefix=a.example'],
    ['-logtostderr', '-v 10'],
  ],
];
for (const [what, argv, expected, ignored] of given) {
  test(`${what} starts the agent`, () => {
    assert.deepEqual(fromSdpArguments(argv), { argv: expected, ignored });
  });
}

for (const argv of [
  [],
  ['agent', '--config=/c.yaml'],
  ['--version'],
  ['--help'],
  ['--use-cdi'],
  ['--resource-prefix=a.example'],
  ['--config-file'],
  ['--config-file=/c.json', '--run-dir=/r'],
  ['--config-file=/c.json', 'plan'],
  ['-v'],
]) {
  test(`${JSON.stringify(argv)} is not the device plugin's`, () => {
    assert.equal(fromSdpArguments(argv), undefined);
  });
}

test.run();
