/**
 * `hack/bench`: the outer half. Reads the command line, compiles what is missing, runs the inner
 * half (inside.ts) in a private node, and prints the report. Data to stdout, progress to stderr.
 */
import { parseArgs } from 'node:util';
import type { Programs } from './bench.ts';
import type { InsideOptions } from './inside.ts';
import { runInLab } from './lab-node.ts';
import { type Measurement, parseMeasurements, SIDES, type Side } from './measurement.ts';
import { ALL, BENCHMARK_NAMES, type BenchmarkName, LAB_NAMES } from './names.ts';
import { table } from './output.ts';
import { runInPrivateNode } from './private-node.ts';
import { cacheFolder, compiled } from './programs.ts';

const USAGE = `usage: hack/bench NAME... [--json] [--runs N] [--sides LIST] [--sources] [--lab]
  NAME          ${BENCHMARK_NAMES.join(', ')}, or all
  --json        print the measurements as JSON, and nothing else, on stdout
  --runs N      samples of each value (40)
  --sides LIST  who is measured, of ${SIDES.join(',')} (all of them)
  --sources     run the agent from the checkout's sources and not from the release
  --lab         boot the lab and measure in it what needs its devices (${LAB_NAMES.join(', ')})
What they measure, and how to read it: docs/benchmarks.md`;

const ROOT = `${import.meta.dirname}/../..`;
const DEFAULT_RUNS = '40';
const MOST_RUNS = 10_000;

class UsageError extends Error {}

interface Options {
  readonly names: readonly BenchmarkName[];
  readonly json: boolean;
  readonly runs: number;
  readonly sides: readonly Side[];
  readonly sources: boolean;
  readonly lab: boolean;
}

function parse(argv: readonly string[]): Options | 'help' {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      help: { type: 'boolean', short: 'h' },
      json: { type: 'boolean', default: false },
      runs: { type: 'string', default: DEFAULT_RUNS },
      sides: { type: 'string', default: SIDES.join(',') },
      sources: { type: 'boolean', default: false },
      lab: { type: 'boolean', default: false },
    },
  });
  if (values.help === true) return 'help';
  if (positionals.length === 0) throw new UsageError('name a benchmark');
  const runs = Number(values.runs);
  if (!Number.isInteger(runs) || runs < 1 || runs > MOST_RUNS) {
    throw new UsageError(`--runs ${values.runs}: not a number from 1 to ${MOST_RUNS}`);
  }
  const { json, sources, lab } = values;
  const all = lab ? LAB_NAMES : ALL;
  const names = (positionals.includes('all') ? all : positionals).map(benchmarkName);
  const elsewhere = lab ? names.find((name) => !LAB_NAMES.includes(name)) : undefined;
  if (elsewhere !== undefined) throw new UsageError(`--lab: ${elsewhere} has no part for the lab`);
  return { names, json, runs, sides: values.sides.split(',').map(side), sources, lab };
}

function benchmarkName(text: string): BenchmarkName {
  const name = BENCHMARK_NAMES.find((known) => known === text);
  if (name === undefined) throw new UsageError(`there is no benchmark "${text}"`);
  return name;
}

function side(text: string): Side {
  const name = SIDES.find((known) => known === text);
  if (name === undefined) throw new UsageError(`--sides: there is no side "${text}"`);
  return name;
}

function programs(sources: boolean): Programs {
  const release = `${cacheFolder()}/release`;
  return {
    berth: sources ? `${ROOT}/bin/berth` : `${release}/bin/berth`,
    shim: `${release}/dist/berth-shim`,
    peer: '/usr/lib/cni',
    spawn: compiled('spawn.c'),
    bare: compiled('bare.c', '-nostdlib'),
    empty: compiled('empty.c'),
    kernelWork: compiled('kernel-work.c'),
    responder: compiled('responder.c'),
    sandboxes: compiled('sandboxes.c'),
  };
}

/** Each benchmark has a node of its own, so that none meets what another has left. */
async function run(options: Options, signal: AbortSignal): Promise<void> {
  const { runs, sides, lab } = options;
  const measurements: Measurement[] = [];
  for (const name of options.names) {
    const inside: InsideOptions = { name, runs, sides, lab, programs: programs(options.sources) };
    const argv = [process.execPath, `${import.meta.dirname}/inside.ts`, JSON.stringify(inside)];
    const output = lab ? await runInLab(argv, signal) : await runInPrivateNode(argv, signal);
    measurements.push(...parseMeasurements(output));
  }
  process.stdout.write(options.json ? `${JSON.stringify(measurements, null, 2)}\n` : table(measurements));
}

async function main(): Promise<number> {
  const stop = new AbortController();
  let stoppedBy = 0;
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
    ['SIGHUP', 1],
  ] as const) {
    process.on(name, () => {
      stoppedBy = number;
      stop.abort();
    });
  }
  try {
    const options = parse(process.argv.slice(2));
    if (options === 'help') process.stdout.write(`${USAGE}\n`);
    else await run(options, stop.signal);
    return 0;
  } catch (error) {
    if (stoppedBy > 0) return 128 + stoppedBy;
    const message = error instanceof Error ? error.message : String(error);
    const usage = error instanceof UsageError || (error instanceof TypeError && 'code' in error);
    process.stderr.write(usage ? `hack/bench: ${message}\n${USAGE}\n` : `hack/bench: ${message}\n`);
    return usage ? 2 : 1;
  }
}

process.exitCode = await main();
