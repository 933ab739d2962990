/*
 * spawn: starts programs, measures each from its start to its exit, and prints the times.
 *
 * It is the one clock of every process benchmark: both sides of a comparison are started here, by
 * the same posix_spawn with an environment, arguments and a standard input of their own, so that
 * what is measured is the program and not the thing that measures. It is not a shell: nothing is
 * searched in PATH, nothing is inherited.
 *
 * Standard input carries batches as NUL-terminated fields; a batch's jobs are started one right
 * after the other, and the batch has ended when its last job has exited:
 *
 *   "batch" N, then N times: argc, argv..., envc, env..., stdin, netns, ifname
 *
 * `netns` and `ifname` are empty, or name a link that has to be gone when the job has exited: a
 * deletion counts only when the kernel is done with it. One line of JSON answers each batch:
 *
 *   {"elapsedUs":E,"settledUs":S,"timedOut":false,"jobs":[{"us":T,"exit":0,"signal":0,
 *    "present":false,"stdout":"...","stderr":"..."}]}
 *
 * elapsedUs: first start to last exit. us: this job's start to its exit. present: the link was
 * still there right after the last exit. settledUs: first start until every such link was gone and
 * the kernel had carried out another operation under the lock that link deletion holds (RTNL), so
 * that a program which answers before the kernel has finished shows here. CLOCK_MONOTONIC, in
 * microseconds.
 *
 * To debug: printf 'batch\0001\0001\000/bin/true\0000\000\000\000\000' | spawn
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_JOBS 1024
#define MAX_WORDS 4096
#define BATCH_DEADLINE_SECONDS 30

struct job {
	char **argv, **envp;
	char *input, *netns, *ifname;
	int in, out, err; /* the child's descriptors: a pipe's reading end, two memory files */
	int probe;        /* a socket inside the watched namespace, or -1 */
	pid_t pid;
	int64_t start_ns, end_ns;
	int status;
	bool done, present;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number) { interrupted = number; }

static void die(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("spawn: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
	exit(2);
}

static void *checked(void *memory)
{
	if (memory == NULL) die("out of memory");
	return memory;
}

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* One field, or NULL at the end of the input. */
static char *read_field(void)
{
	char *field = NULL;
	size_t room = 0;
	ssize_t length = getdelim(&field, &room, '\0', stdin);
	if (length < 0) {
		free(field);
		return NULL;
	}
	if (length == 0 || field[length - 1] != '\0') die("the input ends in the middle of a field");
	return field;
}

static char *need_field(const char *what)
{
	char *field = read_field();
	if (field == NULL) die("the input ends where %s was expected", what);
	return field;
}

static int need_count(const char *what, int most)
{
	char *text = need_field(what), *end;
	long n = strtol(text, &end, 10);
	if (*text == '\0' || *end != '\0' || n < 0 || n > most) die("%s: \"%s\" is not a number from 0 to %d", what, text, most);
	free(text);
	return (int)n;
}

static char **read_words(const char *what)
{
	int n = need_count(what, MAX_WORDS);
	char **words = checked(calloc((size_t)n + 1, sizeof *words));
	for (int i = 0; i < n; i++) words[i] = need_field(what);
	return words;
}

static void free_words(char **words)
{
	for (char **word = words; *word != NULL; word++) free(*word);
	free(words);
}

static int memory_file(void)
{
	int fd = memfd_create("output", MFD_CLOEXEC);
	if (fd < 0) die("memfd_create: %s", strerror(errno));
	return fd;
}

/* A pipe that already holds the whole input, as a runtime's does by the time a plugin reads it. */
static int filled_pipe(const char *text)
{
	int ends[2];
	size_t length = strlen(text);
	if (pipe2(ends, O_CLOEXEC) != 0) die("pipe: %s", strerror(errno));
	if (length > 65536 && fcntl(ends[1], F_SETPIPE_SZ, (int)length) < 0)
		die("a standard input of %zu bytes does not fit a pipe: %s", length, strerror(errno));
	for (size_t at = 0; at < length;) {
		ssize_t n = write(ends[1], text + at, length - at);
		if (n < 0) die("writing a job's standard input: %s", strerror(errno));
		at += (size_t)n;
	}
	close(ends[1]);
	return ends[0];
}

/* A socket keeps the namespace it was made in, so the look after the exit costs one ioctl. */
static int socket_inside(const char *netns)
{
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int target = open(netns, O_RDONLY | O_CLOEXEC);
	if (home < 0 || target < 0) die("opening the namespace %s: %s", netns, strerror(errno));
	if (setns(target, CLONE_NEWNET) != 0) die("entering the namespace %s: %s", netns, strerror(errno));
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0) die("socket in %s: %s", netns, strerror(errno));
	if (setns(home, CLONE_NEWNET) != 0) die("leaving the namespace %s: %s", netns, strerror(errno));
	close(home);
	close(target);
	return fd;
}

static struct ifreq named(const char *ifname)
{
	struct ifreq request = {0};
	strncpy(request.ifr_name, ifname, IFNAMSIZ - 1);
	return request;
}

static bool link_present(int probe, const char *ifname)
{
	struct ifreq request = named(ifname);
	if (ioctl(probe, SIOCGIFINDEX, &request) == 0) return true;
	if (errno != ENODEV) die("looking for %s: %s", ifname, strerror(errno));
	return false;
}

/* Sets the loopback's flags to what they are: no change, but it waits for its turn under RTNL. */
static void pass_rtnl(int probe)
{
	struct ifreq request = named("lo");
	if (ioctl(probe, SIOCGIFFLAGS, &request) != 0 || ioctl(probe, SIOCSIFFLAGS, &request) != 0)
		die("setting lo's flags: %s", strerror(errno));
}

static void read_job(struct job *job)
{
	job->argv = read_words("argv");
	if (job->argv[0] == NULL) die("a job without a program");
	job->envp = read_words("env");
	job->input = need_field("stdin");
	job->netns = need_field("netns");
	job->ifname = need_field("ifname");
	job->in = filled_pipe(job->input);
	job->out = memory_file();
	job->err = memory_file();
	job->probe = *job->netns == '\0' ? -1 : socket_inside(job->netns);
}

static void free_job(struct job *job)
{
	free_words(job->argv);
	free_words(job->envp);
	free(job->input);
	free(job->netns);
	free(job->ifname);
	close(job->out);
	close(job->err);
	if (job->probe >= 0) close(job->probe);
}

static void start(struct job *job)
{
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, job->in, 0);
	posix_spawn_file_actions_adddup2(&actions, job->out, 1);
	posix_spawn_file_actions_adddup2(&actions, job->err, 2);
	job->start_ns = now_ns();
	int error = posix_spawn(&job->pid, job->argv[0], &actions, NULL, job->argv, job->envp);
	posix_spawn_file_actions_destroy(&actions);
	close(job->in);
	if (error != 0) die("starting %s: %s", job->argv[0], strerror(error));
}

static void kill_running(struct job *jobs, int n)
{
	for (int i = 0; i < n; i++)
		if (jobs[i].pid > 0 && !jobs[i].done) kill(jobs[i].pid, SIGKILL);
}

/* Waits for all; true when the deadline ended it. A signal to end kills the jobs, then us. */
static bool wait_for_all(struct job *jobs, int n)
{
	bool timed_out = false;
	for (int left = n; left > 0;) {
		int status;
		pid_t pid = waitpid(-1, &status, 0);
		int64_t end = now_ns();
		if (pid < 0 && errno != EINTR) die("waitpid: %s", strerror(errno));
		if (interrupted != 0) {
			kill_running(jobs, n);
			timed_out = interrupted == SIGALRM;
			if (!timed_out) exit(128 + interrupted);
		}
		for (int i = 0; i < n && pid > 0; i++) {
			if (jobs[i].pid != pid) continue;
			jobs[i].done = true;
			jobs[i].status = status;
			jobs[i].end_ns = end;
			left--;
		}
	}
	return timed_out;
}

/* The links that have to be gone: noted if they were still there, then waited for. */
static bool wait_until_settled(struct job *jobs, int n)
{
	for (int i = 0; i < n; i++)
		if (jobs[i].probe >= 0) jobs[i].present = link_present(jobs[i].probe, jobs[i].ifname);
	for (int i = 0; i < n; i++) {
		if (jobs[i].probe < 0) continue;
		while (link_present(jobs[i].probe, jobs[i].ifname))
			if (interrupted != 0) return true;
		pass_rtnl(jobs[i].probe);
	}
	return false;
}

static void print_json_text(int fd)
{
	struct stat about;
	if (fstat(fd, &about) != 0) die("fstat: %s", strerror(errno));
	putchar('"');
	if (about.st_size > 0) {
		const unsigned char *text = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_SHARED, fd, 0);
		if (text == MAP_FAILED) die("mmap: %s", strerror(errno));
		for (off_t i = 0; i < about.st_size; i++) {
			if (text[i] == '"' || text[i] == '\\') printf("\\%c", text[i]);
			else if (text[i] < 0x20) printf("\\u%04x", text[i]);
			else putchar(text[i]);
		}
		munmap((void *)text, (size_t)about.st_size);
	}
	putchar('"');
}

static double us(int64_t ns) { return (double)ns / 1000; }

static void run_batch(int n)
{
	struct job *jobs = checked(calloc((size_t)n, sizeof *jobs));
	for (int i = 0; i < n; i++) read_job(&jobs[i]);

	interrupted = 0;
	alarm(BATCH_DEADLINE_SECONDS);
	for (int i = 0; i < n; i++) start(&jobs[i]);
	bool timed_out = wait_for_all(jobs, n);
	bool unsettled = wait_until_settled(jobs, n);
	int64_t settled_ns = now_ns();
	alarm(0);

	int64_t last_ns = 0;
	for (int i = 0; i < n; i++)
		if (jobs[i].end_ns > last_ns) last_ns = jobs[i].end_ns;
	printf("{\"elapsedUs\":%.1f,\"settledUs\":%.1f,\"timedOut\":%s,\"jobs\":[", us(last_ns - jobs[0].start_ns),
	       us(settled_ns - jobs[0].start_ns), timed_out || unsettled ? "true" : "false");
	for (int i = 0; i < n; i++) {
		int status = jobs[i].status;
		printf("%s{\"us\":%.1f,\"exit\":%d,\"signal\":%d,\"present\":%s,\"stdout\":", i > 0 ? "," : "",
		       us(jobs[i].end_ns - jobs[i].start_ns), WIFEXITED(status) ? WEXITSTATUS(status) : -1,
		       WIFSIGNALED(status) ? WTERMSIG(status) : 0, jobs[i].present ? "true" : "false");
		print_json_text(jobs[i].out);
		printf(",\"stderr\":");
		print_json_text(jobs[i].err);
		putchar('}');
		free_job(&jobs[i]);
	}
	puts("]}");
	fflush(stdout);
	free(jobs);
}

int main(void)
{
	/* What our own parent left open is nothing of the jobs'. */
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) != 0) die("close_range: %s", strerror(errno));

	/* Without SA_RESTART, so that waitpid returns. */
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGALRM, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);

	for (char *word; (word = read_field()) != NULL; free(word)) {
		if (strcmp(word, "batch") != 0) die("\"%s\" where \"batch\" was expected", word);
		int n = need_count("batch", MAX_JOBS);
		if (n == 0) die("an empty batch");
		run_batch(n);
	}
	return 0;
}
