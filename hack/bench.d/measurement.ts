/**
 * What a benchmark reports, and how samples become one number. Pure: no clock, no process.
 * A row's shape is public (`hack/bench --json`), so that other tools can read it.
 */

/** One row of the report. What does not apply is `null`, so that every row has every field. */
export interface Measurement {
  /** `<benchmark>.<what>`, for example `cni.macvlan.add`. */
  readonly name: string;
  /** `percent` is of one processor. */
  readonly unit: 'ms' | 'us' | 'MiB' | 'count' | 'percent';
  /** Berth's value: the median of its samples, or the percentile that the name ends in. */
  readonly berth: number | null;
  /** The same of the program that people use today, taken in the same run. */
  readonly peer: number | null;
  /** The same of the least that could do the work. */
  readonly limit: number | null;
  /** berth / peer: 0.2 is a fifth of the peer's. */
  readonly ratioPeer: number | null;
  /** berth / limit: 1 is the limit itself. */
  readonly ratioLimit: number | null;
  /** Samples behind each value. */
  readonly runs: number;
}

/** Who is measured; a comparison may leave some out. */
export const SIDES = ['berth', 'peer', 'limit'] as const;
export type Side = (typeof SIDES)[number];

/** Samples by side, all in the measurement's unit. Sides without any are not part of the comparison. */
export type Samples = Partial<Record<Side, readonly number[]>>;

/**
 * The `share` quantile (0 to 1) by linear interpolation between the two nearest samples; 0.5 is the
 * median. Throws when there is no sample: an absent value must not look like a fast one.
 */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)];
  const above = sorted[Math.ceil(at)];
  if (below === undefined || above === undefined) throw new Error('a quantile of no samples');
  return below + (above - below) * (at - Math.floor(at));
}

/** One row out of the samples of each side. Values keep four significant digits. */
export function measurement(
  name: string,
  unit: Measurement['unit'],
  samples: Samples,
  options: { readonly share?: number } = {},
): Measurement {
  const value = (side: Side): number | null => {
    const taken = samples[side];
    return taken === undefined || taken.length === 0 ? null : quantile(taken, options.share ?? 0.5);
  };
  const [berth, peer, limit] = [value('berth'), value('peer'), value('limit')];
  return {
    name,
    unit,
    berth: rounded(berth),
    peer: rounded(peer),
    limit: rounded(limit),
    ratioPeer: rounded(ratio(berth, peer)),
    ratioLimit: rounded(ratio(berth, limit)),
    runs: Math.max(...SIDES.map((side) => samples[side]?.length ?? 0)),
  };
}

/** The median under `name`, and how bad it gets under `<name>.p90`. */
export function medianAndTail(name: string, unit: Measurement['unit'], samples: Samples): Measurement[] {
  return [measurement(name, unit, samples), measurement(`${name}.p90`, unit, samples, { share: 0.9 })];
}

function ratio(value: number | null, base: number | null): number | null {
  return value === null || base === null || base === 0 ? null : value / base;
}

function rounded(value: number | null): number | null {
  return value === null ? null : Number(value.toPrecision(4));
}

const UNITS: readonly string[] = ['ms', 'us', 'MiB', 'count', 'percent'] satisfies Measurement['unit'][];
const VALUES = ['berth', 'peer', 'limit', 'ratioPeer', 'ratioLimit'] as const;

/** Measurements out of JSON text; throws, naming the row and field, when one does not have the public shape. */
export function parseMeasurements(text: string): Measurement[] {
  const rows: unknown = JSON.parse(text);
  if (!Array.isArray(rows)) throw new TypeError('the measurements are not an array');
  return rows.map((row: unknown, i) => {
    const problem = problemOf(row);
    if (problem !== undefined) throw new TypeError(`measurement ${i}: ${problem}`);
    return row as Measurement;
  });
}

function problemOf(row: unknown): string | undefined {
  if (typeof row !== 'object' || row === null) return 'not an object';
  const fields = new Map(Object.entries(row));
  const name = fields.get('name');
  if (typeof name !== 'string' || !/^[a-z0-9]+(\.[a-z0-9]+)+$/.test(name)) return 'name is not of the form a.b';
  if (!UNITS.includes(String(fields.get('unit')))) return `unit is none of ${UNITS.join(', ')}`;
  const wrong = VALUES.find((key) => !(fields.get(key) === null || Number.isFinite(fields.get(key))));
  if (wrong !== undefined) return `${wrong} is neither a number nor null`;
  if (!Number.isInteger(fields.get('runs'))) return 'runs is not a whole number';
  const known = ['name', 'unit', ...VALUES, 'runs'];
  const extra = [...fields.keys()].find((key) => !known.includes(key));
  return extra === undefined ? undefined : `${extra} is not part of the shape`;
}
