/** A `PeerSocket` of Node's own means: for tests that need no descriptor. What the shim passes is dropped by the kernel. */
import type { Socket } from 'node:net';
import type { FirstBytes, PeerSocket } from '../../src/cni/index.ts';

export interface PlainPeers extends PeerSocket {
  /** What `credentials` tells; the tests' own user unless changed. */
  uid: number;
}

export function plainPeers(): PlainPeers {
  return {
    uid: process.getuid?.() ?? 0,
    credentials() {
      return { pid: process.pid, uid: this.uid, gid: 0 };
    },
    // Everything through the stream.
    sendNow: () => 0,
    receiveNow: () => undefined,
    receive: (socket, signal) =>
      new Promise<FirstBytes | undefined>((resolve, reject) => {
        const settle = (finish: () => void): void => {
          socket.off('readable', onReadable);
          socket.off('close', onClose);
          signal.removeEventListener('abort', onAbort);
          finish();
        };
        const onReadable = (): void => {
          const bytes = readByte(socket);
          if (bytes !== undefined) settle(() => resolve({ bytes }));
        };
        const onClose = (): void => settle(() => resolve(undefined));
        const onAbort = (): void => settle(() => reject(signal.reason));
        if (signal.aborted) onAbort();
        socket.on('readable', onReadable);
        socket.on('close', onClose);
        signal.addEventListener('abort', onAbort, { once: true });
      }),
  };
}

/** One only, so that the stream has the rest. */
function readByte(socket: Socket): Buffer | undefined {
  const chunk: unknown = socket.read(1);
  return Buffer.isBuffer(chunk) ? chunk : undefined;
}
