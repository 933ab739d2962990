/** A benchmark leaves nothing behind, however it ends. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { test } from 'uvu';
import { runInPrivateNode } from '../../hack/bench.d/private-node.ts';
import { hasLinkKind, requireFeature } from '../runner/features.ts';

const FURNISHED = new URL('./furnished-node.ts', import.meta.url).pathname;
const BENCH = new URL('../../hack/bench.d/main.ts', import.meta.url).pathname;

interface Process {
  readonly pid: number;
  readonly parent: number;
  /** Its network namespace, as /proc names it. */
  readonly netns: string;
}

function processes(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      // "pid (name) state ppid": a name may hold anything, so the fields are counted from its end.
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')')).split(' ')[2]);
      return [{ pid: Number(pid), parent, netns: readlinkSync(`/proc/${pid}/ns/net`) }];
    } catch (error) {
      // It ended between the listing and the look, or is one that not even root may look into.
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES') return [];
      throw error;
    }
  });
}

/** The network namespaces of a process's descendants, other than our own. */
function foreignNamespacesBelow(ancestor: number): Set<string> {
  const own = readlinkSync('/proc/self/ns/net');
  const all = processes();
  const below = new Set([ancestor]);
  // Parents may be listed after their children (pids wrap around), so look until nothing is added.
  for (let before = 0; before !== below.size; ) {
    before = below.size;
    for (const { pid, parent } of all) if (below.has(parent)) below.add(pid);
  }
  return new Set(all.filter(({ pid, netns }) => below.has(pid) && netns !== own).map(({ netns }) => netns));
}

function assertGone(namespaces: ReadonlySet<string>, mountsBefore: string): void {
  assert.deepEqual(
    processes().filter(({ netns }) => namespaces.has(netns)),
    [],
  );
  assert.equal(readFileSync('/proc/self/mountinfo', 'utf8'), mountsBefore);
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
    assertGone(new Set([netns]), before);
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
      const namespaces = foreignNamespacesBelow(bench.pid ?? 0);
      assert.ok(namespaces.size > 0, 'the benchmark runs in a namespace of its own');

      bench.kill(signal);
      assert.equal((await ended)[0], status);
      // Whatever it started holds the other end of this pipe, so the pipe's end is theirs.
      assert.equal((await progress.next()).done, true);
      assertGone(namespaces, before);
    });
  }
}

test.run();
