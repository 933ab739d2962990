/*
 * Executes an IPAM program in the runtime's place: in its mounts, network, environment and limits,
 * which the agent has not. The agent says which one and with what input; this only does it, within
 * bounds, and tells what came of it.
 */
#ifndef BERTH_DELEGATE_H
#define BERTH_DELEGATE_H

#include <stdbool.h>
#include <stddef.h>

/* Set in the environment of every program executed here, so that the shim cannot execute itself. */
#define DELEGATED_VARIABLE "BERTH_DELEGATED"

/*
 * Does what the payload of an execute frame asks for, and sends the result on the agent's socket.
 * `deadline` is in milliseconds of the monotonic clock. Answers 1 when the conversation goes on, 0
 * when the agent has ended, or -errno; the program has ended in every case.
 */
long delegate(long agent, char *payload, size_t length, long deadline);

/* An IPAM program's name: of the alphabet of names in CNI, so never a path. */
bool valid_program_name(const char *name, size_t length);

#endif
