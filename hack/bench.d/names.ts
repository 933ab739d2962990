/** The benchmarks' names, apart from what they load: the command line needs only these. */
export const BENCHMARK_NAMES = [
  'cni',
  'shim',
  'discovery',
  'agent',
  'events',
  'kubelet',
  'cycles',
  'page',
  'rest',
] as const;
export type BenchmarkName = (typeof BENCHMARK_NAMES)[number];
const APART: readonly BenchmarkName[] = ['shim', 'cycles', 'page', 'rest'];
/** What `all` stands for: `cni` has the rows of `shim`, `cycles` and `rest` take minutes, `page` takes a browser. */
export const ALL: readonly BenchmarkName[] = BENCHMARK_NAMES.filter((name) => !APART.includes(name));
/** Those with a part for `--lab`, which measures what needs the lab's devices and modules. */
export const LAB_NAMES: readonly BenchmarkName[] = ['cni'];
