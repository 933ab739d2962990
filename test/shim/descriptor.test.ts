/** The sandbox's descriptor, from the shim's `open` to the handler, over the kernel's own socket. */
import * as assert from 'node:assert/strict';
import { closeSync, fstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import { peerSocket } from '../../src/app/peers.ts';
import type { CniCall } from '../../src/cni/handler.ts';
import { createCniServer } from '../../src/cni/index.ts';
import { silentLogger } from '../../src/engine/logger.ts';
import { buildShim, runShim, temporaryFolder } from './built-shim.ts';

const folder = temporaryFolder();
const shim = buildShim(folder);

const env = {
  CNI_COMMAND: 'ADD',
  CNI_CONTAINERID: 'c0ffee',
  CNI_IFNAME: 'net1',
  CNI_NETNS: '/proc/self/ns/net',
  CNI_PATH: '/opt/cni/bin',
  BERTH_CNI_SOCKET: join(folder, 'cni.sock'),
};

test('the namespace that the shim opened is the one that the handler gets, with small and large requests', async () => {
  const seen: { inode: number | undefined; bytes: number }[] = [];
  const handle = async (call: CniCall): Promise<{ exitCode: number; stdout: string }> => {
    seen.push({
      inode: call.sandboxFd === undefined ? undefined : fstatSync(call.sandboxFd).ino,
      bytes: call.stdin.length,
    });
    if (call.sandboxFd !== undefined) closeSync(call.sandboxFd);
    return { exitCode: 0, stdout: '' };
  };
  const server = createCniServer({ socketPath: env.BERTH_CNI_SOCKET, peers: peerSocket, handle, log: silentLogger });
  await server.listen();
  try {
    for (const bytes of [2, 100_000, 5 << 20])
      assert.equal((await runShim(shim, env, Buffer.alloc(bytes, 0x20))).code, 0);
    assert.equal((await runShim(shim, { ...env, CNI_NETNS: '' }, '{}')).code, 0);
  } finally {
    await server.close();
  }
  const { ino } = statSync('/proc/self/ns/net');
  assert.deepEqual(seen, [
    { inode: ino, bytes: 2 },
    { inode: ino, bytes: 100_000 },
    { inode: ino, bytes: 5 << 20 },
    { inode: undefined, bytes: 2 },
  ]);
});

test('no descriptor is left behind by calls that are refused', async () => {
  const server = createCniServer({
    socketPath: env.BERTH_CNI_SOCKET,
    peers: { ...peerSocket, credentials: () => ({ pid: 1, uid: 4711, gid: 0 }) },
    handle: async () => ({ exitCode: 0, stdout: '' }),
    log: silentLogger,
  });
  await server.listen();
  const before = readdirSync('/proc/self/fd').length;
  try {
    for (let i = 0; i < 5; i++) assert.match((await runShim(shim, env, '{}')).stdout, /may not call the agent/);
    assert.equal(readdirSync('/proc/self/fd').length, before);
  } finally {
    await server.close();
  }
});

test.run();
