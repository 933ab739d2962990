/**
 * uvu as test files see it when the runner executes them: the same interface, with what uvu lets
 * pass reported as a problem. uvu 0.5.6 swallows an error thrown by a `before` or `after` hook,
 * exits 0 when `run()` was forgotten, and lets `test.only` hide every other test.
 *
 * `child.ts` puts this module in the place of `uvu`; a file run directly gets uvu itself.
 */
import { inspect } from 'node:util';
import * as uvu from 'uvu';
import { emit } from './events.ts';

type Context = Record<string, unknown>;

interface Registered {
  readonly name: string;
  pending: number;
}

const registered: Registered[] = [];

/** The problems that can only be seen when the file has been imported: tests that no `run()` will execute. */
export function findForgottenSuites(): string[] {
  return registered
    .filter((entry) => entry.pending > 0)
    .map((entry) => `${describe(entry.name)} defines ${entry.pending} test(s) that no .run() executes`);
}

/** uvu's `suite`, watched. */
export function suite<T = Context>(name = '', state?: T): uvu.Test<T> {
  return watch(name, state === undefined ? uvu.suite<T>(name) : uvu.suite<T>(name, state));
}

/** uvu's `test`, watched. */
export const test: uvu.Test = watch('', uvu.test);

function describe(suiteName: string): string {
  return suiteName === '' ? 'the file' : `suite "${suiteName}"`;
}

/** A hook throws outside any test, so it is reported by itself; uvu then decides how to go on. */
function watchHook<T>(suiteName: string, kind: string, hook: uvu.Callback<T>): uvu.Callback<T> {
  return async (context) => {
    try {
      await hook(context);
    } catch (error) {
      emit({ type: 'problem', message: `${kind} hook of ${describe(suiteName)} threw: ${inspect(error)}` });
      throw asError(error);
    }
  };
}

/** uvu formats failures as errors and breaks on anything else. */
function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(`a value that is no error was thrown: ${inspect(error)}`);
}

function watch<T>(name: string, inner: uvu.Test<T>): uvu.Test<T> {
  const entry: Registered = { name, pending: 0 };
  registered.push(entry);

  const watchTest = (testName: string, handler: uvu.Callback<T>): uvu.Callback<T> => {
    entry.pending += 1;
    return async (context) => {
      emit({ type: 'start', suite: name, test: testName });
      try {
        await handler(context);
      } catch (error) {
        emit({ type: 'fail' });
        throw asError(error);
      }
      emit({ type: 'pass' });
    };
  };

  const outer = (testName: string, handler: uvu.Callback<T>): void => inner(testName, watchTest(testName, handler));
  const before = (hook: uvu.Callback<T>): void => inner.before(watchHook(name, 'before', hook));
  before.each = (hook: uvu.Callback<T>): void => inner.before.each(watchHook(name, 'before.each', hook));
  const after = (hook: uvu.Callback<T>): void => inner.after(watchHook(name, 'after', hook));
  after.each = (hook: uvu.Callback<T>): void => inner.after.each(watchHook(name, 'after.each', hook));
  outer.before = before;
  outer.after = after;
  outer.only = (testName: string, handler: uvu.Callback<T>): void => {
    emit({ type: 'problem', message: `test.only("${testName}") hides the other tests of ${describe(name)}` });
    inner.only(testName, watchTest(testName, handler));
  };
  outer.skip = (testName?: string, handler?: uvu.Callback<T>): void => {
    emit({ type: 'skip', suite: name, test: testName ?? '' });
    inner.skip(testName, handler);
  };
  outer.run = (): void => {
    emit({ type: 'suite', suite: name, tests: entry.pending });
    entry.pending = 0;
    inner.run();
  };
  return outer;
}
