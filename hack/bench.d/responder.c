/*
 * responder: an agent that answers every request at once, so that the shim's own share of a call
 * can be measured.
 *
 *   responder SOCKET        serves until it is killed; prints "ready" when it listens
 *
 * It reads a request to its end and answers success with an empty object. It understands the frame
 * only (src/shim/protocol.md): one byte of version, one of type, four of length, the payload.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEADER 6 /* version, type, length */

static const unsigned char answer[] = {2, 0, 0, 0, 4, 0, '{', '}', '\n'};

static void fail(const char *what)
{
	fprintf(stderr, "responder: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void serve(int fd)
{
	static unsigned char bytes[1 << 20];
	size_t used = 0, wanted = HEADER;
	while (used < wanted) {
		ssize_t got = read(fd, bytes + used, sizeof bytes - used);
		if (got <= 0) return;
		used += (size_t)got;
		if (used >= HEADER)
			wanted = HEADER + ((size_t)bytes[2] << 24 | (size_t)bytes[3] << 16 | (size_t)bytes[4] << 8 | bytes[5]);
		if (wanted > sizeof bytes) return;
	}
	if (write(fd, answer, sizeof answer) != sizeof answer) perror("responder: write");
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
		fputs("usage: responder SOCKET\n", stderr);
		return 2;
	}
	strcpy(address.sun_path, argv[1]);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 64) != 0)
		fail(argv[1]);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd < 0) fail("accept");
		serve(fd);
		close(fd);
	}
}
