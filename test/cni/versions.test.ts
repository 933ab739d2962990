/** What the specification says of each version, written out, so that no table of the program can be wrong unnoticed. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import { bench, MACVLAN } from './calls.ts';

const VERSIONS: readonly (readonly [string, readonly string[]])[] = [
  ['0.1.0', []],
  ['0.2.0', []],
  ['0.3.0', []],
  ['0.3.1', []],
  ['0.4.0', ['CHECK']],
  ['1.0.0', ['CHECK']],
  ['1.1.0', ['CHECK', 'STATUS', 'GC']],
];

for (const [cniVersion, commands] of VERSIONS) {
  test(`${cniVersion} has ${commands.join(', ') || 'neither CHECK nor STATUS nor GC'}`, async () => {
    const prevResult = { cniVersion, interfaces: [{ name: 'net1', sandbox: '/s' }] };
    const config = { ...MACVLAN, cniVersion, prevResult };
    for (const command of ['CHECK', 'STATUS', 'GC']) {
      const { exitCode, answer } = await bench().send({ command, config });
      assert.equal(exitCode, commands.includes(command) ? 0 : 1, command);
      assert.equal(answer.code, commands.includes(command) ? undefined : 1, command);
    }
  });
}

test('these versions are served, and no other', async () => {
  const { answer } = await bench().send({ command: 'VERSION', config: '{"cniVersion":"1.0.0"}' });
  assert.deepEqual(
    answer.supportedVersions,
    VERSIONS.map(([version]) => version),
  );
  for (const cniVersion of ['0.4.1', '1.0', '1.2.0', '2.0.0', 'v1.0.0', '01.0.0']) {
    const { send, engine } = bench();
    assert.equal((await send({ config: { ...MACVLAN, cniVersion } })).answer.code, 1, cniVersion);
    assert.equal(engine.attached.length, 0);
  }
});

test.run();
