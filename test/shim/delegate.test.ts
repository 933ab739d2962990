/** IPAM programs executed by the compiled shim for the real front end, the agent's wishes and its death included. */
import * as assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'uvu';
import type { CniCall } from '../../src/cni/handler.ts';
import { createCniServer } from '../../src/cni/index.ts';
import { encodeExecute, encodeReply } from '../../src/cni/protocol.ts';
import { toBerthError } from '../../src/engine/errors.ts';
import type { IpamOutcome, IpamPrograms } from '../../src/engine/ipam/port.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { plainPeers } from '../cni/plain-peers.ts';
import { eventually } from '../standins/eventually.ts';
import { callOf, ENDS, makeIpamPrograms } from '../standins/ipam-programs.ts';
import { buildShim, runShim, temporaryFolder } from './built-shim.ts';

const folder = temporaryFolder();
const shim = buildShim(folder);
const programs = makeIpamPrograms(join(folder, 'bin'));
const never = new AbortController().signal;
let number = 0;

const CONFIG = JSON.stringify({ cniVersion: '1.0.0', name: 'net-a', type: 'macvlan' });

function environment(command = 'ADD'): Record<string, string> & { readonly BERTH_CNI_SOCKET: string } {
  number += 1;
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: 'c0ffee',
    CNI_IFNAME: 'net1',
    CNI_NETNS: '/proc/self/ns/net',
    CNI_PATH: programs,
    OF_THE_RUNTIME: 'yes',
    BERTH_CNI_SOCKET: join(folder, `${number}.sock`),
    BERTH_SPOOL_FOLDER: join(folder, `spool-${number}`),
  };
}

/** One call, during which `work` has the shim execute programs. */
async function duringCall<T>(
  work: (place: IpamPrograms, call: CniCall) => Promise<T>,
  env = environment(),
): Promise<T> {
  const done = Promise.withResolvers<T>();
  const server = createCniServer({
    socketPath: env.BERTH_CNI_SOCKET,
    peers: plainPeers(),
    handle: async (call) => {
      try {
        assert.ok(call.ipamPrograms);
        done.resolve(await work(call.ipamPrograms, call));
      } catch (error) {
        done.reject(error);
      }
      return { exitCode: 0, stdout: '{"answer":1}' };
    },
    log: silentLogger,
  });
  await server.listen();
  try {
    const run = await runShim(shim, env, CONFIG);
    const result = await done.promise;
    assert.deepEqual([run.code, run.stdout], [0, '{"answer":1}'], 'the reply gets through after all of it');
    return result;
  } finally {
    await server.close();
  }
}

for (const { program, end, more, stdout, stderr } of ENDS) {
  const named = more?.environment === undefined ? program : `${program} in no absolute folder`;
  test(`${named}: ${end.kind}`, async () => {
    const outcome = await duringCall((place) => place.execute(callOf(programs, program, more), never));
    assert.deepEqual(outcome.end, end);
    assert.match(outcome.stdout, stdout ?? /^/);
    assert.match(outcome.stderr, stderr ?? /^/);
    assert.ok(outcome.stdout.length <= 1 << 20);
    assert.ok(outcome.stderr.length <= 4096);
    assert.equal(outcome.path, end.kind === 'not-found' ? '' : join(programs, program));
  });
}

test.after(() => {
  process.kill(Number(readFileSync(join(programs, 'left.pid'), 'utf8')), 'SIGKILL');
});

test('a program whose interpreter is missing says so', async () => {
  const outcome = await duringCall((place) => place.execute(callOf(programs, 'no-interpreter'), never));
  assert.deepEqual(outcome.end, { kind: 'exited', status: 127 });
  assert.match(outcome.stderr, /cannot execute .*no-interpreter: ENOENT/);
});

test("a program gets its input, the agent's variables and the runtime's environment", async () => {
  const call = callOf(programs, 'good', {
    command: 'DEL',
    stdin: '{"öß":1}',
    environment: { CNI_ARGS: 'FROM=agent', CNI_CONTAINERID: 'other' },
  });
  await duringCall((place) => place.execute(call, never));
  assert.equal(readFileSync(join(programs, 'stdin'), 'utf8'), '{"öß":1}');
  assert.deepEqual(readFileSync(join(programs, 'environment'), 'utf8').trim().split('\n'), [
    'CNI_ARGS=FROM=agent',
    'CNI_COMMAND=DEL',
    'CNI_CONTAINERID=other',
    'CNI_IFNAME=net1',
    'CNI_NETNS=/proc/self/ns/net',
    `CNI_PATH=${programs}`,
  ]);
});

for (const name of ['../bin/good', '/bin/sh', '.', '..', '', 'a/b', 'good\0x', '-x', `${'n'.repeat(101)}`]) {
  test(`a program called ${JSON.stringify(name.slice(0, 20))} is refused by the shim`, async () => {
    const outcome = await duringCall((place) => place.execute(callOf(programs, name), never));
    assert.deepEqual(outcome.end, { kind: 'refused', errno: 22 });
  });
}

test('several programs are executed one after another, however they are asked for', async () => {
  const ends = await duringCall(async (place) => {
    const outcomes: IpamOutcome[] = await Promise.all(
      ['good', 'failing', 'absent', 'good'].map((program) => place.execute(callOf(programs, program), never)),
    );
    return outcomes.map((outcome) => outcome.end.kind);
  });
  assert.deepEqual(ends, ['exited', 'exited', 'not-found', 'exited']);
});

test('a program is killed when the agent wants it no more, and the next one can run', async () => {
  const cancel = new AbortController();
  const ends = await duringCall(async (place) => {
    const hanging = place.execute(callOf(programs, 'hanging'), cancel.signal);
    setImmediate(() => cancel.abort());
    const next = place.execute(callOf(programs, 'good'), never);
    return [(await hanging).end.kind, (await next).end.kind];
  });
  assert.deepEqual(ends, ['cancelled', 'exited']);
});

test('a cancel that comes when the program has ended is no trouble', async () => {
  const socketPath = join(folder, 'late.sock');
  const server = createServer((socket) => {
    socket.once('data', () => {
      socket.write(encodeExecute(callOf(programs, 'good')));
      socket.once('data', () => socket.end(Buffer.concat([Buffer.from([5, 0, 0, 0, 0]), encodeReply(3, 'late')])));
    });
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  try {
    const run = await runShim(shim, { ...environment(), BERTH_CNI_SOCKET: socketPath }, CONFIG);
    assert.deepEqual([run.code, run.stdout], [3, 'late']);
  } finally {
    server.close();
  }
});

/** A script that tells its process id, and then hangs. */
function pidOf(stdout: string): number {
  return Number(/pid (\d+)/.exec(stdout)?.[1]);
}

async function isGone(pid: number): Promise<void> {
  await eventually(
    () => {
      const stat = (() => {
        try {
          return readFileSync(`/proc/${pid}/stat`, 'utf8');
        } catch {
          // No such process: gone.
          return undefined;
        }
      })();
      assert.ok(stat === undefined || / Z /.test(stat));
    },
    5_000,
    () => `process ${pid} to end`,
  );
}

/** Has a shim execute a hanging program for an agent that then does something; answers the program's id. */
async function withHangingProgram(then: (socket: Socket, shimPid: number) => void): Promise<void> {
  number += 1;
  const report = join(folder, `pid-${number}`);
  writeFileSync(
    join(programs, 'telling'),
    `#!/bin/sh\necho "pid $$" >${report}.new\nmv ${report}.new ${report}\nexec sleep 60\n`,
    {
      mode: 0o755,
    },
  );
  const env = environment();
  const connected = Promise.withResolvers<Socket>();
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.write(encodeExecute(callOf(programs, 'telling', { timeoutMs: 60_000 })));
      connected.resolve(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(env.BERTH_CNI_SOCKET, resolve));
  const child = spawn(shim, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  try {
    child.stdin.end(CONFIG);
    const output = text(child.stdout);
    const ended = once(child, 'exit');
    const socket = await connected.promise;
    let pid = 0;
    await eventually(
      () => {
        pid = pidOf(readFileSync(report, 'utf8'));
        assert.ok(pid > 0);
      },
      5_000,
      () => 'the program to begin',
    );
    then(socket, child.pid ?? 0);
    await ended;
    await output;
    await isGone(pid);
  } finally {
    child.kill('SIGKILL');
    server.close();
  }
}

test('a program ends with its shim, which a runtime may kill', () =>
  withHangingProgram((_socket, pid) => process.kill(pid, 'SIGKILL')));
test('a program ends with its agent', () => withHangingProgram((socket) => socket.destroy()));
test('a program ends when the agent says something else than cancel', () =>
  withHangingProgram((socket) => socket.write(Buffer.from([2, 0, 0, 0, 1, 0]))));

test('when the runtime has gone, asking for a program fails in a way that can be told', async () => {
  const env = environment();
  const failed = Promise.withResolvers<string>();
  const server = createCniServer({
    socketPath: env.BERTH_CNI_SOCKET,
    peers: plainPeers(),
    handle: async (call, signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      const error = await call.ipamPrograms
        ?.execute(callOf(programs, 'good'), never)
        .catch((thrown: unknown) => thrown);
      failed.resolve(toBerthError(error).reason);
      return { exitCode: 1, stdout: '' };
    },
    log: silentLogger,
  });
  await server.listen();
  await runShim(shim, { ...env, BERTH_CNI_TIMEOUT_MS: '100' }, CONFIG);
  assert.equal(await failed.promise, 'ipam-place-gone');
  await server.close();
});

test('malformed wishes of an agent end the conversation or are refused, and never the shim', async () => {
  const execute = encodeExecute(callOf(programs, 'good'));
  const broken: Buffer[] = [];
  for (let cut = 6; cut < execute.length; cut += 7) {
    // The length says what is there, so that the payload itself is cut off.
    const frame = Buffer.from(execute.subarray(0, cut));
    frame.writeUInt32BE(cut - 5, 1);
    broken.push(frame);
  }
  for (let at = 5; at < execute.length; at += 11) {
    const frame = Buffer.from(execute);
    frame[at] = 0xff;
    broken.push(frame);
  }
  const env = environment();
  let next = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    const frame = broken[next] ?? Buffer.alloc(0);
    next += 1;
    socket.once('data', () => {
      socket.write(frame);
      socket.once('data', (result) => {
        assert.equal(result[0], 4);
        socket.end(encodeReply(0, 'still there'));
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(env.BERTH_CNI_SOCKET, resolve));
  try {
    for (let i = 0; i < broken.length; i += 1) {
      const run = await runShim(shim, { ...env, BERTH_CNI_TIMEOUT_MS: '2000' }, CONFIG);
      assert.equal(run.signal, null, `frame ${i}`);
      assert.deepEqual([run.code, run.stdout], [0, 'still there'], `frame ${i}`);
    }
  } finally {
    server.close();
  }
});

test('the shim refuses to be an IPAM plugin itself', async () => {
  const run = await runShim(shim, { ...environment(), BERTH_DELEGATED: '1' }, CONFIG);
  const answer = JSON.parse(run.stdout) as { code: number; msg: string };
  assert.deepEqual([run.code, answer.code], [1, 7]);
  assert.match(answer.msg, /ipam\.type names Berth's own shim/);
});

test.run();
