/** A clock whose pauses are short and whose time is told: tests of what comes after what, not of how long. */
export class QuickClock {
  readonly pauses: number[] = [];
  #now = Date.parse('2026-01-01T00:00:00Z');

  now(): Date {
    return new Date(this.#now);
  }

  pass(ms: number): void {
    this.#now += ms;
  }

  async delay(ms: number, signal?: AbortSignal): Promise<void> {
    this.pauses.push(ms);
    if (signal?.aborted === true) return;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
