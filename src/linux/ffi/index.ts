/** System calls for the rest of `src/linux`. Only `libc.ts` knows koffi. */
export * from './errno.ts';
export * from './file.ts';
export { addressOf, checked } from './libc.ts';
export * from './namespace.ts';
export * from './poll.ts';
export { inFlightLimit, inPool, inPoolLater, poolState } from './pool.ts';
export * from './socket.ts';
