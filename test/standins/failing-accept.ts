/** The kernel refuses a socket of this process a connection: it is out of memory or of descriptors. */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';

/**
 * The server that `work` asks something meets a failing accept with its first request. Throws what
 * the server throws when nobody listens for such an error, which otherwise ends the process.
 */
export async function withFailingAccept(work: () => Promise<unknown>): Promise<void> {
  const channel = 'http.server.request.start';
  let server: Server | undefined;
  const remember = (message: unknown): void => {
    ({ server } = message as { readonly server: Server });
  };
  subscribe(channel, remember);
  try {
    await work();
  } finally {
    unsubscribe(channel, remember);
  }
  if (server === undefined) throw new Error('no server was asked');
  // Twice: a listener that was made for the start hears one.
  for (const code of ['ENOMEM', 'ENOBUFS']) server.emit('error', Object.assign(new Error(`accept ${code}`), { code }));
}
