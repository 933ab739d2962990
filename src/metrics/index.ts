/** The metrics' public face. */
export { createMetrics, type Metrics } from './metrics.ts';
export type { CallMeasurement, LoopMeasurement, MetricSources } from './port.ts';
