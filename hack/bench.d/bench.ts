/** What every benchmark is given, and what it is. */
import type { Measurement, Side } from './measurement.ts';
import type { Spawner } from './spawner.ts';

/** One benchmark: measures, and answers its rows. Throws when what it measures did not do its work. */
export type Benchmark = (bench: Bench) => Promise<Measurement[]>;

/** The private node and the tools in it. */
export interface Bench {
  readonly spawner: Spawner;
  /** Samples wanted of each value; a benchmark takes fewer where one sample is a lot of work. */
  readonly runs: number;
  readonly sides: readonly Side[];
  readonly programs: Programs;
  /** Network namespaces, bound to files: as a runtime makes them. */
  readonly sandboxes: readonly string[];
  /** Progress, for people. */
  say(line: string): void;
}

/** Paths of programs. */
export interface Programs {
  /** `bin/berth` of the release, or of the checkout. */
  readonly berth: string;
  readonly shim: string;
  /** Folder of the reference CNI plugins. */
  readonly peer: string;
  readonly spawn: string;
  /** Ends at once, without a C library. */
  readonly bare: string;
  /** Ends at once; an ordinary static program. */
  readonly empty: string;
  readonly kernelWork: string;
  readonly responder: string;
  readonly sandboxes: string;
}

/** Fails a benchmark when something measured did not succeed: a failure is often the fastest answer. */
export class BenchError extends Error {
  override readonly name = 'BenchError';
}
