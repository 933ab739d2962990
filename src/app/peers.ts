/** The CNI server's `PeerSocket` over what `src/linux` can read from a unix socket. */
import type { PeerSocket } from '../cni/index.ts';
import { peerCredentials, receiveWithDescriptors } from '../linux/peer-socket.ts';

export const peerSocket: PeerSocket = {
  credentials: peerCredentials,
  receive: async (socket, signal) => {
    const { bytes, descriptors } = await receiveWithDescriptors(socket, { signal });
    const [fd] = descriptors;
    if (bytes.length === 0) return undefined;
    return fd === undefined ? { bytes } : { bytes, fd };
  },
};
