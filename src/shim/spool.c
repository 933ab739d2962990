#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "system.h"
#include "text.h"

/* So that "<container id>@<interface>" stays below NAME_MAX; the agent's limit is the same. */
#define MAX_CONTAINER_ID 200

static bool is_alphanumeric(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool valid_container_id(const char *id)
{
	size_t length = length_of(id);

	if (length > MAX_CONTAINER_ID || !is_alphanumeric(id[0]))
		return false;
	for (size_t i = 1; i < length; i++)
		if (!is_alphanumeric(id[i]) && id[i] != '_' && id[i] != '.' && id[i] != '-')
			return false;
	return true;
}

bool valid_ifname(const char *name)
{
	size_t length = length_of(name);

	if (length == 0 || length > 15 || equal(name, ".") || equal(name, ".."))
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char)name[i] <= ' ' || name[i] == '/' || name[i] == ':')
			return false;
	return true;
}

/* `result` is -errno. */
static bool failed(struct spool_failure *failure, const char *doing, long result)
{
	failure->doing = doing;
	failure->error = (int)-result;
	return false;
}

static long open_directory(const char *path)
{
	return SYSTEM_CALL(openat, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long make_directory(const char *path)
{
	long made = SYSTEM_CALL(mkdirat, AT_FDCWD, path, 0700);

	return made == -EEXIST ? 0 : made;
}

/* Makes the folder and the one above it; an entry is only durable when its folder is. */
static long open_folder(const char *folder)
{
	char parent[256];
	const char *slash = last(folder, '/');
	long fd = open_directory(folder);

	if (fd != -ENOENT || slash == NULL || slash == folder)
		return fd;
	size_t length = (size_t)(slash - folder);
	if (length >= sizeof parent)
		return -ENAMETOOLONG;
	memcpy(parent, folder, length);
	parent[length] = '\0';
	long made = make_directory(parent);
	if (made == 0)
		made = make_directory(folder);
	if (made < 0)
		return made;
	long above = open_directory(parent);
	if (above < 0)
		return above;
	long synced = SYSTEM_CALL(fsync, above);
	SYSTEM_CALL(close, above);
	return synced < 0 ? synced : open_directory(folder);
}

/* Counts every file: what a killed shim left half-written takes room too. */
static long measure(long folder, const char *replaced, unsigned long *entries, unsigned long *bytes)
{
	/* getdents64(2) */
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
	while ((got = SYSTEM_CALL(getdents64, folder, buffer, sizeof buffer)) > 0) {
		for (long at = 0; at < got;) {
			struct record *one = (struct record *)(buffer + at);
			struct stat about;

			at += one->length;
			if (equal(one->name, ".") || equal(one->name, "..") || equal(one->name, replaced))
				continue;
			if (SYSTEM_CALL(newfstatat, folder, one->name, &about, AT_SYMLINK_NOFOLLOW) < 0)
				continue; /* replayed by the agent meanwhile */
			(*entries)++;
			*bytes += (unsigned long)about.st_size;
		}
	}
	return got;
}

/* "unknown" where /proc is not to be had: the agent then treats the entry as one of an older boot. */
static void put_boot_id(struct text *t)
{
	char id[64];
	long fd = SYSTEM_CALL(openat, AT_FDCWD, "/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	long got = fd < 0 ? fd : SYSTEM_CALL(read, fd, id, sizeof id - 1);

	if (fd >= 0)
		SYSTEM_CALL(close, fd);
	while (got > 0 && id[got - 1] == '\n')
		got--;
	id[got > 0 ? got : 0] = '\0';
	put(t, got > 0 ? id : "unknown");
}

/* 0, or -errno. */
static long write_all(long fd, const char *bytes, size_t length)
{
	while (length > 0) {
		long wrote = SYSTEM_CALL(write, fd, bytes, length);

		if (wrote == -EINTR)
			continue;
		if (wrote <= 0)
			return wrote < 0 ? wrote : -EIO;
		bytes += wrote;
		length -= (size_t)wrote;
	}
	return 0;
}

static long write_entry(long fd, const struct timespec *now, const struct iovec *frame, int parts)
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
	long wrote = write_all(fd, line, header.used);
	for (int i = 0; i < parts && wrote == 0; i++)
		wrote = write_all(fd, frame[i].iov_base, frame[i].iov_len);
	return wrote < 0 ? wrote : SYSTEM_CALL(fsync, fd);
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
		return failed(failure, "name the entry", -EINVAL);
	/* '@' is not in a container id, so the first one ends it. */
	put(&final, container_id);
	put(&final, "@");
	put(&final, ifname);
	name[final.used] = '\0';
	for (int i = 0; i < parts; i++)
		size += frame[i].iov_len;

	long directory = open_folder(folder);
	if (directory < 0)
		return failed(failure, "open the folder", directory);
	long done = measure(directory, name, &entries, &bytes);
	if (done < 0)
		return failed(failure, "list the folder", done);
	if (entries >= SPOOL_MAX_ENTRIES || bytes + size > SPOOL_MAX_BYTES)
		return failed(failure, "find room in the folder", -ENOSPC);

	SYSTEM_CALL(clock_gettime, CLOCK_REALTIME, &now);
	put(&draft, ".new-");
	put_number(&draft, (unsigned long)SYSTEM_CALL(getpid, 0), 1);
	put(&draft, "-");
	put_number(&draft, (unsigned long)now.tv_nsec, 9);
	long fd = SYSTEM_CALL(openat, directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return failed(failure, "create a file", fd);
	done = write_entry(fd, &now, frame, parts);
	SYSTEM_CALL(close, fd);
	if (done < 0) {
		SYSTEM_CALL(unlinkat, directory, temporary, 0);
		return failed(failure, "write the entry", done);
	}
	done = SYSTEM_CALL(renameat2, directory, temporary, directory, name, 0);
	if (done < 0) {
		SYSTEM_CALL(unlinkat, directory, temporary, 0);
		return failed(failure, "name the entry", done);
	}
	done = SYSTEM_CALL(fsync, directory);
	SYSTEM_CALL(close, directory);
	return done < 0 ? failed(failure, "sync the folder", done) : true;
}

void spool_remove(const char *folder, const char *name)
{
	long directory = open_directory(folder);

	/* An entry that stays is replayed once more, which changes nothing. */
	if (directory >= 0)
		SYSTEM_CALL(unlinkat, directory, name, 0);
}
