/** A process without a terminal, for tests of commands that need none. */
import type { Terminal } from '../../src/cli/port.ts';

export const noTerminal: Terminal = {
  isInteractive: false,
  size: () => ({ columns: 80, rows: 24 }),
  write: () => undefined,
  open: () => {
    throw new Error('the terminal was not asked for');
  },
};
