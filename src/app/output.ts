/** The process's own stdout and stderr, for the commands. */
import type { Output } from '../cli/port.ts';

/** As a shell reports a program that SIGPIPE ended. */
const STATUS_OF_A_CLOSED_PIPE = 141;

/**
 * Whoever reads the output may stop at any time (`berth inventory | head`): that ends the process
 * without a word, as other programs end by SIGPIPE, which Node.js ignores.
 */
export function processOutput(): Output {
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code === 'EPIPE') process.exit(STATUS_OF_A_CLOSED_PIPE);
    process.stderr.write(`berth: the output cannot be written: ${code ?? message}\n`);
    process.exit(1);
  });
  // There is nobody left to tell.
  process.stderr.on('error', () => process.exit(1));
  return {
    out: (text) => process.stdout.write(text),
    err: (text) => process.stderr.write(text),
    color: process.stdout.isTTY === true && !process.env['NO_COLOR'],
    now: () => new Date(),
  };
}
