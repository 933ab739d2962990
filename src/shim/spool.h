/*
 * The spool: DELs that arrived while the agent was away, one file each, for the agent to replay.
 * Format and rules: protocol.md, "The spool".
 */
#ifndef BERTH_SPOOL_H
#define BERTH_SPOOL_H

#include <stdbool.h>
#include <sys/uio.h>

#define SPOOL_FOLDER "/var/lib/berth/spool"
#define SPOOL_SCHEMA "1"
#define SPOOL_MAX_ENTRIES 4096
/* Of all entries together, in bytes. */
#define SPOOL_MAX_BYTES (64u << 20)

/* What failed, for the error's text. */
struct spool_failure {
	const char *doing;
	int error;
};

/*
 * Writes the frame durably as the entry of this container and interface, in place of an older one
 * of the same name. On success `name` is the entry's file name. The two ids are checked here.
 */
bool spool_write(const char *folder, const char *container_id, const char *ifname, const struct iovec *frame,
                 int parts, char name[256], struct spool_failure *failure);
void spool_remove(const char *folder, const char *name);

/* Whether the two make an attachment's key (CNI specification 1.1.0, "Parameters"). */
bool valid_container_id(const char *id);
bool valid_ifname(const char *name);

#endif
