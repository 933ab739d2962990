/**
 * Test files in a machine of their own, one after the other. Not here: what the machine is (`lab.ts`)
 * and how a file is executed (`execute.ts`).
 */
import type { TestFile } from './discover.ts';
import type { Outcome } from './outcome.ts';

/** A virtual machine as the runner needs it. */
export interface Machine {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Whether it still runs programs. */
  answers(): Promise<boolean>;
}

export interface MachineRun {
  readonly execute: (file: TestFile) => Promise<Outcome>;
  readonly finished: (outcome: Outcome) => void;
  /** A line for the person who looks on. */
  readonly note: (text: string) => void;
}

/**
 * Executes the files in a started machine. One that stands still, as an emulated machine does that
 * lost the interrupt of its clock, fails every file from then on: so after a failure it is asked for
 * a sign of life, and without one a fresh machine takes its place and the file gets one more try.
 * Rejects when the fresh one does not start.
 */
export async function runInMachine(machine: Machine, files: readonly TestFile[], run: MachineRun): Promise<void> {
  for (const file of files) {
    const outcome = await run.execute(file);
    if (outcome.failed === 0 || (await machine.answers())) {
      run.finished(outcome);
      continue;
    }
    run.note(`     ${file.file}: the machine stands still; a fresh one takes its place, and the file is run once more`);
    await machine.stop();
    await machine.start();
    run.finished(await run.execute(file));
  }
}
