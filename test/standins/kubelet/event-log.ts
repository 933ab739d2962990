/** What happened, in order, and a way to wait for it. */
import type { KubeletEvent } from './model.ts';

export class EventLog {
  readonly events: KubeletEvent[] = [];
  readonly #waiting = new Set<() => void>();

  add(event: string, fields: Omit<KubeletEvent, 'event'> = {}): void {
    this.events.push({ event, ...fields });
    this.changed();
  }

  /** Something that waiting conditions may look at has changed. */
  changed(): void {
    for (const look of [...this.#waiting]) look();
  }

  /** Resolves once the condition holds; looked at after every event and change. */
  until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
      };
      const look = (): void => {
        if (!condition()) return;
        done();
        resolve();
      };
      const timer = setTimeout(() => {
        done();
        const last = this.events.slice(-20).map(({ event, resource }) => `${event} ${resource ?? ''}`);
        reject(new Error(`kubelet waited in vain for ${what}; last events: ${last.join(', ')}`));
      }, timeoutMs);
      this.#waiting.add(look);
      look();
    });
  }
}
