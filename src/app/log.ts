/** The agent's log: one JSON line per event on stderr, where a supervisor or kubelet collects it. */
import { pino } from 'pino';
import type { Logger } from '../engine/logger.ts';

/** Written at once, so that the last lines before a crash are there. */
export function createLog(level: string): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}
