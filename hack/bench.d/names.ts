/** The benchmarks' names, apart from what they load: the command line needs only these. */
export const BENCHMARK_NAMES = ['cni', 'shim', 'discovery', 'agent', 'events', 'kubelet'] as const;
export type BenchmarkName = (typeof BENCHMARK_NAMES)[number];
/** What `all` stands for: `cni` has the rows of `shim`. */
export const ALL: readonly BenchmarkName[] = BENCHMARK_NAMES.filter((name) => name !== 'shim');
