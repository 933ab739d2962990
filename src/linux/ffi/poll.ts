/** Waiting for descriptors, and being woken: `poll` and `eventfd`. */
import { checked, declare } from './libc.ts';

/** poll.h */
const POLLIN = 0x001;
const POLLERR = 0x008;
/** Bytes of struct pollfd: fd, events, revents. */
const POLLFD_BYTES = 8;

/** sys/eventfd.h */
const EFD_CLOEXEC = 0o2000000;
const EFD_NONBLOCK = 0o4000;

const pollCall = declare('int poll(uint8_t *fds, unsigned long count, int timeout)');
const eventfdCall = declare('int eventfd(unsigned int value, int flags)');

/**
 * Waits on a thread of its own choosing, outside the bounded queue, until one of the descriptors
 * is readable or `timeoutMs` (-1: for ever) is over. Answers the readable ones. The thread stays
 * taken all the while, and the process cannot end before it returns: the caller needs a
 * descriptor that wakes it.
 */
export async function waitReadable(descriptors: readonly number[], timeoutMs: number): Promise<readonly number[]> {
  const set = Buffer.alloc(descriptors.length * POLLFD_BYTES);
  for (const [i, fd] of descriptors.entries()) {
    set.writeInt32LE(fd, i * POLLFD_BYTES);
    set.writeInt16LE(POLLIN, i * POLLFD_BYTES + 4);
  }
  checked(await pollCall.detached(set, descriptors.length, timeoutMs), 'descriptors.poll');
  return descriptors.filter((_, i) => (set.readInt16LE(i * POLLFD_BYTES + 6) & (POLLIN | POLLERR)) !== 0);
}

/** A new eventfd, not blocking, closed at exec; writing eight bytes makes it readable. */
export function eventDescriptor(): number {
  return checked(eventfdCall.now(0, EFD_CLOEXEC | EFD_NONBLOCK), 'descriptor.eventfd');
}
