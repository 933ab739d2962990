/*
 * The program that container runtimes execute in place of a CNI plugin. It carries the request to
 * the agent and the answer back, and knows nothing of networks:
 *
 *   environment (CNI_*), standard input, the descriptor of CNI_NETNS  ->  /run/berth/cni.sock
 *   standard output, exit code                                       <-
 *
 * When the agent is away it answers itself: VERSION always, DEL by writing it down for the agent to
 * replay, the rest with an error that makes the runtime try again.
 *
 * It is executed for every attachment, often inside the memory and processor limits of somebody
 * else's container and with a working folder that cannot be reached: so it is static, uses absolute
 * paths only, allocates nothing, and does without a C library (system.h says what that saves). By hand:
 *
 *   CNI_COMMAND=VERSION ./berth </dev/null
 *   strace -f ./berth ...          every step is one system call
 *
 * BERTH_CNI_SOCKET, BERTH_SPOOL_FOLDER and BERTH_CNI_TIMEOUT_MS exist for tests and for nodes with
 * other folders. The environment is the runtime's, which is root: it could as well run another program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "delegate.h"
#include "frame.h"
#include "protocol.h"
#include "spool.h"
#include "system.h"
#include "text.h"

#define SOCKET_PATH "/run/berth/cni.sock"
#define LATEST_VERSION "1.1.0"
#define SUPPORTED_VERSIONS "\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\""

/* The agent's own deadlines are 5 s shorter (src/cni/deadlines.ts), so that its answer gets through. */
static const struct command {
	const char *name;
	long timeout_ms;
	int code_when_away;
} commands[] = {
	{"ADD", 65000, CNI_TRY_AGAIN},
	{"DEL", 35000, CNI_TRY_AGAIN},
	{"CHECK", 35000, CNI_TRY_AGAIN},
	{"STATUS", 15000, CNI_NOT_AVAILABLE},
	{"GC", 65000, CNI_TRY_AGAIN},
	/* Whatever a later specification adds: the agent knows, or says that it does not. */
	{"", 35000, CNI_TRY_AGAIN},
};

/* Of all architectures, the largest page. */
#define PAGE_LIMIT 65536

/* Untouched pages of these cost nothing. */
static struct {
	char stdin[MAX_STDIN + 1];
	char reply[FRAME_HEADER + MAX_REPLY];
} large __attribute__((aligned(PAGE_LIMIT)));
static char head[FRAME_HEADER + 4 * SECTION_HEADER + MAX_ENV + 512];

static char cni_version[16] = LATEST_VERSION;
static struct iovec frame[2];

enum { STDIN, STDOUT };

static void write_stdout(const char *bytes, size_t length)
{
	while (length > 0) {
		long wrote = SYSTEM_CALL(write, STDOUT, bytes, length);

		if (wrote == -EINTR)
			continue;
		if (wrote <= 0)
			quit(1);
		bytes += wrote;
		length -= (size_t)wrote;
	}
}

/* Answers with a CNI error and ends. `message` is ours, `value` and `error` are from outside. */
static _Noreturn void fail(int code, const char *message, const char *value, int error, const char *remedy)
{
	static char bytes[2048];
	struct text t = {bytes, 0, sizeof bytes - 2};

	put(&t, "{\"cniVersion\":\"");
	put(&t, cni_version);
	put(&t, "\",\"code\":");
	put_number(&t, (unsigned long)code, 1);
	put(&t, ",\"msg\":\"");
	put_json(&t, message);
	if (value[0] != '\0') {
		char shortened[256];
		struct text v = {shortened, 0, sizeof shortened - 1};

		put(&v, value);
		shortened[v.used] = '\0';
		put(&t, " ");
		put_json(&t, shortened);
	}
	if (error != 0) {
		put(&t, ": ");
		put(&t, error_name(error));
	}
	put(&t, "\",\"details\":\"");
	put_json(&t, remedy);
	put(&t, "\"}");
	bytes[t.used++] = '\n';
	write_stdout(bytes, t.used);
	quit(1);
}

static const char *variable(const char *name, const char *otherwise)
{
	const char *value = environment(name);

	return value != NULL && value[0] != '\0' ? value : otherwise;
}

static size_t read_stdin(void)
{
	size_t used = 0;

	/*
	 * Where huge pages are given to everybody, the first byte would have 2 MiB zeroed for it, which
	 * takes longer than all the rest. Kernels without huge pages refuse.
	 */
	SYSTEM_CALL(madvise, &large, sizeof large, MADV_NOHUGEPAGE);
	for (;;) {
		long got = SYSTEM_CALL(read, STDIN, large.stdin + used, sizeof large.stdin - used);

		if (got == -EINTR)
			continue;
		if (got < 0)
			fail(CNI_IO, "cannot read the network configuration from standard input", "", (int)-got,
			     "Runtimes write it there; see docs/cni.md.");
		if (got == 0)
			return used;
		used += (size_t)got;
		if (used > MAX_STDIN)
			fail(CNI_IO, "the network configuration is larger than 16 MiB", "", 0,
			     "Make it smaller; see docs/cni.md.");
	}
}

/* Only what belongs to the request leaves the process: the rest may hold somebody's secrets. */
static bool is_forwarded(const char *entry)
{
	return begins_with(entry, "CNI_") || begins_with(entry, "TRACEPARENT=") || begins_with(entry, "TRACESTATE=");
}

/* Lays the request out as a frame of two parts: everything small, and standard input. */
static void build_request(const char *argv0, int netns_error, size_t stdin_length)
{
	const char *slash = last(argv0, '/');
	char *at = head + FRAME_HEADER;
	char *env = at + SECTION_HEADER;
	size_t used = 0;

	for (char **entry = environment_entries; *entry != NULL; entry++) {
		size_t length = length_of(*entry) + 1;

		if (!is_forwarded(*entry))
			continue;
		if (length > MAX_ENV - used)
			fail(CNI_BAD_ENVIRONMENT, "the CNI_ variables are larger than 256 KiB together", "", 0,
			     "Make CNI_ARGS shorter; see docs/cni.md.");
		memcpy(env + used, *entry, length);
		used += length;
	}
	at = begin_section(at, SECTION_ENV, used) + used;

	if (slash != NULL)
		argv0 = slash + 1;
	size_t name_length = length_of(argv0);
	if (name_length > 255)
		name_length = 255;
	at = begin_section(at, SECTION_ARGV0, name_length);
	memcpy(at, argv0, name_length);
	at += name_length;

	at = begin_section(at, SECTION_NETNS_ERRNO, 4);
	put_length(at, (size_t)netns_error);
	at = begin_section(at + 4, SECTION_STDIN, stdin_length);

	head[0] = FRAME_REQUEST;
	put_length(head + 1, (size_t)(at - head) - FRAME_HEADER + stdin_length);
	frame[0] = (struct iovec){head, (size_t)(at - head)};
	frame[1] = (struct iovec){large.stdin, stdin_length};
}

static void limit(long fd, int option, long deadline)
{
	long left = deadline - now_ms();

	/* Zero would mean for ever. */
	if (left < 1)
		left = 1;
	struct timeval timeout = {left / 1000, left % 1000 * 1000};
	SYSTEM_CALL(setsockopt, fd, SOL_SOCKET, option, &timeout, sizeof timeout);
}

/* 0, or -errno. */
static long send_request(long fd, long netns)
{
	static char version = PROTOCOL_VERSION;
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct iovec parts[3] = {{&version, 1}, frame[0], frame[1]};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 3};

	if (netns >= 0) {
		int descriptor = (int)netns;

		message.msg_control = control.bytes;
		message.msg_controllen = sizeof control.bytes;
		struct cmsghdr *first = CMSG_FIRSTHDR(&message);
		first->cmsg_level = SOL_SOCKET;
		first->cmsg_type = SCM_RIGHTS;
		first->cmsg_len = CMSG_LEN(sizeof descriptor);
		memcpy(CMSG_DATA(first), &descriptor, sizeof descriptor);
	}
	while (message.msg_iovlen > 0) {
		long sent = SYSTEM_CALL(sendmsg, fd, &message, MSG_NOSIGNAL);

		if (sent == -EINTR)
			continue;
		/* An agent that refuses answers, and closes before it has read everything. */
		if (sent == -EPIPE)
			return 0;
		if (sent < 0)
			return sent;
		message.msg_control = NULL;
		message.msg_controllen = 0;
		while (message.msg_iovlen > 0 && (size_t)sent >= message.msg_iov->iov_len) {
			sent -= (long)message.msg_iov->iov_len;
			message.msg_iov++;
			message.msg_iovlen--;
		}
		if (message.msg_iovlen > 0) {
			message.msg_iov->iov_base = (char *)message.msg_iov->iov_base + sent;
			message.msg_iov->iov_len -= (size_t)sent;
		}
	}
	return 0;
}

/* 1 when all of them came, -errno, or 0 when the agent ended before. */
static long receive(long fd, char *bytes, size_t wanted, long deadline)
{
	for (size_t used = 0; used < wanted;) {
		limit(fd, SO_RCVTIMEO, deadline);
		long got = SYSTEM_CALL(recvfrom, fd, bytes + used, wanted - used, 0, NULL, NULL);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			return got;
		used += (size_t)got;
	}
	return 1;
}

/*
 * The length of the reply's payload, -errno, or 0 when the agent ended before it was whole. On the
 * way there the agent may ask for IPAM programs to be executed.
 */
static long receive_reply(long fd, long deadline)
{
	for (;;) {
		long done = receive(fd, large.reply, FRAME_HEADER, deadline);
		if (done <= 0)
			return done;
		size_t length = get_length(large.reply + 1);
		bool asks = large.reply[0] == FRAME_EXECUTE;

		/* A cancel may come when the program has just ended. */
		if (large.reply[0] == FRAME_CANCEL && length == 0)
			continue;
		if ((large.reply[0] != FRAME_REPLY && !asks) || length == 0 || length > sizeof large.reply - FRAME_HEADER)
			return -EPROTO;
		done = receive(fd, large.reply + FRAME_HEADER, length, deadline);
		if (done <= 0)
			return done;
		if (!asks)
			return (long)length;
		done = delegate(fd, large.reply + FRAME_HEADER, length, deadline);
		if (done <= 0)
			return done;
	}
}

/* One conversation with the agent; answers as receive_reply does. */
static long ask_agent(const char *path, long netns, long deadline)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = length_of(path);

	if (length >= sizeof address.sun_path)
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, length);
	long fd = SYSTEM_CALL(socket, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	/* Also bounds connect, which waits while the agent's queue is full. */
	limit(fd, SO_SNDTIMEO, deadline);
	long done = SYSTEM_CALL(connect, fd, &address, sizeof address);
	if (done == 0)
		done = send_request(fd, netns);
	if (done == 0)
		done = receive_reply(fd, deadline);
	/* Tells the agent that nobody waits any more. */
	SYSTEM_CALL(close, fd);
	return done;
}

static _Noreturn void answer(long length)
{
	write_stdout(large.reply + FRAME_HEADER + 1, (size_t)length - 1);
	quit((unsigned char)large.reply[FRAME_HEADER]);
}

static _Noreturn void spool_del(const char *socket_path, long netns, long deadline)
{
	const char *folder = variable("BERTH_SPOOL_FOLDER", SPOOL_FOLDER);
	const char *container_id = variable("CNI_CONTAINERID", "");
	const char *ifname = variable("CNI_IFNAME", "");
	struct spool_failure failure;
	char name[256];

	if (!valid_container_id(container_id))
		fail(CNI_BAD_ENVIRONMENT, "CNI_CONTAINERID is not valid:", container_id, 0,
		     "Letters, digits, '_', '.' and '-', beginning with a letter or digit, at most 200.");
	if (!valid_ifname(ifname))
		fail(CNI_BAD_ENVIRONMENT, "CNI_IFNAME is not valid:", ifname, 0,
		     "1 to 15 bytes without '/', ':' or white space.");
	if (!spool_write(folder, container_id, ifname, frame, 2, name, &failure)) {
		static char message[160];
		struct text t = {message, 0, sizeof message - 1};

		put(&t, "the agent is away and its spool cannot take the DEL: cannot ");
		put(&t, failure.doing);
		fail(CNI_IO, message, folder, failure.error,
		     "Start the agent (systemctl status berth, or the DaemonSet's pod on this node), or make "
		     "room in the folder; the runtime will repeat the DEL. See docs/cni.md.");
	}
	/* The agent may have started meanwhile, and have read the spool before the entry was in it. */
	long got = now_ms() < deadline ? ask_agent(socket_path, netns, deadline) : 0;
	if (got <= 0)
		quit(0);
	spool_remove(folder, name);
	answer(got);
}

static _Noreturn void fail_away(const struct command *command, const char *socket_path, int error)
{
	if (error == EAGAIN)
		fail(command->code_when_away, "no answer from the agent in time at", socket_path, 0,
		     "What it did is undone. Look at the agent's log, and at the load of the node; see docs/cni.md.");
	if (error == EPROTO)
		fail(command->code_when_away, "the agent's answer is not of protocol version 2 at", socket_path, 0,
		     "Shim and agent are of different releases: install the shim of the agent's release.");
	if (error == 0 || error == ECONNRESET)
		fail(command->code_when_away, "the agent ended before it answered at", socket_path, 0,
		     "It undoes what it began when it starts again; the runtime may try again then. See docs/cni.md.");
	fail(command->code_when_away, "cannot reach the agent at", socket_path, error,
	     "Start it (systemctl status berth, or the DaemonSet's pod on this node); the runtime may try "
	     "again then. See docs/cni.md.");
}

static long timeout_of(const struct command *command)
{
	const char *text = variable("BERTH_CNI_TIMEOUT_MS", "");
	long value = 0;

	for (; *text >= '0' && *text <= '9' && value <= 600000; text++)
		value = value * 10 + (*text - '0');
	return value >= 1 && value <= 600000 ? value : command->timeout_ms;
}

static _Noreturn void answer_version(void)
{
	static char bytes[256];
	struct text t = {bytes, 0, sizeof bytes};

	put(&t, "{\"cniVersion\":\"");
	put(&t, cni_version);
	put(&t, "\",\"supportedVersions\":[" SUPPORTED_VERSIONS "]}\n");
	write_stdout(bytes, t.used);
	quit(0);
}

int main(int argc, char **argv)
{
	const char *name = variable("CNI_COMMAND", "");
	const struct command *command = commands;

	/* Of us there is nothing to release. */
	if (environment(DELEGATED_VARIABLE) != NULL && equal(name, "DEL"))
		quit(0);
	if (environment(DELEGATED_VARIABLE) != NULL)
		fail(CNI_INVALID_CONFIG, "ipam.type names Berth's own shim:", argc > 0 ? argv[0] : "", 0,
		     "Berth gives no addresses under this name; write host-local, static, or an IPAM plugin's name.");
	/* Before standard input, which is a terminal when a person tries the program out. */
	if (name[0] == '\0')
		fail(CNI_BAD_ENVIRONMENT, "CNI_COMMAND is not set", "", 0,
		     "This is a CNI plugin: container runtimes execute it. See docs/cni.md.");
	while (command->name[0] != '\0' && !equal(command->name, name))
		command++;
	size_t stdin_length = read_stdin();
	find_cni_version(large.stdin, stdin_length, cni_version, sizeof cni_version);
	if (equal(name, "VERSION"))
		answer_version();

	/* O_NONBLOCK, lest a path that names a pipe holds us. */
	const char *netns_path = variable("CNI_NETNS", "");
	long netns = netns_path[0] == '\0' ? -1 : SYSTEM_CALL(openat, AT_FDCWD, netns_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	build_request(argc > 0 ? argv[0] : "", netns_path[0] != '\0' && netns < 0 ? (int)-netns : 0, stdin_length);

	const char *socket_path = variable("BERTH_CNI_SOCKET", SOCKET_PATH);
	long deadline = now_ms() + timeout_of(command);
	long got = ask_agent(socket_path, netns, deadline);
	if (got > 0)
		answer(got);
	if (equal(command->name, "DEL"))
		spool_del(socket_path, netns, deadline);
	fail_away(command, socket_path, (int)-got);
}
