/** Something changed: raised as often as one likes, looked at by one who waits. */
export class ChangeFlag {
  #raised: boolean;
  #wake: (() => void) | undefined;

  constructor(raised: boolean) {
    this.#raised = raised;
  }

  raise(): void {
    this.#raised = true;
    this.#wake?.();
  }

  /** Resolves when it is raised or the signal aborts, and lowers it. */
  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#raised && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          signal.removeEventListener('abort', wake);
          this.#wake = undefined;
          resolve();
        };
        this.#wake = wake;
        signal.addEventListener('abort', wake, { once: true });
      });
    }
    this.#raised = false;
  }
}
