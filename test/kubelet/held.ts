/** What the test's process holds: descriptors, sockets, listening handles. */
import { readdirSync, readlinkSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';

export interface Held {
  readonly descriptors: number;
  readonly sockets: number;
  /** Listening or connected handles and timers that Node knows of. */
  readonly handles: Readonly<Record<string, number>>;
}

function held(): Held {
  const targets = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch (error) {
      // The descriptor of the listing itself.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
      throw error;
    }
  });
  const handles: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) {
    if (kind.startsWith('Pipe') || kind.startsWith('FSEvent')) handles[kind] = (handles[kind] ?? 0) + 1;
  }
  return {
    descriptors: targets.length,
    sockets: targets.filter((target) => target.startsWith('socket:')).length,
    handles,
  };
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));

/** What is held once it does not change any more: ends of connections close a few turns of the event loop later. */
export async function steady(): Promise<Held> {
  let last = held();
  for (let same = 0; same < 10; same++) {
    await nextTurn();
    const now = held();
    if (!isDeepStrictEqual(now, last)) same = 0;
    last = now;
  }
  return last;
}
