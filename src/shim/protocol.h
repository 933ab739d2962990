/*
 * The protocol between the shim and the agent, version 2, as constants. protocol.md describes it;
 * src/cni/protocol.ts is the agent's side.
 */
#ifndef BERTH_PROTOCOL_H
#define BERTH_PROTOCOL_H

#define PROTOCOL_VERSION 2

/* Frame: one byte type, four bytes length of the payload (big-endian), payload. */
#define FRAME_HEADER 5
#define FRAME_REQUEST 1
#define FRAME_REPLY 2
/* From version 2 on: between request and reply the agent may ask, any number of times. */
#define FRAME_EXECUTE 3
#define FRAME_RESULT 4
#define FRAME_CANCEL 5

/* Section of a request's payload: one byte tag, four bytes length (big-endian), bytes. */
#define SECTION_HEADER 5
#define SECTION_ENV 1
#define SECTION_ARGV0 2
#define SECTION_NETNS_ERRNO 3
#define SECTION_STDIN 4
#define SECTION_PROGRAM 5
#define SECTION_TIME_LIMIT 6
#define SECTION_OUTCOME 7
#define SECTION_PATH 8
#define SECTION_OUTPUT 9
#define SECTION_ERRORS 10

/* How a program ended: the first four bytes of SECTION_OUTCOME; the next four are the value. */
#define OUTCOME_EXITED 0    /* exit status */
#define OUTCOME_SIGNALLED 1 /* signal */
#define OUTCOME_NOT_FOUND 2 /* no such program in CNI_PATH */
#define OUTCOME_REFUSED 3   /* errno: it could not be started */
#define OUTCOME_TIMED_OUT 4
#define OUTCOME_TOO_LONG 5  /* more output than MAX_OUTPUT */
#define OUTCOME_CANCELLED 6

/* Limits, in bytes. src/cni/protocol.ts has the same. */
#define MAX_STDIN (16u << 20)
#define MAX_ENV (256u << 10)
#define MAX_REPLY (4u << 20)
#define MAX_PROGRAM_NAME 100
#define MAX_OUTPUT (1u << 20)
#define MAX_ERRORS 4096

/* CNI error codes (CNI specification 1.1.0, section "Error"). */
#define CNI_BAD_ENVIRONMENT 4
#define CNI_IO 5
#define CNI_INVALID_CONFIG 7
#define CNI_TRY_AGAIN 11
#define CNI_NOT_AVAILABLE 50

#endif
