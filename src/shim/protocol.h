/*
 * The protocol between the shim and the agent, version 1, as constants. protocol.md describes it;
 * src/cni/protocol.ts is the agent's side.
 */
#ifndef BERTH_PROTOCOL_H
#define BERTH_PROTOCOL_H

#define PROTOCOL_VERSION 1

/* Frame: one byte type, four bytes length of the payload (big-endian), payload. */
#define FRAME_HEADER 5
#define FRAME_REQUEST 1
#define FRAME_REPLY 2

/* Section of a request's payload: one byte tag, four bytes length (big-endian), bytes. */
#define SECTION_HEADER 5
#define SECTION_ENV 1
#define SECTION_ARGV0 2
#define SECTION_NETNS_ERRNO 3
#define SECTION_STDIN 4

/* Limits, in bytes. src/cni/protocol.ts has the same. */
#define MAX_STDIN (16u << 20)
#define MAX_ENV (256u << 10)
#define MAX_REPLY (4u << 20)

/* CNI error codes (CNI specification 1.1.0, section "Error"). */
#define CNI_BAD_ENVIRONMENT 4
#define CNI_IO 5
#define CNI_TRY_AGAIN 11
#define CNI_NOT_AVAILABLE 50

#endif
