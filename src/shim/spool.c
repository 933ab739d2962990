#include "spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h> /* renameat */
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "text.h"

/* So that "<container id>@<interface>" stays below NAME_MAX; the agent's limit is the same. */
#define MAX_CONTAINER_ID 200

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool valid_container_id(const char *id)
{
	size_t length = strlen(id);

	if (length > MAX_CONTAINER_ID || !is_alphanumeric(id[0]))
		return false;
	for (size_t i = 1; i < length; i++)
		if (!is_alphanumeric(id[i]) && id[i] != '_' && id[i] != '.' && id[i] != '-')
			return false;
	return true;
}

bool valid_ifname(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length > 15 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)name[i] <= ' ' || name[i] == '/' || name[i] == ':')
			return false;
	return true;
}

static bool failed(struct spool_failure *failure, const char *doing, int error)
{
	failure->doing = doing;
	failure->error = error;
	return false;
}

/* Makes the folder and the one above it; an entry is only durable when its folder is. */
static int open_folder(const char *folder)
{
	char parent[256];
	const char *slash = strrchr(folder, '/');
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT || slash == NULL || slash == folder)
		return fd;
	if ((size_t)(slash - folder) >= sizeof parent) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(parent, folder, (size_t)(slash - folder));
	parent[slash - folder] = '\0';
	if (mkdir(parent, 0700) != 0 && errno != EEXIST)
		return -1;
	if (mkdir(folder, 0700) != 0 && errno != EEXIST)
		return -1;
	int above = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (above < 0)
		return -1;
	int synced = fsync(above);
	close(above);
	return synced != 0 ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* Counts every file: what a killed shim left half-written takes room too. */
static int measure(int folder, const char *replaced, unsigned long *entries, unsigned long *bytes)
{
	/* The kernel's record (getdents64(2)); opendir would bring malloc along. */
	struct record {
		uint64_t ino;
		int64_t off;
		unsigned short length;
		unsigned char type;
		char name[];
	};
	_Alignas(struct record) char buffer[16384];
	long got;

	*entries = *bytes = 0;
	while ((got = syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0) {
		for (long at = 0; at < got;) {
			struct record *one = (struct record *)(buffer + at);
			struct stat about;

			at += one->length;
			if (strcmp(one->name, ".") == 0 || strcmp(one->name, "..") == 0 || strcmp(one->name, replaced) == 0)
				continue;
			if (fstatat(folder, one->name, &about, AT_SYMLINK_NOFOLLOW) != 0)
				continue; /* replayed by the agent meanwhile */
			(*entries)++;
			*bytes += (unsigned long)about.st_size;
		}
	}
	return got < 0 ? -1 : 0;
}

/* "unknown" where /proc is not to be had: the agent then treats the entry as one of an older boot. */
static void put_boot_id(struct text *t)
{
	char id[64];
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, id, sizeof id - 1);

	if (fd >= 0)
		close(fd);
	while (got > 0 && id[got - 1] == '\n')
		got--;
	id[got > 0 ? got : 0] = '\0';
	put(t, got > 0 ? id : "unknown");
}

static int write_all(int fd, const char *bytes, size_t length)
{
	while (length > 0) {
		ssize_t wrote = write(fd, bytes, length);

		if (wrote < 0 && errno == EINTR)
			continue;
		if (wrote <= 0)
			return -1;
		bytes += wrote;
		length -= (size_t)wrote;
	}
	return 0;
}

static int write_entry(int fd, const struct timespec *now, const struct iovec *frame, int parts)
{
	char line[160];
	struct text header = {line, 0, sizeof line};

	put(&header, "berth-spool " SPOOL_SCHEMA " ");
	put_boot_id(&header);
	put(&header, " ");
	put_number(&header, (unsigned long)now->tv_sec, 1);
	put(&header, ".");
	put_number(&header, (unsigned long)now->tv_nsec, 9);
	put(&header, "\n");
	if (write_all(fd, line, header.used) != 0)
		return -1;
	for (int i = 0; i < parts; i++)
		if (write_all(fd, frame[i].iov_base, frame[i].iov_len) != 0)
			return -1;
	return fsync(fd);
}

bool spool_write(const char *folder, const char *container_id, const char *ifname, const struct iovec *frame,
                 int parts, char name[256], struct spool_failure *failure)
{
	struct text final = {name, 0, 255};
	char temporary[64] = "";
	struct text draft = {temporary, 0, sizeof temporary - 1};
	unsigned long entries, bytes, size = 0;
	struct timespec now;

	if (!valid_container_id(container_id) || !valid_ifname(ifname))
		return failed(failure, "name the entry", EINVAL);
	/* '@' is not in a container id, so the first one ends it. */
	put(&final, container_id);
	put(&final, "@");
	put(&final, ifname);
	name[final.used] = '\0';
	for (int i = 0; i < parts; i++)
		size += frame[i].iov_len;

	int directory = open_folder(folder);
	if (directory < 0)
		return failed(failure, "open the folder", errno);
	if (measure(directory, name, &entries, &bytes) != 0)
		return failed(failure, "list the folder", errno);
	if (entries >= SPOOL_MAX_ENTRIES || bytes + size > SPOOL_MAX_BYTES)
		return failed(failure, "find room in the folder", ENOSPC);

	clock_gettime(CLOCK_REALTIME, &now);
	put(&draft, ".new-");
	put_number(&draft, (unsigned long)getpid(), 1);
	put(&draft, "-");
	put_number(&draft, (unsigned long)now.tv_nsec, 9);
	int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(failure, "create a file", errno);
	if (write_entry(fd, &now, frame, parts) != 0) {
		failed(failure, "write the entry", errno);
		unlinkat(directory, temporary, 0);
		return false;
	}
	close(fd);
	if (renameat(directory, temporary, directory, name) != 0) {
		failed(failure, "name the entry", errno);
		unlinkat(directory, temporary, 0);
		return false;
	}
	if (fsync(directory) != 0)
		return failed(failure, "sync the folder", errno);
	close(directory);
	return true;
}

void spool_remove(const char *folder, const char *name)
{
	int directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* An entry that stays is replayed once more, which changes nothing. */
	if (directory >= 0)
		unlinkat(directory, name, 0);
}
