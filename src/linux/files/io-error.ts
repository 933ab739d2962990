/** A failed file operation as the engine's error. */
import { BerthError } from '../../engine/errors.ts';

/** `Io` with the errno's name and the path that `what` names; an error that is ours already stays as it is. */
export function ioError(error: unknown, reason: string, what: string, remedy: string): BerthError {
  if (error instanceof BerthError) return error;
  const errno = errnoOf(error);
  return new BerthError({
    code: 'Io',
    reason,
    message: `${what} failed: ${error instanceof Error ? error.message : String(error)}`,
    remedy,
    cause: error,
    ...(errno === undefined ? {} : { errno }),
  });
}

/** `EEXIST`, `ENOENT` ... of an error that Node's fs threw. */
export function errnoOf(error: unknown): string | undefined {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}
