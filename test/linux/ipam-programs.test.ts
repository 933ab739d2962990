/** IPAM programs executed in the agent's own place. */
import * as assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import { createIpamPrograms } from '../../src/linux/ipam-programs.ts';
import { callOf, ENDS, makeIpamPrograms } from '../standins/ipam-programs.ts';

const folder = mkdtempSync(join(tmpdir(), 'berth-ipam-'));
const bin = makeIpamPrograms(join(folder, 'bin'));
const place = createIpamPrograms([]);
const never = new AbortController().signal;

test.after(() => {
  process.kill(Number(readFileSync(join(bin, 'left.pid'), 'utf8')), 'SIGKILL');
  rmSync(folder, { recursive: true });
});

for (const { program, end, more, stdout, stderr } of ENDS) {
  const named = more?.environment === undefined ? program : `${program} in no absolute folder`;
  test(`${named}: ${end.kind}`, async () => {
    const outcome = await place.execute(callOf(bin, program, more), never);
    assert.deepEqual(outcome.end, end);
    assert.match(outcome.stdout, stdout ?? /^/);
    assert.match(outcome.stderr, stderr ?? /^/);
    assert.ok(outcome.stdout.length <= 1 << 20);
    assert.ok(outcome.stderr.length <= 4096);
    assert.equal(outcome.path, end.kind === 'not-found' ? '' : join(bin, program));
  });
}

for (const name of ['../bin/good', '/bin/sh', '..', '', 'a/b', '-x']) {
  test(`a program called ${JSON.stringify(name)} is not looked for`, async () => {
    assert.deepEqual((await place.execute(callOf(bin, name), never)).end, { kind: 'not-found' });
  });
}

test('a program is looked for where it was found before, then in CNI_PATH, then in the usual folders', async () => {
  const elsewhere = makeIpamPrograms(join(folder, 'elsewhere'));
  const none = { environment: { CNI_PATH: '/nowhere' } };
  const pathOf = async (folders: readonly string[], more: Parameters<typeof callOf>[2]): Promise<string> =>
    (await createIpamPrograms(folders).execute(callOf(bin, 'failing', more), never)).path;
  assert.equal(await pathOf([elsewhere], { foundAt: join(bin, 'failing'), ...none }), join(bin, 'failing'));
  assert.equal(await pathOf([elsewhere], { foundAt: '/nowhere/failing' }), join(bin, 'failing'));
  assert.equal(await pathOf([elsewhere], none), join(elsewhere, 'failing'));
  // A record is a file: a path of another name in it is not executed.
  assert.equal(await pathOf([], { foundAt: '/bin/true', ...none }), '');
});

test('a program that hung is not waited for again at once, others are executed', async () => {
  const own = createIpamPrograms([]);
  const hangs = callOf(bin, 'hanging', { timeoutMs: 100 });
  assert.equal((await own.execute(hangs, never)).stdout, 'half an answer\n');
  assert.deepEqual(await own.execute(hangs, never), {
    end: { kind: 'timed-out' },
    path: join(bin, 'hanging'),
    stdout: '',
    stderr: '',
  });
  assert.deepEqual((await own.execute(callOf(bin, 'good'), never)).end, { kind: 'exited', status: 0 });
});

test('a program is killed when nobody wants it any more, with what it started', async () => {
  const cancel = new AbortController();
  const outcome = createIpamPrograms([]).execute(callOf(bin, 'hanging'), cancel.signal);
  setImmediate(() => cancel.abort());
  assert.deepEqual((await outcome).end, { kind: 'cancelled' });
});

test('the environment is what the program needs, and not what the agent has', async () => {
  process.env.SECRET_OF_THE_AGENT = 'x';
  await place.execute(callOf(bin, 'good', { command: 'DEL' }), never);
  assert.deepEqual(readFileSync(join(bin, 'environment'), 'utf8').trim().split('\n'), [
    'CNI_ARGS=K=V',
    'CNI_COMMAND=DEL',
    'CNI_CONTAINERID=c0ffee',
    'CNI_IFNAME=net1',
    `CNI_PATH=${bin}`,
  ]);
  delete process.env.SECRET_OF_THE_AGENT;
});

test.run();
