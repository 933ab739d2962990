/** The CNI server's `PeerSocket` over what `src/linux` can read from a unix socket. */
import { type FirstBytes, type PeerSocket, REQUEST_TIMEOUT_MS } from '../cni/index.ts';
import {
  type FirstMessage,
  peerCredentials,
  receiveNow,
  receiveWithDescriptors,
  sendNow,
} from '../linux/peer-socket.ts';

export const peerSocket: PeerSocket = {
  credentials: peerCredentials,
  sendNow,
  receiveNow: (socket) => {
    const message = receiveNow(socket);
    return message === undefined ? undefined : firstBytes(message);
  },
  // How long a peer may be silent is the server's to say, by the signal.
  receive: async (socket, signal) =>
    firstBytes(await receiveWithDescriptors(socket, { signal, timeoutMs: REQUEST_TIMEOUT_MS })),
};

/** `undefined` when the peer has closed. */
function firstBytes({ bytes, descriptors: [fd] }: FirstMessage): FirstBytes | undefined {
  if (bytes.length === 0) return undefined;
  return fd === undefined ? { bytes } : { bytes, fd };
}
