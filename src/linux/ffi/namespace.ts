/** Entering a network namespace for the length of one synchronous section. */
import { writeSync } from 'node:fs';
import { errnoName } from './errno.ts';
import { checked, declare } from './libc.ts';

/** linux/sched.h */
export const CLONE_NEWNET = 0x40000000;

const setnsCall = declare('int setns(int fd, int type)');
const exitCall = declare('int _exit(int status)');

/**
 * Runs `section` with this thread inside the namespace of descriptor `inside` and returns to
 * `home`. `section` is synchronous by type: an `await` inside would resume in another namespace.
 * When the way back fails, every later call of the process would be in a foreign namespace, so the
 * process ends at once (exit code 70).
 */
export function insideNamespace<T>(
  inside: number,
  home: number,
  section: () => T extends PromiseLike<unknown> ? never : T,
): T {
  checked(setnsCall.now(inside, CLONE_NEWNET), 'namespace.enter', `descriptor ${inside}`);
  try {
    return section();
  } finally {
    const back = setnsCall.now(home, CLONE_NEWNET);
    if (back < 0) {
      writeSync(2, `berth: cannot leave a sandbox's network namespace (${errnoName(-back)}); ending at once\n`);
      // Not process.exit: that would run handlers, in the wrong namespace.
      exitCall.now(70);
    }
  }
}
