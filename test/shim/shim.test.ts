/** The compiled shim against the real front end, and against agents that misbehave. */
import * as assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { test } from 'uvu';
import type { CniCall, CniReply } from '../../src/cni/handler.ts';
import { type CniServer, createCniServer } from '../../src/cni/index.ts';
import { encodeReply } from '../../src/cni/protocol.ts';
import { parseSpoolEntry } from '../../src/cni/spool-entry.ts';
import { CNI_VERSIONS } from '../../src/cni/versions.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { plainPeers } from '../cni/plain-peers.ts';
import { buildShim, runShim, temporaryFolder } from './built-shim.ts';

const folder = temporaryFolder();
const shim = buildShim(folder);
let number = 0;

/** A socket path, a spool folder and an environment of the test's own. */
function place(command: string): { socket: string; spool: string; env: Record<string, string> } {
  const here = join(folder, `case-${++number}`);
  mkdirSync(here);
  const socket = join(here, 'cni.sock');
  const spool = join(here, 'lib', 'spool');
  return {
    socket,
    spool,
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: 'c0ffee',
      CNI_IFNAME: 'net1',
      CNI_NETNS: '/proc/self/ns/net',
      CNI_PATH: '/opt/cni/bin',
      BERTH_CNI_SOCKET: socket,
      BERTH_SPOOL_FOLDER: spool,
    },
  };
}

const CONFIG = JSON.stringify({ cniVersion: '1.0.0', name: 'net-a', type: 'macvlan' });

async function withAgent(
  socketPath: string,
  handle: (call: CniCall, signal: AbortSignal) => Promise<CniReply>,
  work: (server: CniServer) => Promise<void>,
): Promise<void> {
  const server = createCniServer({ socketPath, peers: plainPeers(), handle, log: silentLogger });
  await server.listen();
  try {
    await work(server);
  } finally {
    await server.close();
  }
}

/** An agent that does with a connection whatever the test wants. */
async function withRawAgent(
  socketPath: string,
  accept: (socket: Socket) => void,
  work: () => Promise<void>,
): Promise<void> {
  const sockets: Socket[] = [];
  const server: Server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
    accept(socket);
  });
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  try {
    await work();
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** What a process runs; `undefined` when it is a kernel's, or has ended. */
function programOf(pid: string): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/exe`);
  } catch {
    return undefined;
  }
}

function errorOf(stdout: string): { cniVersion: string; code: number; msg: string; details: string } {
  return JSON.parse(stdout);
}

test('a request reaches the agent whole and its answer comes back with its exit code', async () => {
  const { socket, env } = place('ADD');
  const calls: CniCall[] = [];
  const handle = async (call: CniCall): Promise<CniReply> => {
    calls.push(call);
    return { exitCode: 7, stdout: '{"answer":"öß"}\n' };
  };
  await withAgent(socket, handle, async () => {
    const run = await runShim(shim, { ...env, SECRET: 'x', TRACEPARENT: '00-1-2-00' }, CONFIG);
    assert.deepEqual(run, { code: 7, signal: null, stdout: '{"answer":"öß"}\n', stderr: '' });
  });
  const call = calls[0];
  assert.ok(call);
  assert.equal(call.stdin.toString(), CONFIG);
  assert.equal(call.argv0, 'berth');
  assert.equal(call.netnsErrno, undefined);
  assert.deepEqual(Object.fromEntries(call.environment), {
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: 'c0ffee',
    CNI_IFNAME: 'net1',
    CNI_NETNS: '/proc/self/ns/net',
    CNI_PATH: '/opt/cni/bin',
    TRACEPARENT: '00-1-2-00',
  });
});

test('one byte of configuration is not given a huge page, which the kernel would zero first', async () => {
  const { socket, env } = place('ADD');
  let regions = '';
  const handle = async (): Promise<CniReply> => {
    const pid = readdirSync('/proc').find((name) => /^[0-9]+$/.test(name) && programOf(name) === shim);
    regions = readFileSync(`/proc/${pid}/smaps`, 'utf8');
    return { exitCode: 0, stdout: '' };
  };
  await withAgent(socket, handle, async () => {
    assert.equal((await runShim(shim, env, CONFIG)).code, 0);
  });
  // Each region's lines end with its flags; one of 2 MiB and more can have huge pages.
  const large = regions.split(/(?<=^VmFlags: .*)\n/m).filter((lines) => /^Size: +[0-9]{5,} kB$/m.test(lines));
  assert.equal(large.length, 1, regions);
  assert.match(large[0] ?? '', /^VmFlags: .*\bnh\b/m, 'VM_NOHUGEPAGE, fs/proc/task_mmu.c');
});

test('a sandbox that cannot be opened is told with its errno', async () => {
  const { socket, env } = place('ADD');
  const seen: (number | undefined)[] = [];
  const handle = async (call: CniCall): Promise<CniReply> => {
    seen.push(call.netnsErrno);
    return { exitCode: 0, stdout: '' };
  };
  await withAgent(socket, handle, async () => {
    for (const path of [join(folder, 'absent'), '/dev/null/x', ''])
      await runShim(shim, { ...env, CNI_NETNS: path }, CONFIG);
  });
  assert.deepEqual(seen, [2, 20, undefined]);
});

test('it works with nothing in the environment but CNI_ and in a folder it cannot see, and under another name', async () => {
  const { socket, env } = place('ADD');
  const names: string[] = [];
  const handle = async (call: CniCall): Promise<CniReply> => {
    names.push(call.argv0);
    return { exitCode: 0, stdout: '' };
  };
  await withAgent(socket, handle, async () => {
    assert.equal((await runShim(shim, env, CONFIG, { cwd: '/proc', argv0: '/opt/cni/bin/sriov' })).code, 0);
    assert.equal((await runShim(shim, env, CONFIG, { argv0: '' })).code, 0);
  });
  assert.deepEqual(names, ['sriov', '']);
});

test('16 MiB of configuration go through, one byte more does not', async () => {
  const { socket, env } = place('ADD');
  const lengths: number[] = [];
  const handle = async (call: CniCall): Promise<CniReply> => {
    lengths.push(call.stdin.length);
    return { exitCode: 0, stdout: '' };
  };
  await withAgent(socket, handle, async () => {
    assert.equal((await runShim(shim, env, Buffer.alloc(16 << 20, 0x20))).code, 0);
    const over = await runShim(shim, env, Buffer.alloc((16 << 20) + 1, 0x20));
    assert.equal(over.code, 1);
    assert.equal(errorOf(over.stdout).code, 5);
  });
  assert.deepEqual(lengths, [16 << 20]);
});

test('VERSION is answered without an agent, in the version that was asked with', async () => {
  const { env } = place('VERSION');
  for (const [stdin, version] of [
    ['{"cniVersion":"0.4.0"}', '0.4.0'],
    [
      '{"a":{"cniVersion":"9.9.9"},"b":["cniVersion","1"],"c":"\\"cniVersion\\":\\"2\\"","cniVersion":"1.0.0"}',
      '1.0.0',
    ],
    ['{"cniVersion":"1\\n"}', '1.1.0'],
    ['{"cniVersion":', '1.1.0'],
    ['', '1.1.0'],
  ] as const) {
    const run = await runShim(shim, env, stdin);
    assert.equal(run.code, 0);
    assert.deepEqual(JSON.parse(run.stdout), { cniVersion: version, supportedVersions: [...CNI_VERSIONS] }, stdin);
  }
});

for (const [command, code] of [
  ['ADD', 11],
  ['CHECK', 11],
  ['GC', 11],
  ['STATUS', 50],
  ['', 4],
] as const) {
  test(`with the agent away ${command === '' ? 'no command' : command} is error ${code}`, async () => {
    const { env, spool } = place(command);
    const run = await runShim(shim, env, CONFIG);
    assert.equal(run.code, 1);
    const error = errorOf(run.stdout);
    assert.equal(error.code, code);
    if (command !== '') {
      assert.equal(error.cniVersion, '1.0.0');
      assert.match(error.msg, /cannot reach the agent at .*: ENOENT/);
      assert.match(error.details, /systemctl status berth/);
    }
    assert.equal(existsSync(spool), false);
  });
}

test('with the agent away a DEL is written down, privately, and succeeds', async () => {
  const { env, spool } = place('DEL');
  const beforeMs = Date.now();
  assert.deepEqual(await runShim(shim, env, CONFIG), { code: 0, signal: null, stdout: '', stderr: '' });
  assert.deepEqual(readdirSync(spool), ['c0ffee@net1']);
  assert.equal(statSync(spool).mode & 0o777, 0o700);
  assert.equal(statSync(join(spool, 'c0ffee@net1')).mode & 0o777, 0o600);
  const entry = parseSpoolEntry('c0ffee@net1', readFileSync(join(spool, 'c0ffee@net1')));
  assert.equal(entry.bootId, readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  assert.ok(entry.askedAtMs >= beforeMs - 1 && entry.askedAtMs <= Date.now() + 1);
  assert.deepEqual(entry.key, { containerId: 'c0ffee', ifname: 'net1' });
});

test('a repeated DEL replaces its entry', async () => {
  const { env, spool } = place('DEL');
  for (let i = 0; i < 3; i++) assert.equal((await runShim(shim, env, CONFIG)).code, 0);
  assert.deepEqual(readdirSync(spool), ['c0ffee@net1']);
});

test('a DEL that cannot be written down is error 5', async () => {
  const { env, spool } = place('DEL');
  writeFileSync(join(spool, '..', '..', 'lib'), 'in the way');
  const run = await runShim(shim, env, CONFIG);
  assert.equal(run.code, 1);
  assert.equal(errorOf(run.stdout).code, 5);
  assert.match(errorOf(run.stdout).msg, /spool cannot take the DEL/);
});

test('the spool is bounded in entries and in bytes', async () => {
  const { env, spool } = place('DEL');
  mkdirSync(spool, { recursive: true });
  for (let i = 0; i < 4095; i++) writeFileSync(join(spool, `c${i}@net1`), '');
  assert.equal((await runShim(shim, env, CONFIG)).code, 0, 'the 4096th has room');
  const over = await runShim(shim, { ...env, CNI_CONTAINERID: 'other' }, CONFIG);
  assert.equal(errorOf(over.stdout).code, 5);
  assert.match(errorOf(over.stdout).msg, /ENOSPC/);
  assert.equal((await runShim(shim, env, CONFIG)).code, 0, 'one that is there may be replaced');
  assert.equal(readdirSync(spool).length, 4096);

  const bytes = place('DEL');
  const big = Buffer.alloc(15 << 20, 0x20);
  const codes: (number | null)[] = [];
  for (let i = 0; i < 5; i++) codes.push((await runShim(shim, { ...bytes.env, CNI_CONTAINERID: `big${i}` }, big)).code);
  assert.deepEqual(codes, [0, 0, 0, 0, 1]);
});

for (const [what, change] of [
  ['container id', { CNI_CONTAINERID: '../../etc/passwd' }],
  ['empty container id', { CNI_CONTAINERID: '' }],
  ['interface name', { CNI_IFNAME: 'a/b' }],
  ['long interface name', { CNI_IFNAME: 'sixteen-bytes-xx' }],
] as const) {
  test(`a DEL with an invalid ${what} is error 4 and writes nothing`, async () => {
    const { env, spool } = place('DEL');
    const run = await runShim(shim, { ...env, ...change }, CONFIG);
    assert.equal(errorOf(run.stdout).code, 4);
    assert.equal(existsSync(spool), false);
  });
}

/** What an agent does to a request, and what becomes of it. */
const MISBEHAVIOURS: readonly (readonly [string, (socket: Socket) => void, RegExp])[] = [
  ['closes at once', (socket) => socket.destroy(), /ended before it answered/],
  [
    'dies in the middle of the request',
    (socket) => socket.once('data', () => socket.destroy()),
    /ended before it answered/,
  ],
  [
    'answers half',
    (socket) => socket.once('data', () => socket.end(encodeReply(0, '{"cniVersion":"1.0.0"}').subarray(0, 12))),
    /ended before it answered/,
  ],
  [
    'answers something else',
    (socket) => socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\n')),
    /not of protocol version 2/,
  ],
  [
    'answers endlessly',
    (socket) => socket.once('data', () => socket.end(Buffer.from([2, 0xff, 0xff, 0xff, 0xff, 0]))),
    /not of protocol version 2/,
  ],
  ['never answers', () => undefined, /no answer from the agent in time/],
];

for (const [what, misbehave, message] of MISBEHAVIOURS) {
  test(`an agent that ${what}: ADD tries again, DEL is written down`, async () => {
    const add = place('ADD');
    await withRawAgent(add.socket, misbehave, async () => {
      const run = await runShim(shim, { ...add.env, BERTH_CNI_TIMEOUT_MS: '300' }, CONFIG);
      assert.equal(run.code, 1);
      assert.equal(errorOf(run.stdout).code, 11);
      assert.match(errorOf(run.stdout).msg, message);
    });
    const del = place('DEL');
    await withRawAgent(del.socket, misbehave, async () => {
      const run = await runShim(shim, { ...del.env, BERTH_CNI_TIMEOUT_MS: '300' }, CONFIG);
      assert.deepEqual(run, { code: 0, signal: null, stdout: '', stderr: '' });
    });
    assert.deepEqual(readdirSync(del.spool), ['c0ffee@net1']);
  });
}

test('a DEL whose second try finds the agent is answered by it and leaves no entry', async () => {
  const { env, socket, spool } = place('DEL');
  let connections = 0;
  const accept = (peer: Socket): void => {
    if (++connections === 1) peer.destroy();
    else {
      assert.deepEqual(readdirSync(spool), ['c0ffee@net1'], 'it is written down before the second try');
      peer.once('data', () => peer.end(encodeReply(0, '')));
    }
  };
  await withRawAgent(socket, accept, async () => {
    assert.equal((await runShim(shim, env, CONFIG)).code, 0);
  });
  assert.equal(connections, 2);
  assert.deepEqual(readdirSync(spool), []);
});

test('the agent learns that the runtime has gone away', async () => {
  const { env, socket } = place('ADD');
  const aborted = Promise.withResolvers<unknown>();
  const handle = (_call: CniCall, signal: AbortSignal): Promise<CniReply> =>
    new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        aborted.resolve(signal.reason);
        resolve({ exitCode: 1, stdout: '' });
      });
    });
  await withAgent(socket, handle, async () => {
    await runShim(shim, { ...env, BERTH_CNI_TIMEOUT_MS: '200' }, CONFIG);
    assert.match(String(await aborted.promise), /the runtime ended the call/);
  });
});

test('error texts are JSON whatever the environment holds', async () => {
  const { env } = place('ADD');
  const run = await runShim(shim, { ...env, BERTH_CNI_SOCKET: `/nowhere/"\\\n\u00e9${'x'.repeat(60)}` }, CONFIG);
  assert.match(errorOf(run.stdout).msg, /\/nowhere\/"\\/);
  const long = await runShim(shim, { ...env, BERTH_CNI_SOCKET: `/${'x'.repeat(4000)}` }, CONFIG);
  assert.match(errorOf(long.stdout).msg, /ENAMETOOLONG/);
});

test('a socket that may not be entered is an error, not a crash', async () => {
  const { env, socket } = place('STATUS');
  writeFileSync(socket, '');
  chmodSync(socket, 0o000);
  assert.match(errorOf((await runShim(shim, env, CONFIG)).stdout).msg, /ECONNREFUSED/);
});

test.run();
