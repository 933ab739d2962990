/**
 * What a person sees of a run: one line per file as it ends, on a terminal also what is running now,
 * then every failure whole, and one closing line that machines read too.
 */
import { styleText } from 'node:util';
import type { Outcome } from './outcome.ts';

export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The last line of every run. */
export function closingLine({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}

export class Reporter {
  readonly #out: NodeJS.WriteStream;
  readonly #total: number;
  readonly #outcomes: Outcome[] = [];
  readonly #running = new Map<string, string | undefined>();
  #statusShown = false;

  constructor(total: number, out: NodeJS.WriteStream = process.stdout) {
    this.#total = total;
    this.#out = out;
  }

  /** A file is running; `test` is the test in progress when known. */
  progress(file: string, test: string | undefined): void {
    this.#running.set(file, test);
    this.#showStatus();
  }

  finished(outcome: Outcome): void {
    this.#running.delete(outcome.file);
    this.#outcomes.push(outcome);
    const seconds = `${(outcome.durationMs / 1000).toFixed(1)} s`;
    const missing = outcome.missingFeatures.map((name) => `  SKIPPED: needs ${name}`).join('');
    const mark = outcome.failed > 0 ? this.#style('red', 'FAIL') : this.#style('green', 'ok  ');
    this.#print(`${mark} ${outcome.file}  ${closingLine(outcome)}  ${seconds}${this.#style('yellow', missing)}`);
    this.#showStatus();
  }

  /** A line of its own about the run. */
  note(text: string): void {
    this.#print(text);
  }

  /** Prints the failures and the closing line; returns the totals. */
  close(): Totals {
    const failures = this.#outcomes.filter((outcome) => outcome.failed > 0);
    for (const failure of failures) {
      this.#print(`\n${this.#style('red', `FAIL ${failure.file}`)}`);
      for (const problem of failure.problems) this.#print(`  ${problem}`);
      const output = failure.output.trim();
      if (output !== '') this.#print(output.replace(/^/gm, '  | '));
    }
    const sum = (key: keyof Totals): number => this.#outcomes.reduce((total, outcome) => total + outcome[key], 0);
    const totals = { passed: sum('passed'), failed: sum('failed'), skipped: sum('skipped') };
    this.#print(`\n${closingLine(totals)}`);
    return totals;
  }

  #showStatus(): void {
    if (!this.#out.isTTY || this.#running.size === 0) return;
    const now = [...this.#running].map(([file, test]) => (test === undefined ? file : `${file} > ${test}`)).join(', ');
    const status = `[${this.#outcomes.length}/${this.#total}] ${now}`.slice(0, this.#out.columns - 1);
    this.#out.write(`\r\u001b[K${this.#style('dim', status)}`);
    this.#statusShown = true;
  }

  #print(line: string): void {
    if (this.#statusShown) this.#out.write('\r\u001b[K');
    this.#statusShown = false;
    this.#out.write(`${line}\n`);
  }

  /** Colour only on a terminal, and not with NO_COLOR. */
  #style(style: 'red' | 'green' | 'yellow' | 'dim', text: string): string {
    return text === '' ? text : styleText(style, text, { stream: this.#out });
  }
}
