/**
 * What one test file came to, and the rule for what counts as passed: the file reported that it is
 * done, exited with 0, ran at least one test (or named the feature it lacks), and had no problem.
 * Pure; the process is `execute.ts`'s.
 */
import type { TestEvent } from './events.ts';

export interface Outcome {
  /** Path relative to the tested folder. */
  readonly file: string;
  readonly passed: number;
  /** Tests that failed or never ran; at least 1 when the file failed in any other way. */
  readonly failed: number;
  readonly skipped: number;
  /** Everything wrong with the file apart from failing tests, one sentence each. */
  readonly problems: readonly string[];
  readonly missingFeatures: readonly string[];
  /** What the file printed, both streams. */
  readonly output: string;
  readonly durationMs: number;
}

/** How the process ended. */
export interface Ending {
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Set when the runner ended it for taking longer than that. */
  readonly limitMs?: number;
  /** Names of processes that outlived it. */
  readonly strays: readonly string[];
  /** Why it could not be started at all. */
  readonly startError?: string;
}

/** Collects a file's events while it runs. */
export class FileProgress {
  #running: string | undefined;
  #suiteTests = 0;
  #done: Extract<TestEvent, { type: 'done' }> | undefined;
  #failures = 0;
  #finished = 0;
  readonly #problems: string[] = [];
  readonly #missingFeatures: string[] = [];

  take(event: TestEvent): void {
    switch (event.type) {
      case 'suite':
        this.#suiteTests += event.tests;
        return;
      case 'start':
        this.#running = event.suite === '' ? event.test : `${event.suite}: ${event.test}`;
        return;
      case 'pass':
      case 'fail':
        this.#finished += 1;
        if (event.type === 'fail') this.#failures += 1;
        this.#running = undefined;
        return;
      case 'skip':
        return;
      case 'missing-feature':
        this.#missingFeatures.push(event.name);
        return;
      case 'problem':
        this.#problems.push(event.message);
        return;
      case 'done':
        this.#done = event;
        return;
      default:
        event satisfies never;
    }
  }

  /** The test in progress, for a status line and to name what hung. */
  get running(): string | undefined {
    return this.#running;
  }

  outcome(file: string, ending: Ending, output: string, durationMs: number): Outcome {
    const problems = [...this.#problems, ...this.#endingProblems(ending)];
    const done = this.#done;
    const passed = done?.passed ?? this.#finished - this.#failures;
    const skipped = (done?.skipped ?? 0) + this.#missingFeatures.length;
    const failedTests = done?.failed ?? this.#failures;
    if (done !== undefined && passed + failedTests === 0 && this.#missingFeatures.length === 0) {
      problems.push('ran no test');
    }
    if (ending.exitCode !== 0 && problems.length === 0 && failedTests === 0) {
      problems.push(`exited with ${describeExit(ending)} although its tests passed`);
    }
    const failed = problems.length > 0 ? Math.max(failedTests, 1) : failedTests;
    return { file, passed, failed, skipped, problems, missingFeatures: this.#missingFeatures, output, durationMs };
  }

  #endingProblems(ending: Ending): string[] {
    const problems: string[] = [];
    const where = this.#running === undefined ? '' : ` in the test "${this.#running}"`;
    if (ending.startError !== undefined) {
      problems.push(`could not be started: ${ending.startError}`);
    } else if (ending.limitMs !== undefined) {
      problems.push(`hung${where}: ended after the limit of ${ending.limitMs / 1000} s`);
    } else if (this.#done === undefined) {
      const tests = this.#suiteTests === 0 ? 'running any test' : 'all its tests had finished';
      problems.push(`ended${where} before ${tests} (${describeExit(ending)})`);
    }
    if (ending.strays.length > 0) problems.push(`left processes behind: ${ending.strays.join(', ')}`);
    return problems;
  }
}

function describeExit({ exitCode, signal }: Ending): string {
  return signal === null ? `status ${exitCode}` : `signal ${signal}`;
}
