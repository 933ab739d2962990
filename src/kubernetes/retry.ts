/**
 * Trying again what the API server did not take: with growing pauses of random length, so that the
 * nodes of a cluster do not come back together, and with the pause that the server asked for.
 */
import type { Clock } from '../engine/clock.ts';
import type { Logger } from '../engine/logger.ts';
import { type ApiError, apiErrorOf } from './api-error.ts';

const FIRST_MS = 1000;
/** What a person has to mend first: whoever applies the definition together with the agent just has done it. */
const FIRST_FOR_PERSON_MS = 15_000;
const LIMIT_MS = 300_000;

export interface RetryOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** From 0 to less than 1. */
  readonly random: () => number;
}

/** How a piece of work stands with the API server, for `berth status`. */
export interface Standing {
  /** Why the newest attempt failed; absent when it went well. */
  readonly problem?: string;
  readonly attempts: number;
}

export class Retry {
  readonly #options: RetryOptions;
  #failures = 0;
  #attempts = 0;
  #problem: ApiError | undefined;

  constructor(options: RetryOptions) {
    this.#options = options;
  }

  get standing(): Standing {
    return {
      attempts: this.#attempts,
      ...(this.#problem === undefined ? {} : { problem: `${this.#problem.message} [${this.#problem.reason}]` }),
    };
  }

  /** Tries until it goes well (true) or the signal aborts (false). Never throws. */
  async until(what: string, signal: AbortSignal, attempt: () => Promise<void>): Promise<boolean> {
    while (!signal.aborted) {
      this.#attempts += 1;
      try {
        await attempt();
        if (this.#problem !== undefined) this.#options.log.info({ what }, 'the API server takes it again');
        this.#failures = 0;
        this.#problem = undefined;
        return true;
      } catch (error) {
        if (signal.aborted) return false;
        await this.#options.clock.delay(this.#failed(what, apiErrorOf(what, error)), signal);
      }
    }
    return false;
  }

  /** Answers the pause before the next attempt, in milliseconds. */
  #failed(what: string, error: ApiError): number {
    const isNew = this.#problem?.reason !== error.reason;
    const line = { what, reason: error.reason, problem: error.message, remedy: error.remedy };
    if (isNew) this.#options.log.warn(line, 'the API server did not take it; it is tried again');
    else this.#options.log.debug(line, 'the API server did not take it again');
    this.#problem = error;
    const first = error.needsPerson ? FIRST_FOR_PERSON_MS : FIRST_MS;
    const grown = Math.min(LIMIT_MS, first * 2 ** this.#failures);
    this.#failures += 1;
    const pauseMs = Math.round(grown * (0.5 + this.#options.random() / 2));
    return Math.max(pauseMs, Math.min(error.retryAfterMs ?? 0, LIMIT_MS));
  }
}
