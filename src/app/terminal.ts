/** The terminal of this process, for `berth watch`. */
import type { Terminal } from '../cli/port.ts';

const ALTERNATE_SCREEN = '\u001b[?1049h\u001b[?25l';
const OWN_SCREEN = '\u001b[?25h\u001b[?1049l';

/** Ctrl-C is a key in raw mode; SIGINT may come from elsewhere. */
const ENDING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Raw input and the alternate screen between `open` and what it answers; also when the process is ended meanwhile. */
export function processTerminal(): Terminal {
  const { stdin, stdout } = process;
  return {
    isInteractive: stdin.isTTY === true && stdout.isTTY === true,
    // A terminal that was not told its size (a serial line, a fresh exec) says 0.
    size: () => ({ columns: stdout.columns || 80, rows: stdout.rows || 24 }),
    write: (text) => void stdout.write(text),
    open(onInput, onResize) {
      const close = (): void => {
        stdin.setRawMode(false);
        stdin.pause();
        stdin.off('data', onInput);
        stdout.off('resize', onResize);
        process.off('exit', close);
        for (const name of ENDING) process.off(name, onSignal);
        stdout.write(OWN_SCREEN);
      };
      const onSignal = (): void => process.exit(1);
      stdin.setRawMode(true);
      stdin.setEncoding('utf8').on('data', onInput).resume();
      stdout.on('resize', onResize);
      process.on('exit', close);
      for (const name of ENDING) process.on(name, onSignal);
      stdout.write(ALTERNATE_SCREEN);
      return close;
    },
  };
}
