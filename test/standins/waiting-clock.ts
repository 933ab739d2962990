/** Real time that, unlike the agent's clock, keeps the process alive while something waits for it. */
import type { Clock } from '../../src/engine/clock.ts';

export const waitingClock: Clock = {
  now: () => new Date(),
  delay: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};
