/** The runner against files that uvu by itself would let pass, and against files that are fine. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';

const MAIN = join(import.meta.dirname, 'main.ts');

interface Run {
  readonly status: number | null;
  readonly output: string;
  readonly lastLine: string | undefined;
}

function run(fixture: string, args: readonly string[] = [], environment: Record<string, string> = {}): Run {
  const folder = join(import.meta.dirname, 'fixtures', fixture);
  const result = spawnSync(process.execPath, [MAIN, '--folder', folder, ...args], {
    encoding: 'utf8',
    env: { ...process.env, CI: '', ...environment },
  });
  return {
    status: result.status,
    output: result.stdout + result.stderr,
    lastLine: result.stdout.trimEnd().split('\n').at(-1),
  };
}

/** Every way to fail: the folder, what the report has to say, and the closing line. */
const FAILURES: readonly (readonly [fixture: string, says: RegExp, closing: string])[] = [
  ['failing', /does not hold.*the right value/s, '1 passed, 1 failed'],
  ['before-throws', /before hook of the file threw: Error: no room for the fixture/, '0 passed, 1 failed'],
  ['after-throws', /after hook of the file threw: Error: could not clean up/, '1 passed, 1 failed'],
  ['before-each-throws', /before\.each hook of the file threw: Error: no namespace/, '0 passed, 1 failed'],
  ['run-forgotten', /the file defines 1 test\(s\) that no \.run\(\) executes/, '0 passed, 1 failed'],
  ['suite-forgotten', /suite "forgotten" defines 1 test\(s\) that no \.run\(\) executes/, '1 passed, 1 failed'],
  ['no-test', /ran no test/, '0 passed, 1 failed'],
  ['only', /test\.only\("hides the other"\) hides the other tests/, '1 passed, 1 failed, 1 skipped'],
  ['syntax-error', /ended before running any test \(status 1\).*SyntaxError/s, '0 passed, 1 failed'],
  ['exits-early', /ended in the test "ends the process" before all its tests/, '0 passed, 1 failed'],
  ['never-settles', /ended in the test "waits for what never comes" before all/, '0 passed, 1 failed'],
  ['rejects-later', /nobody looked/, '1 passed, 1 failed'],
  ['throws-no-error', /a value that is no error was thrown: 'a text'/, '0 passed, 1 failed'],
  ['forged', /ended before running any test/, '0 passed, 1 failed'],
];

const failures = suite('a run fails');

for (const [fixture, says, closing] of FAILURES) {
  failures(`when its file is ${fixture}`, () => {
    const { status, output, lastLine } = run(fixture);
    assert.match(output, says);
    assert.equal(lastLine, closing);
    assert.equal(status, 1);
  });
}

failures('when a file hangs, which is ended with what it started and named with its test', () => {
  const { status, output, lastLine } = run('hangs', ['--limit', '1']);
  assert.match(output, /hung in the test "waits for ever": ended after the limit of 1 s/);
  assert.equal(lastLine, '0 passed, 1 failed');
  assert.equal(status, 1);
  assertGone(output);
});

failures('when a file passes and does not end', () => {
  const { status, output, lastLine } = run('stays-open', ['--limit', '1']);
  assert.match(output, /hung: ended after the limit of 1 s/);
  assert.equal(lastLine, '1 passed, 1 failed');
  assert.equal(status, 1);
});

failures('when a file leaves a process behind, which is ended', () => {
  const { status, output, lastLine } = run('leaves-process');
  assert.match(output, /left processes behind: sleep \(\d+\)/);
  assert.equal(lastLine, '1 passed, 1 failed');
  assert.equal(status, 1);
  assertGone(output);
});

failures('when there is no test file', () => {
  const { status, output, lastLine } = run('empty');
  assert.match(output, /no test file in /);
  assert.equal(lastLine, '0 passed, 0 failed');
  assert.equal(status, 1);
});

failures('when one of its filters matches no file', () => {
  const { status, output, lastLine } = run('passing', ['case', 'no-such-file']);
  assert.match(output, /no test file matches "no-such-file"/);
  assert.equal(lastLine, '2 passed, 0 failed, 1 skipped');
  assert.equal(status, 1);
});

failures('when a feature is missing where CI says that it must be there', () => {
  const { status, output, lastLine } = run('needs-feature', [], { CI: 'true' });
  assert.match(output, /needs a link kind that no kernel has, which has to be there when CI=true/);
  assert.equal(lastLine, '0 passed, 1 failed');
  assert.equal(status, 1);
});

failures.run();

const successes = suite('a run succeeds');

successes('with its counts in the last line', () => {
  const { status, lastLine } = run('passing');
  assert.equal(lastLine, '2 passed, 0 failed, 1 skipped');
  assert.equal(status, 0);
});

successes('when a feature is missing on a machine of a person, who is told', () => {
  const { status, output, lastLine } = run('needs-feature');
  assert.match(output, /SKIPPED: needs a link kind that no kernel has/);
  assert.equal(lastLine, '0 passed, 0 failed, 1 skipped');
  assert.equal(status, 0);
});

successes('only with known options, and with everything when CI=true', () => {
  assert.equal(run('passing', ['--no-such-option']).status, 2);
  assert.equal(run('passing', ['--no-lab'], { CI: 'true' }).status, 2);
  assert.equal(run('passing', ['--limit', 'soon']).status, 2);
});

successes.run();

function assertGone(output: string): void {
  const pid = /child (\d+)/.exec(output)?.[1];
  assert.ok(pid !== undefined, output);
  // An orphan whose init is slow to reap it stays in /proc as a zombie: it has ended.
  const stat = existsSync(`/proc/${pid}`) ? readFileSync(`/proc/${pid}/stat`, 'utf8') : '(sleep) Z';
  assert.match(stat, /\) Z/, `process ${pid} is still there`);
}
