/** One call of the API server, bounded in time, whose failure says what was being done. */
import {
  type ConfigurationOptions,
  Observable,
  type ObservableMiddleware,
  type RequestContext,
} from '@kubernetes/client-node';
import { limitTime } from '../engine/cancellation.ts';
import { BerthError } from '../engine/errors.ts';
import { apiErrorOf } from './api-error.ts';

/** Time for one answer. */
export const CALL_MS = 15_000;

/** Ends with the signal, or after 15 s when nothing else is said. Throws {@link ApiError}. */
export async function callApi<T>(
  what: string,
  signal: AbortSignal,
  contentType: string | undefined,
  run: (options: ConfigurationOptions<ObservableMiddleware>) => Promise<T>,
  limitMs = CALL_MS,
): Promise<T> {
  const limit = limitTime(signal, limitMs, () => noAnswer(what, limitMs));
  const prepare = (context: RequestContext): Observable<RequestContext> => {
    context.setSignal(limit.signal);
    if (contentType !== undefined) context.setHeaderParam('Content-Type', contentType);
    return new Observable(Promise.resolve(context));
  };
  try {
    return await run({
      middleware: [{ pre: prepare, post: (response) => new Observable(Promise.resolve(response)) }],
      middlewareMergeStrategy: 'append',
    });
  } catch (error) {
    throw apiErrorOf(what, limit.signal.aborted ? limit.signal.reason : error);
  } finally {
    limit.end();
  }
}

/** The API server said nothing for so long. */
export function noAnswer(what: string, limitMs: number): BerthError {
  return new BerthError({
    code: 'Interrupted',
    reason: 'api-server-unreachable',
    message: `${what}: no answer for ${limitMs / 1000} s`,
  });
}
