/** The benchmarks' names, apart from what they load: the command line needs only these. */
export const BENCHMARK_NAMES = ['cni', 'shim', 'discovery', 'agent', 'events', 'kubelet'] as const;
export type BenchmarkName = (typeof BENCHMARK_NAMES)[number];
