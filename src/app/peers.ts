/** The CNI server's `PeerSocket` over what `src/linux` can read from a unix socket. */
import { type PeerSocket, REQUEST_TIMEOUT_MS } from '../cni/index.ts';
import { peerCredentials, receiveWithDescriptors, sendNow } from '../linux/peer-socket.ts';

export const peerSocket: PeerSocket = {
  credentials: peerCredentials,
  sendNow,
  receive: async (socket, signal) => {
    // How long a peer may be silent is the server's to say, by the signal.
    const { bytes, descriptors } = await receiveWithDescriptors(socket, { signal, timeoutMs: REQUEST_TIMEOUT_MS });
    const [fd] = descriptors;
    if (bytes.length === 0) return undefined;
    return fd === undefined ? { bytes } : { bytes, fd };
  },
};
