/** The lines of a network definition's own log (`logFile`, `logLevel`), as the Go plugins let its author have one. */
import type { CniObservation } from './handler.ts';

/** As sriov-cni has them, from fewest lines to most. */
const LEVELS = ['panic', 'error', 'warning', 'info', 'debug'] as const;
type Level = (typeof LEVELS)[number];

/** What a call adds to the log of its network; lines with their newlines, empty when the level says so. */
export function networkLogLines(
  fields: Readonly<Record<string, unknown>>,
  observation: CniObservation,
  now: Date,
): string {
  const wanted = levelOf(fields.logLevel);
  const { command, key, kind, code, error, requestId, durationsMs } = observation;
  const level: Level = error === undefined ? 'info' : 'error';
  const written = (of: Level): boolean => LEVELS.indexOf(of) <= LEVELS.indexOf(wanted);
  const common = { time: now.toISOString(), request: requestId, command, network: fields.name, ...key };
  const lines: unknown[] = [];
  if (written('debug')) lines.push({ ...common, level: 'debug', configuration: fields });
  if (written(level)) {
    lines.push({
      ...common,
      level,
      ...(kind === undefined ? {} : { kind }),
      ...(error === undefined ? {} : { code, reason: error.reason, error: error.message }),
      durationMs: Math.round(durationsMs.total * 10) / 10,
    });
  }
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Where the definition wants its log; `undefined` without one. */
export function logFileOf(fields: Readonly<Record<string, unknown>>): string | undefined {
  return typeof fields.logFile === 'string' && fields.logFile !== '' ? fields.logFile : undefined;
}

/** A level that nobody knows is no reason to fail a call. */
function levelOf(text: unknown): Level {
  return LEVELS.find((level) => level === text) ?? 'info';
}
