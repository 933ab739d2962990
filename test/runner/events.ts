/**
 * How a test file tells the runner what happened: lines on standard output that begin with a record
 * separator and a nonce, so that nothing a test prints by itself can be taken for one. The channel is
 * the output, not a descriptor, because it has to come through `hack/lab exec` unchanged.
 *
 * Run a file without the runner (`node test/x.test.ts`) and `emit` does nothing.
 * To see the raw events: `BERTH_TEST_NONCE=x node test/runner/child.ts FILE`.
 */

/** Environment variable that carries the nonce to the child; without it no events are sent. */
export const NONCE_VARIABLE = 'BERTH_TEST_NONCE';

/** What a test file reports, in the order it happens. */
export type TestEvent =
  /** `test.run()` was called for a suite with that many tests. */
  | { readonly type: 'suite'; readonly suite: string; readonly tests: number }
  | { readonly type: 'start'; readonly suite: string; readonly test: string }
  | { readonly type: 'pass' }
  | { readonly type: 'fail' }
  | { readonly type: 'skip'; readonly suite: string; readonly test: string }
  /** A kernel feature that is missing here; the file skips what needs it. */
  | { readonly type: 'missing-feature'; readonly name: string }
  /** Something the file does that is never right: a throwing hook, `test.only`, a suite never run. */
  | { readonly type: 'problem'; readonly message: string }
  /** The whole file was executed. A file that exits without this event did not finish. */
  | { readonly type: 'done'; readonly passed: number; readonly failed: number; readonly skipped: number };

const SEPARATOR = '\u001e';
const nonce = process.env[NONCE_VARIABLE];
const write = process.stdout.write.bind(process.stdout);

/** Sends one event to the runner, if there is one. Synchronous on pipes, so nothing is lost on exit. */
export function emit(event: TestEvent): void {
  if (nonce === undefined) return;
  write(`${SEPARATOR}${nonce}${JSON.stringify(event)}${SEPARATOR}\n`);
}

/** Takes a child's output apart into events and what the file printed itself. */
export class EventReader {
  readonly #prefix: string;
  readonly #onEvent: (event: TestEvent) => void;
  #pending = '';

  constructor(childNonce: string, onEvent: (event: TestEvent) => void) {
    this.#prefix = `${SEPARATOR}${childNonce}`;
    this.#onEvent = onEvent;
  }

  /** Feeds a piece of output; returns the part of it that is plain text and complete. */
  push(chunk: string): string {
    this.#pending += chunk;
    let text = '';
    for (;;) {
      const begin = this.#pending.indexOf(SEPARATOR);
      if (begin === -1) break;
      text += this.#pending.slice(0, begin);
      this.#pending = this.#pending.slice(begin);
      const end = this.#pending.indexOf(`${SEPARATOR}\n`, 1);
      if (end === -1) return text;
      const body = this.#pending.slice(0, end);
      if (body.startsWith(this.#prefix)) {
        this.#onEvent(JSON.parse(body.slice(this.#prefix.length)) as TestEvent);
        this.#pending = this.#pending.slice(end + 2);
      } else {
        text += SEPARATOR;
        this.#pending = this.#pending.slice(1);
      }
    }
    text += this.#pending;
    this.#pending = '';
    return text;
  }

  /** The rest of the output, once the child has closed it. */
  end(): string {
    const rest = this.#pending;
    this.#pending = '';
    return rest;
  }
}
