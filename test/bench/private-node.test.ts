/** A benchmark leaves nothing behind, however it ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { test } from 'uvu';
import { runInPrivateNode } from '../../hack/bench.d/private-node.ts';
import { hasLinkKind, requireFeature } from '../runner/features.ts';

const FURNISHED = new URL('./furnished-node.ts', import.meta.url).pathname;
const BENCH = new URL('../../hack/bench.d/main.ts', import.meta.url).pathname;

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** In clock ticks since boot; with the pid it names one process for ever. */
  readonly startTime: string;
}

function processes(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map((pid) => processOf(Number(pid))).filter((found) => found !== undefined);
}

function processOf(pid: number): Process | undefined {
  try {
    // "pid (name) state ppid ...": a name may hold anything, so fields are counted from its end (proc(5)).
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pid, parent: Number(fields[1]), startTime: String(fields[19]) };
  } catch (error) {
    // It ended between the listing and the look.
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ESRCH') return undefined;
    throw error;
  }
}

function descendants(ancestor: number): Process[] {
  const all = processes();
  const below = new Set([ancestor]);
  // Parents may be listed after their children (pids wrap around), so look until nothing is added.
  for (let before = 0; before !== below.size; ) {
    before = below.size;
    for (const { pid, parent } of all) if (below.has(parent)) below.add(pid);
  }
  return all.filter(({ pid }) => pid !== ancestor && below.has(pid));
}

/** A process closes its files some time before it is gone, so the end of a pipe is not the end yet. */
async function untilGone(those: readonly Process[]): Promise<void> {
  const remaining = () => those.filter(({ pid, startTime }) => processOf(pid)?.startTime === startTime);
  for (let tries = 0; tries < 500 && remaining().length > 0; tries++) await setTimeout(10);
  assert.deepEqual(remaining(), []);
}

if (requireFeature('veth', hasLinkKind('veth'))) {
  test('a private node has links and state folders of its own, and is gone with its program', async () => {
    const before = readFileSync('/proc/self/mountinfo', 'utf8');
    const output = await runInPrivateNode([process.execPath, FURNISHED], new AbortController().signal);
    const { netns, ...facts } = JSON.parse(output) as { netns: string };
    assert.deepEqual(facts, {
      links: ['lo', 'uplink0', 'uplink0-peer'],
      sysLinks: ['lo', 'uplink0', 'uplink0-peer'],
      state: { '/run': ['bench'], '/var/lib': [] },
    });
    assert.notEqual(netns, readlinkSync('/proc/self/ns/net'));
    assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), before);
  });

  test('a program that fails in a private node is an error', async () => {
    const run = runInPrivateNode(['/bin/sh', '-c', 'exit 3'], new AbortController().signal);
    await assert.rejects(run, /exit status 3/);
  });
}

if (requireFeature('macvlan', hasLinkKind('macvlan'))) {
  for (const [signal, status] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGKILL', null],
  ] as const) {
    test(`a benchmark that ${signal} ends in the middle leaves no process, namespace or mount`, async () => {
      const before = readFileSync('/proc/self/mountinfo', 'utf8');
      const bench = spawn(process.execPath, [BENCH, 'cni', '--sides', 'limit', '--runs', '10000'], {
        stdio: ['ignore', 'ignore', 'pipe'],
      });
      const ended = once(bench, 'exit');
      const progress = createInterface({ input: bench.stderr })[Symbol.asyncIterator]();
      assert.match(String((await progress.next()).value), /10000 ADDs/);
      const started = descendants(bench.pid ?? 0);
      assert.ok(started.length >= 3, 'unshare, the inner half and the harness');

      bench.kill(signal);
      assert.equal((await ended)[0], status);
      // Whatever it started holds the other end of this pipe, so the pipe's end is theirs.
      assert.equal((await progress.next()).done, true);
      // Namespaces end with their last process, unless a mount holds them.
      await untilGone(started);
      assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), before);
    });
  }
}

test.run();
