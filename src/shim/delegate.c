#include "delegate.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "frame.h"
#include "protocol.h"
#include "system.h"
#include "text.h"

#define MOST_ENTRIES 4096
/* Bytes of the kernel's signal set, which is not the C library's. */
#define SIGNAL_SET 8

/* What the agent asked for; variables end with a NUL each. */
struct question {
	const char *name;
	size_t name_length;
	char *env;
	size_t env_length;
	const char *input;
	size_t input_length;
	long limit_ms;
};

struct program {
	long pid;
	int process;
	int in, out, err;
};

static char *entries[MOST_ENTRIES + 2];
static char path[PATH_MAX];
/* The result frame; output is read to where it is sent from. */
static char result[FRAME_HEADER + 4 * SECTION_HEADER + 8 + PATH_MAX + MAX_OUTPUT + MAX_ERRORS];
static char errors[MAX_ERRORS];

bool valid_program_name(const char *name, size_t length)
{
	if (length == 0 || length > MAX_PROGRAM_NAME)
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = name[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');

		if (!letter && (i == 0 || (c != '.' && c != '_' && c != '-')))
			return false;
	}
	return true;
}

static bool read_question(char *payload, size_t length, struct question *asked)
{
	for (size_t at = 0; at < length;) {
		if (length - at < SECTION_HEADER)
			return false;
		int tag = payload[at];
		size_t size = get_length(payload + at + 1);
		char *bytes = payload + at + SECTION_HEADER;

		at += SECTION_HEADER;
		if (size > length - at)
			return false;
		at += size;
		if (tag == SECTION_PROGRAM) {
			asked->name = bytes;
			asked->name_length = size;
		} else if (tag == SECTION_ENV) {
			asked->env = bytes;
			asked->env_length = size;
		} else if (tag == SECTION_STDIN) {
			asked->input = bytes;
			asked->input_length = size;
		} else if (tag == SECTION_TIME_LIMIT && size == 4) {
			asked->limit_ms = (long)get_length(bytes);
		}
	}
	/* Each variable ends with a NUL, or the last one would run on. */
	return asked->name != NULL && (asked->env_length == 0 || asked->env[asked->env_length - 1] == '\0');
}

/* Length of "KEY=" in front of a variable's value, 0 for what is no variable. */
static size_t key_length(const char *entry)
{
	for (size_t i = 0; entry[i] != '\0'; i++)
		if (entry[i] == '=')
			return i + 1;
	return 0;
}

static bool is_replaced(const struct question *asked, const char *entry)
{
	size_t key = key_length(entry);

	for (size_t at = 0; at < asked->env_length; at += length_of(asked->env + at) + 1)
		if (key > 0 && key_length(asked->env + at) == key && memcmp(asked->env + at, entry, key) == 0)
			return true;
	return false;
}

/* The runtime's environment with the agent's variables in place of those of the same names. */
static bool build_environment(const struct question *asked)
{
	static char mark[] = DELEGATED_VARIABLE "=1";
	size_t count = 0;

	for (char **entry = environment_entries; *entry != NULL; entry++) {
		if (is_replaced(asked, *entry))
			continue;
		if (count == MOST_ENTRIES)
			return false;
		entries[count++] = *entry;
	}
	for (size_t at = 0; at < asked->env_length; at += length_of(asked->env + at) + 1) {
		if (count == MOST_ENTRIES)
			return false;
		entries[count++] = asked->env + at;
	}
	entries[count++] = mark;
	entries[count] = NULL;
	return true;
}

static const char *new_variable(const char *key)
{
	for (char **entry = entries; *entry != NULL; entry++)
		if (begins_with(*entry, key))
			return *entry + length_of(key);
	return "";
}

static bool is_program(void)
{
	struct stat about;

	return SYSTEM_CALL(newfstatat, AT_FDCWD, path, &about, 0) == 0 && S_ISREG(about.st_mode) &&
	       (about.st_mode & 0111) != 0;
}

/* Looks the name up in CNI_PATH, first come first served; relative folders are nobody's to know here. */
static bool find_program(const char *name, size_t name_length)
{
	const char *folder = new_variable("CNI_PATH=");

	while (*folder != '\0') {
		size_t length = 0;

		while (folder[length] != '\0' && folder[length] != ':')
			length++;
		if (folder[0] == '/' && length + 1 + name_length + 1 <= sizeof path) {
			memcpy(path, folder, length);
			path[length] = '/';
			memcpy(path + length + 1, name, name_length);
			path[length + 1 + name_length] = '\0';
			if (is_program())
				return true;
		}
		folder += length;
		if (*folder == ':')
			folder++;
	}
	path[0] = '\0';
	return false;
}

static _Noreturn void become_program(long parent, const int in[2], const int out[2], const int err[2])
{
	static const uint64_t no_signals;
	char *argv[] = {path, NULL};
	char bytes[PATH_MAX + 64];
	struct text message = {bytes, 0, sizeof bytes};

	/* A group of its own, so that what it starts can be ended with it. */
	SYSTEM_CALL(setpgid, 0, 0);
	SYSTEM_CALL(prctl, PR_SET_PDEATHSIG, SIGKILL);
	if (SYSTEM_CALL(getppid, 0) != parent)
		quit(127);
	SYSTEM_CALL(rt_sigprocmask, SIG_SETMASK, &no_signals, NULL, SIGNAL_SET);
	SYSTEM_CALL(dup3, in[0], 0, 0);
	SYSTEM_CALL(dup3, out[1], 1, 0);
	SYSTEM_CALL(dup3, err[1], 2, 0);
	long failed = SYSTEM_CALL(execve, path, argv, entries);
	put(&message, "cannot execute ");
	put(&message, path);
	put(&message, ": ");
	put(&message, error_name((int)-failed));
	SYSTEM_CALL(write, 2, message.bytes, message.used);
	quit(127);
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		SYSTEM_CALL(close, *fd);
	*fd = -1;
}

/* 0, or -errno. */
static long start(struct program *program)
{
	static const uint64_t broken_pipe = 1ull << (SIGPIPE - 1);
	int pipes[3][2] = {{-1, -1}, {-1, -1}, {-1, -1}};
	/* Below 3 they would be in the way of the child's own three. */
	long low[3] = {-1, -1, -1}, failed = 0, parent = SYSTEM_CALL(getpid, 0);

	for (int i = 0; i < 3; i++)
		if (SYSTEM_CALL(fcntl, i, F_GETFD) < 0)
			low[i] = SYSTEM_CALL(openat, AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3 && failed == 0; i++)
		failed = SYSTEM_CALL(pipe2, pipes[i], O_CLOEXEC);
	if (failed == 0) {
		failed = SYSTEM_CALL(clone, CLONE_PIDFD | SIGCHLD, 0, &program->process, 0, 0);
		if (failed == 0)
			become_program(parent, pipes[0], pipes[1], pipes[2]);
	}
	for (int i = 0; i < 3; i++)
		if (low[i] >= 0)
			SYSTEM_CALL(close, low[i]);
	close_one(&pipes[0][0]);
	close_one(&pipes[1][1]);
	close_one(&pipes[2][1]);
	program->in = pipes[0][1];
	program->out = pipes[1][0];
	program->err = pipes[2][0];
	if (failed < 0)
		return failed;
	program->pid = failed;
	/* The child's own call may come later than our wish to end the group. */
	SYSTEM_CALL(setpgid, program->pid, program->pid);
	/* A program need not read what it is given. */
	SYSTEM_CALL(rt_sigprocmask, SIG_BLOCK, &broken_pipe, NULL, SIGNAL_SET);
	SYSTEM_CALL(fcntl, program->in, F_SETFL, O_NONBLOCK);
	SYSTEM_CALL(fcntl, program->out, F_SETFL, O_NONBLOCK);
	SYSTEM_CALL(fcntl, program->err, F_SETFL, O_NONBLOCK);
	return 0;
}

/* Reads what is there; false when there is more than `room` altogether. Closes at the end. */
static bool drain(int *fd, char *bytes, size_t *used, size_t room)
{
	while (*fd >= 0) {
		char beyond[512];
		bool full = *used == room;
		long got = SYSTEM_CALL(read, *fd, full ? beyond : bytes + *used, full ? sizeof beyond : room - *used);

		if (got == -EINTR)
			continue;
		if (got == -EAGAIN)
			return true;
		if (got <= 0) {
			close_one(fd);
			return true;
		}
		if (full)
			return false;
		*used += (size_t)got;
	}
	return true;
}

static void feed(struct program *program, struct question *asked)
{
	while (asked->input_length > 0) {
		long wrote = SYSTEM_CALL(write, program->in, asked->input, asked->input_length);

		if (wrote == -EINTR)
			continue;
		if (wrote == -EAGAIN)
			return;
		if (wrote <= 0)
			break;
		asked->input += wrote;
		asked->input_length -= (size_t)wrote;
	}
	close_one(&program->in);
}

/* What the agent says while a program runs: cancel, or nothing any more. Answers as `delegate`. */
static long hear(long agent)
{
	char header[FRAME_HEADER];
	size_t used = 0;

	while (used < sizeof header) {
		long got = SYSTEM_CALL(recvfrom, agent, header + used, sizeof header - used, 0, NULL, NULL);

		if (got == -EINTR)
			continue;
		if (got <= 0)
			return got;
		used += (size_t)got;
	}
	return header[0] == FRAME_CANCEL && get_length(header + 1) == 0 ? 1 : -EPROTO;
}

static void end_group(const struct program *program)
{
	SYSTEM_CALL(kill, -program->pid, SIGKILL);
	SYSTEM_CALL(kill, program->pid, SIGKILL);
}

/* Runs to the end of the program, whatever that is. Answers as `delegate`, and how it ended. */
static long attend(long agent, struct program *program, struct question *asked, long deadline, char *output,
                   size_t *output_used, size_t *errors_used, unsigned *outcome)
{
	enum { AGENT, PROCESS, IN, OUT, ERR, ALL };
	long answer = 1;
	bool running = true;

	*outcome = OUTCOME_EXITED;
	while (running) {
		long left = deadline - now_ms();
		struct pollfd set[ALL] = {
			[AGENT] = {(int)agent, POLLIN, 0}, [PROCESS] = {program->process, POLLIN, 0},
			[IN] = {program->in, POLLOUT, 0},  [OUT] = {program->out, POLLIN, 0},
			[ERR] = {program->err, POLLIN, 0},
		};

		if (left <= 0) {
			*outcome = OUTCOME_TIMED_OUT;
			break;
		}
		struct timespec wait = {left / 1000, left % 1000 * 1000000};
		if (SYSTEM_CALL(ppoll, set, ALL, &wait, NULL, SIGNAL_SET) <= 0)
			continue;
		if (set[AGENT].revents != 0) {
			answer = hear(agent);
			*outcome = OUTCOME_CANCELLED;
			break;
		}
		running = set[PROCESS].revents == 0;
		if (set[IN].revents != 0)
			feed(program, asked);
		/* What it wrote before it ended is in the pipes; what others write after it is not waited for. */
		drain(&program->err, errors, errors_used, sizeof errors);
		if (!drain(&program->out, output, output_used, MAX_OUTPUT)) {
			*outcome = OUTCOME_TOO_LONG;
			break;
		}
	}
	if (running)
		end_group(program);
	close_one(&program->in);
	close_one(&program->out);
	close_one(&program->err);
	return answer;
}

/* Sends the result; `output_length` bytes of output are in place already. */
static long send_result(long agent, unsigned outcome, unsigned value, char *output, size_t output_length,
                        size_t errors_length)
{
	size_t path_length = length_of(path);
	char *at = begin_section(result + FRAME_HEADER, SECTION_OUTCOME, 8);

	put_length(at, outcome);
	put_length(at + 4, value);
	begin_section(output - SECTION_HEADER, SECTION_OUTPUT, output_length);
	at = begin_section(output + output_length, SECTION_PATH, path_length);
	memcpy(at, path, path_length);
	at = begin_section(at + path_length, SECTION_ERRORS, errors_length);
	memcpy(at, errors, errors_length);
	at += errors_length;
	result[0] = FRAME_RESULT;
	put_length(result + 1, (size_t)(at - result) - FRAME_HEADER);
	for (char *from = result; from < at;) {
		long sent = SYSTEM_CALL(sendto, agent, from, (size_t)(at - from), MSG_NOSIGNAL, NULL, 0);

		if (sent == -EINTR)
			continue;
		if (sent <= 0)
			return sent == -EPIPE ? 0 : sent;
		from += sent;
	}
	return 1;
}

long delegate(long agent, char *payload, size_t length, long deadline)
{
	struct question asked = {.limit_ms = LONG_MAX};
	struct program program = {0};
	char *output = result + FRAME_HEADER + SECTION_HEADER + 8 + SECTION_HEADER;
	size_t output_used = 0, errors_used = 0;
	unsigned outcome, value = 0;
	int status = 0;

	path[0] = '\0';
	if (!read_question(payload, length, &asked) || !valid_program_name(asked.name, asked.name_length))
		return send_result(agent, OUTCOME_REFUSED, EINVAL, output, 0, 0);
	if (!build_environment(&asked))
		return send_result(agent, OUTCOME_REFUSED, E2BIG, output, 0, 0);
	if (!find_program(asked.name, asked.name_length))
		return send_result(agent, OUTCOME_NOT_FOUND, ENOENT, output, 0, 0);
	long failed = start(&program);
	if (failed < 0)
		return send_result(agent, OUTCOME_REFUSED, (unsigned)-failed, output, 0, 0);
	long now = now_ms();
	if (asked.limit_ms < deadline - now)
		deadline = now + asked.limit_ms;
	long answer = attend(agent, &program, &asked, deadline, output, &output_used, &errors_used, &outcome);
	while (SYSTEM_CALL(wait4, program.pid, &status, 0, NULL) == -EINTR)
		;
	SYSTEM_CALL(close, program.process);
	if (answer <= 0)
		return answer;
	if (outcome == OUTCOME_EXITED && WIFSIGNALED(status)) {
		outcome = OUTCOME_SIGNALLED;
		value = (unsigned)WTERMSIG(status);
	} else if (outcome == OUTCOME_EXITED) {
		value = (unsigned)WEXITSTATUS(status);
	}
	return send_result(agent, outcome, value, output, output_used, errors_used);
}
