/** The process harness: it measures what it says, hands over what it is given, and hides no failure. */
import assert from 'node:assert/strict';
import { test } from 'uvu';
import { compiled } from '../../hack/bench.d/programs.ts';
import { type BatchResult, type Job, type JobResult, Spawner } from '../../hack/bench.d/spawner.ts';
import { hasLinkKind, requireFeature } from '../runner/features.ts';

let spawner: Spawner;
test.before.each(() => {
  spawner = new Spawner(compiled('spawn.c'));
});
test.after.each(() => spawner.close());

function only(batch: BatchResult): JobResult {
  assert.equal(batch.jobs.length, 1);
  const [job] = batch.jobs;
  assert.ok(job !== undefined);
  return job;
}

const sh = (script: string, more: Partial<Job> = {}): Job => ({ argv: ['/bin/sh', '-c', script], ...more });

test('a program that takes 50 ms is measured as taking that and its start', async () => {
  const batch = await spawner.run([{ argv: ['/bin/sleep', '0.05'] }]);
  assert.ok(only(batch).us >= 50_000, `${only(batch).us} us`);
  assert.ok(batch.elapsedUs >= only(batch).us);
  assert.ok(batch.settledUs >= batch.elapsedUs);
});

test('jobs of a batch run at once: three that take 200 ms are done before one after another could be', async () => {
  const batch = await spawner.run(Array.from({ length: 3 }, () => ({ argv: ['/bin/sleep', '0.2'] as const })));
  const sum = batch.jobs.reduce((total, job) => total + job.us, 0);
  assert.ok(sum >= 600_000, `${sum} us together`);
  assert.ok(batch.elapsedUs < sum, `${batch.elapsedUs} us of ${sum} us`);
  assert.ok(batch.jobs.every((job) => job.us <= batch.elapsedUs));
});

test('a program gets its arguments, its standard input and exactly its environment', async () => {
  const stdin = `{"name":"ä\\n"}${'x'.repeat(100_000)}`;
  const batch = await spawner.run([
    { argv: ['/usr/bin/env'], env: { CNI_COMMAND: 'ADD', EMPTY: '', TWO: 'a=b' } },
    { argv: ['/bin/cat'], stdin },
    { argv: ['/bin/echo', 'a b', '', 'c'] },
    { argv: ['/usr/bin/env'] },
  ]);
  const outputs = batch.jobs.map((job) => job.stdout);
  assert.deepEqual(outputs, ['CNI_COMMAND=ADD\nEMPTY=\nTWO=a=b\n', stdin, 'a b  c\n', '']);
});

test('output survives every byte that JSON treats specially', async () => {
  const batch = await spawner.run([sh('printf "\\001\\t\\"\\\\\\\\\\n"; printf err >&2')]);
  assert.equal(only(batch).stdout, '\u0001\t"\\\n');
  assert.equal(only(batch).stderr, 'err');
});

test('exit statuses and signals are told apart', async () => {
  const batch = await spawner.run([sh('exit 0'), sh('exit 7'), sh('kill -9 $$')]);
  assert.deepEqual(
    batch.jobs.map(({ exit, signal }) => ({ exit, signal })),
    [
      { exit: 0, signal: 0 },
      { exit: 7, signal: 0 },
      { exit: -1, signal: 9 },
    ],
  );
});

test('no job inherits a descriptor of the harness or of another job', async () => {
  const list = sh('ls /proc/self/fd | wc -l');
  const batch = await spawner.run([list, list, list]);
  // 0, 1 and 2, and the folder that ls reads.
  assert.deepEqual(
    batch.jobs.map((job) => job.stdout.trim()),
    ['4', '4', '4'],
  );
});

test('batches are answered in the order they were given, by one harness', async () => {
  for (const word of ['one', 'two', 'three']) {
    assert.equal(only(await spawner.run([{ argv: ['/bin/echo', word] }])).stdout, `${word}\n`);
  }
});

if (requireFeature('veth', hasLinkKind('veth'))) {
  test('a link that is still there after the exit is reported, and waited for', async () => {
    const apart = new Spawner('unshare', ['--net', '--', compiled('spawn.c')]);
    try {
      const gone = { netns: '/proc/self/ns/net', ifname: 'late' };
      const env = { PATH: process.env.PATH ?? '' };
      const made = await apart.run([sh('ip link add late type veth peer name later', { env })]);
      assert.equal(only(made).exit, 0, only(made).stderr);

      const early = await apart.run([sh('(sleep 0.2; ip link del late) >/dev/null 2>&1 &', { env, gone })]);
      assert.equal(only(early).present, true);
      assert.ok(early.settledUs >= 200_000, `${early.settledUs} us`);

      const past = await apart.run([sh(':', { env, gone })]);
      assert.equal(only(past).present, false);
      assert.equal(past.timedOut, false);
    } finally {
      await apart.close();
    }
  });
}

test('a program that does not exist ends the harness with an error', async () => {
  const broken = new Spawner(compiled('spawn.c'));
  await assert.rejects(broken.run([{ argv: ['/no/such/program'] }]), /harness ended: exit status 2/);
  await broken.close();
});

test('a NUL byte in a job is refused before anything is started', async () => {
  await assert.rejects(spawner.run([{ argv: ['/bin/echo', 'a\0b'] }]), /NUL/);
});

test.run();
