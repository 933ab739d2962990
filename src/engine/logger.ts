/**
 * How the engine and the front ends speak to the log. It is what `pino` loggers already are, so the
 * application passes one of those; tests pass {@link silentLogger} or a recording object.
 */

/** Fields first, so that a line can be searched by them; the message is a constant text without values. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Drops every line. */
export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
