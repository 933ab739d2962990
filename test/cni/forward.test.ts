/** GC and STATUS of a network whose addresses a program gives: the program is asked as well. */
import * as assert from 'node:assert/strict';
import { test } from 'uvu';
import type { IpamCall, IpamOutcome, IpamPrograms } from '../../src/engine/ipam/port.ts';
import { type Bench, bench, call, MACVLAN } from './calls.ts';

const NETWORK = { ...MACVLAN, cniVersion: '1.1.0', ipam: { type: 'whereabouts', range: '10.5.0.0/16' } };
const DONE: IpamOutcome = {
  end: { kind: 'exited', status: 0 },
  path: '/opt/cni/bin/whereabouts',
  stdout: '',
  stderr: '',
};
const REFUSED: IpamOutcome = {
  ...DONE,
  end: { kind: 'exited', status: 1 },
  stdout: '{"code":50,"msg":"the datastore is away"}',
};

async function send(
  { handle }: Bench,
  command: string,
  config: Readonly<Record<string, unknown>>,
  outcome: IpamOutcome = DONE,
): Promise<{ readonly executed: readonly IpamCall[]; readonly answer: Readonly<Record<string, unknown>> }> {
  const executed: IpamCall[] = [];
  const ipamPrograms: IpamPrograms = {
    execute: (asked) => {
      executed.push(asked);
      return Promise.resolve(outcome);
    },
  };
  const { stdout } = await handle({ ...call({ command, config }), ipamPrograms }, new AbortController().signal);
  return { executed, answer: stdout === '' ? {} : JSON.parse(stdout) };
}

for (const command of ['GC', 'STATUS']) {
  const config = command === 'GC' ? { ...NETWORK, 'cni.dev/valid-attachments': [] } : NETWORK;

  test(`${command} is handed to the IPAM program, with the whole configuration and where to find it`, async () => {
    const { executed, answer } = await send(bench(), command, config);
    assert.deepEqual(answer, {});
    const [asked, ...more] = executed;
    assert.ok(asked);
    assert.equal(more.length, 0);
    assert.deepEqual([asked.command, asked.program], [command, 'whereabouts']);
    assert.deepEqual(asked.environment, { CNI_PATH: '/opt/cni/bin' });
    assert.deepEqual(JSON.parse(asked.stdin), { name: 'net-a', ...config });
  });

  test(`${command} fails with the words of the IPAM program`, async () => {
    const { answer } = await send(bench(), command, config, REFUSED);
    assert.match(String(answer.msg), /IPAM program whereabouts said: the datastore is away/);
    assert.equal(answer.code, command === 'STATUS' ? 50 : 5);
  });

  test(`${command} of a network with addresses of Berth's own executes nothing`, async () => {
    for (const ipam of [{ type: 'host-local', subnet: '10.5.0.0/16' }, { type: 'static' }, {}, null])
      assert.deepEqual((await send(bench(), command, { ...config, ipam })).executed, []);
  });
}

test('GC asks the program also when its own part fails, and the other way round', async () => {
  const failing = bench();
  failing.engine.during = () => Promise.reject(new Error('one attachment stayed'));
  const config = { ...NETWORK, 'cni.dev/valid-attachments': [] };
  const own = await send(failing, 'GC', config);
  assert.equal(own.executed.length, 1);
  assert.match(String(own.answer.msg), /one attachment stayed/);
  const both = await send(failing, 'GC', config, REFUSED);
  assert.match(String(both.answer.msg), /one attachment stayed; .*the datastore is away/);
  const other = bench();
  await send(other, 'GC', config, REFUSED);
  assert.equal(other.engine.kept.length, 1);
});

test.run();
