/*
 * sandboxes: makes network namespaces and binds each to a file, as a runtime does for its pods.
 *
 *   sandboxes FOLDER N      makes FOLDER/0 to FOLDER/N-1, each with its loopback up
 *
 * The files are mounts of the mount namespace it runs in; the bench gives it a private one, so that
 * they, and the namespaces behind them, end with it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "sandboxes: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void loopback_up(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) != 0) fail("taking lo up");
	close(fd);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX];
	int n = argc == 3 ? atoi(argv[2]) : 0;
	if (n < 1) {
		fputs("usage: sandboxes FOLDER N\n", stderr);
		return 2;
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%d", argv[1], i);
		int fd = open(path, O_CREAT | O_EXCL | O_RDONLY | O_CLOEXEC, 0444);
		if (fd < 0) fail(path);
		close(fd);
		if (unshare(CLONE_NEWNET) != 0) fail("unshare");
		loopback_up();
		if (mount("/proc/self/ns/net", path, NULL, MS_BIND, NULL) != 0) fail(path);
	}
	return 0;
}
