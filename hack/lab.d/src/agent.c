/*
 * agent: runs the host's commands in the machine. One worker process per channel, one command at
 * a time in each; protocol.h has what is said. The first process only collects the dead.
 *
 * A command gets a session and a control group of its own. When its client goes away it is killed
 * with all its descendants; when it ends by itself, what it left running stays (a daemon that one
 * command starts serves the next ones), but its output is no longer listened to.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include "machine.h"
#include "protocol.h"

#define QUEUE_LIMIT (4 * LAB_CHUNK)
#define TTY_LINGER_MS 500
#define GREETING_MS 5000

static int channel_number;
static int port = -1, poller = -1;

/* bytes on their way to the host */
static unsigned char queue[QUEUE_LIMIT + 2 * LAB_CHUNK];
static size_t queue_used, queue_sent;

/* the frame being received */
static unsigned char *frame;
static size_t frame_used;
static unsigned char header[LAB_HEADER_SIZE];
static size_t header_used;
static struct lab_seeker seeker;

static int64_t greeted_until;

/* the command under way */
static pid_t command; /* 0: none */
static int command_fd = -1, in_fd = -1, out_fd = -1, err_fd = -1;
static int is_tty, command_ended, end_of_stdin;
static unsigned char exit_code;
static int out_left = -1, err_left = -1;
static int64_t linger_until;
static unsigned char *stdin_data; /* what the command has not read yet */
static size_t stdin_used, stdin_size;
static char cgroup[64];

static int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void send_frame(enum lab_frame type, const void *payload, size_t size)
{
  lab_put_header(queue + queue_used, type, (uint32_t)size);
  if (size)
    memcpy(queue + queue_used + LAB_HEADER_SIZE, payload, size);
  queue_used += LAB_HEADER_SIZE + size;
}

static void flush_queue(void)
{
  while (queue_sent < queue_used) {
    ssize_t n = write(port, queue + queue_sent, queue_used - queue_sent);
    if (n <= 0)
      return; /* EAGAIN: the port's next edge calls again */
    queue_sent += (size_t)n;
  }
  queue_used = queue_sent = 0;
}

static int room(void)
{
  if (queue_sent && queue_used > QUEUE_LIMIT - LAB_CHUNK) {
    memmove(queue, queue + queue_sent, queue_used - queue_sent);
    queue_used -= queue_sent;
    queue_sent = 0;
  }
  return queue_used <= QUEUE_LIMIT;
}

static void close_fd(int *fd)
{
  if (*fd >= 0)
    close(*fd); /* also leaves the poller: no other descriptor of the same file is open here */
  *fd = -1;
}

static void kill_group(void)
{
  char path[96];
  snprintf(path, sizeof path, "%s/cgroup.kill", cgroup);
  if (write_text(path, "1"))
    kill(-command, SIGKILL);
}

static void forget_command(void)
{
  close_fd(&in_fd);
  close_fd(&out_fd);
  close_fd(&err_fd);
  close_fd(&command_fd);
  rmdir(cgroup); /* fails while something of it still runs */
  command = 0;
  command_ended = end_of_stdin = 0;
  out_left = err_left = -1;
  stdin_used = 0;
}

/* The client has gone, or has been replaced. */
static void abandon(void)
{
  if (command && !command_ended) {
    kill_group();
    waitpid(command, NULL, 0);
  }
  if (command)
    forget_command();
  queue_used = queue_sent = 0;
  header_used = 0;
  free(frame);
  frame = NULL;
}

static void listen_to(int fd, uint32_t events)
{
  struct epoll_event e = { .events = events, .data.fd = fd };
  epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
}

static void fail(int error, const char *step)
{
  char text[512];
  text[0] = (char)error;
  int n = snprintf(text + 1, sizeof text - 1, "%s", step);
  send_frame(LAB_FAILED, text, 1 + (size_t)(n < (int)sizeof text - 1 ? n : (int)sizeof text - 2));
}

/* Tells the worker, over the pipe, what went wrong between fork and exec. */
static _Noreturn void child_failed(int fd, const char *step)
{
  unsigned char error = (unsigned char)errno;
  if (write(fd, &error, 1) == 1 && write(fd, step, strlen(step)) >= 0)
    _exit(127);
  _exit(127);
}

static void join_cgroup(void)
{
  char path[96];
  snprintf(path, sizeof path, "%s/cgroup.procs", cgroup);
  write_text(path, "0");
}

static void start(unsigned char *data, size_t size)
{
  static unsigned serial;
  char *end = (char *)data + size, *p = (char *)data + 5;
  is_tty = data[0] & LAB_RUN_TTY;
  char *cwd = p;
  p += strlen(p) + 1;
  int argc = p < end ? atoi(p) : 0;
  p += p < end ? strlen(p) + 1 : 0;
  char **argv = calloc((size_t)argc + 1, sizeof *argv);
  int n = 0;
  for (; n < argc && p < end; p += strlen(p) + 1)
    argv[n++] = p;
  if (n == 0) {
    free(argv);
    fail(EINVAL, "empty command");
    return;
  }
  char *environment = p;

  int in[2] = { -1, -1 }, out[2] = { -1, -1 }, err[2] = { -1, -1 }, report[2];
  struct winsize w = { .ws_row = (unsigned short)lab_u16(data + 1), .ws_col = (unsigned short)lab_u16(data + 3) };
  int made = is_tty ? openpty(&out[0], &out[1], NULL, NULL, w.ws_row ? &w : NULL)
    : pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC);
  if (made || pipe2(report, O_CLOEXEC)) {
    fail(errno, "pipe");
    free(argv);
    return;
  }
  if (is_tty)
    fcntl(out[0], F_SETFD, FD_CLOEXEC);
  snprintf(cgroup, sizeof cgroup, LAB_CGROUP "/%d.%u", channel_number, serial++);
  mkdir(cgroup, 0755);

  command = fork();
  if (command == 0) {
    setsid();
    join_cgroup();
    if (is_tty)
      ioctl(out[1], TIOCSCTTY, 0);
    dup2(is_tty ? out[1] : in[0], 0);
    dup2(out[1], 1);
    dup2(is_tty ? out[1] : err[1], 2);
    if (is_tty && out[1] > 2)
      close(out[1]);
    signal(SIGPIPE, SIG_DFL);
    clearenv();
    for (p = environment; p < end; p += strlen(p) + 1)
      putenv(p);
    if (chdir(cwd))
      child_failed(report[1], cwd);
    setenv("PWD", cwd, 1);
    char path[8192];
    const char *given = getenv("PATH");
    snprintf(path, sizeof path, "%s:" LAB_TOOLS, given && *given ? given : "/usr/sbin:/usr/bin:/sbin:/bin");
    setenv("PATH", path, 1);
    execvp(argv[0], argv);
    child_failed(report[1], argv[0]);
  }
  free(argv);
  close(report[1]);
  close_fd(&in[0]);
  close_fd(&out[1]);
  close_fd(&err[1]);
  in_fd = is_tty ? fcntl(out[0], F_DUPFD_CLOEXEC, 3) : in[1];
  out_fd = out[0];
  err_fd = err[0];
  char problem[512];
  ssize_t got = command < 0 ? 0 : read(report[0], problem, sizeof problem - 1);
  close(report[0]);
  if (command < 0 || got > 0) {
    problem[got > 0 ? got : 0] = 0;
    if (command > 0)
      waitpid(command, NULL, 0);
    fail(got > 0 ? (unsigned char)problem[0] : EAGAIN, got > 1 ? problem + 1 : "fork");
    forget_command();
    return;
  }
  fcntl(in_fd, F_SETFL, O_NONBLOCK);
  fcntl(out_fd, F_SETFL, O_NONBLOCK);
  command_fd = (int)syscall(SYS_pidfd_open, command, 0);
  listen_to(command_fd, EPOLLIN);
  listen_to(out_fd, EPOLLIN | EPOLLET);
  if (err_fd >= 0) {
    fcntl(err_fd, F_SETFL, O_NONBLOCK);
    listen_to(err_fd, EPOLLIN | EPOLLET);
  }
  listen_to(in_fd, EPOLLOUT | EPOLLET);
}

static void feed(void)
{
  size_t done = 0;
  while (in_fd >= 0 && done < stdin_used) {
    ssize_t n = write(in_fd, stdin_data + done, stdin_used - done);
    if (n < 0 && errno == EAGAIN)
      break;
    if (n < 0) { /* the command has closed its stdin: the rest is for nobody */
      done = stdin_used;
      if (!is_tty)
        close_fd(&in_fd);
      break;
    }
    done += (size_t)n;
  }
  if (in_fd < 0)
    done = stdin_used;
  memmove(stdin_data, stdin_data + done, stdin_used - done);
  stdin_used -= done;
  if (end_of_stdin && !stdin_used && in_fd >= 0 && !is_tty)
    close_fd(&in_fd);
}

static void take_stdin(const unsigned char *data, size_t size)
{
  if (!command)
    return;
  if (size == 0) {
    end_of_stdin = 1;
    if (is_tty)
      size = 1, data = (const unsigned char *)"\004"; /* what a terminal sends for it */
  }
  if (stdin_used + size > stdin_size) {
    stdin_size = stdin_used + size + LAB_CHUNK;
    stdin_data = realloc(stdin_data, stdin_size);
  }
  memcpy(stdin_data + stdin_used, data, size);
  stdin_used += size;
  feed();
}

/* 9p caches the host's files for good. Forgetting everything ("3") costs seconds, for the next
 * command reads Node.js anew; so only the changed files' pages go, then every name and inode that
 * holds no pages: theirs are among them. The second pass frees what the overlay's had pinned. */
static void refresh(const char *paths, size_t size)
{
  for (const char *p = paths; p < paths + size; p += strlen(p) + 1) {
    int fd = open(p, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
      continue;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
  }
  write_text("/proc/sys/vm/drop_caches", size ? "2" : "3");
  write_text("/proc/sys/vm/drop_caches", "2");
}

static void end_everything(void)
{
  kill(1, SIGUSR1); /* the first process ends all but the workers */
  nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
  sync();
}

static void take_frame(unsigned char type, unsigned char *data, size_t size)
{
  greeted_until = 0; /* the client has seen the answer: the connection is known */
  switch (type) {
  case LAB_RUN:
    if (!command && size > 6)
      start(data, size);
    break;
  case LAB_STDIN:
    take_stdin(data, size);
    break;
  case LAB_SIGNAL:
    if (command && !command_ended && size == 1)
      kill(-command, data[0]);
    break;
  case LAB_WINDOW:
    if (command && is_tty && size == 4)
      ioctl(out_fd, TIOCSWINSZ, &(struct winsize){ .ws_row = (unsigned short)lab_u16(data), .ws_col = (unsigned short)lab_u16(data + 2) });
    break;
  case LAB_REFRESH:
    refresh((const char *)data, size);
    send_frame(LAB_REFRESH, NULL, 0);
    break;
  case LAB_BYE:
    end_everything();
    send_frame(LAB_BYE, NULL, 0);
    break;
  }
}

static void take_byte(unsigned char byte)
{
  if (header_used < LAB_HEADER_SIZE) {
    header[header_used++] = byte;
    if (header_used < LAB_HEADER_SIZE)
      return;
    frame_used = 0;
    if (lab_length(header) <= LAB_MAX_FRAME)
      frame = malloc(lab_length(header) + 1);
    if (!frame) { /* nonsense: skip everything until the next greeting */
      header_used = 0;
      return;
    }
  } else
    frame[frame_used++] = byte;
  size_t length = lab_length(header);
  if (frame_used < length)
    return;
  frame[length] = 0;
  unsigned char *whole = frame;
  frame = NULL;
  header_used = 0;
  take_frame(header[0], whole, length);
  free(whole);
}

static void read_port(void)
{
  static unsigned char data[LAB_CHUNK];
  /* A command that does not read its stdin holds back its own client only. */
  while (stdin_used < QUEUE_LIMIT) {
    ssize_t n = read(port, data, sizeof data);
    if (n < 0)
      return;
    if (n == 0) {
      /* "Host disconnected". Right after a greeting it only means that the notice of the connection,
       * which takes another way than its data, is still to come. */
      if (now_ms() > greeted_until)
        abandon();
      return;
    }
    for (ssize_t i = 0; i < n; i++) {
      take_byte(data[i]);
      if (lab_seek(&seeker, data[i])) {
        abandon();
        unsigned char greeting[LAB_GREETING_SIZE];
        lab_magic(greeting);
        memcpy(greeting + LAB_MAGIC_SIZE, seeker.session, LAB_SESSION_SIZE);
        memcpy(queue, greeting, sizeof greeting);
        queue_used = sizeof greeting;
        greeted_until = now_ms() + GREETING_MS;
      }
    }
  }
}

/* Moves one piece of a command's output, at most left (negative: no limit); 1 while there may be more. */
static int drain(int *fd, enum lab_frame type, int *left)
{
  static unsigned char data[LAB_CHUNK - 64];
  if (*fd < 0 || *left == 0 || !room())
    return 0;
  ssize_t n = read(*fd, data, *left > 0 && *left < (int)sizeof data ? (size_t)*left : sizeof data);
  if (n > 0) {
    send_frame(type, data, (size_t)n);
    if (*left > 0)
      *left -= (int)n;
    return 1;
  }
  if (n == 0 || errno != EAGAIN) /* a pty answers EIO at its end */
    close_fd(fd);
  return 0;
}

/* A command that has ended gets what is in its pipes now, and no more: a daemon that it left may
 * write for ever. What is in a pty arrives a little later, so that one is read to its end. */
static int left_in(int fd)
{
  int n = 0;
  return fd < 0 || ioctl(fd, FIONREAD, &n) ? 0 : n;
}

static void work(void)
{
  poller = epoll_create1(EPOLL_CLOEXEC);
  listen_to(port, EPOLLIN | EPOLLOUT | EPOLLET);
  for (;;) {
    struct epoll_event events[8];
    /* With something left to send, look again even if an edge got lost. */
    int n = epoll_wait(poller, events, 8, command_ended ? 50 : queue_used || stdin_used ? 200 : -1);
    if (n < 0 && errno != EINTR)
      give_up("epoll: %s", strerror(errno));
    if (stdin_used)
      feed();
    read_port();
    if (command && !command_ended && command_fd >= 0) {
      int status;
      if (waitpid(command, &status, WNOHANG) == command) {
        command_ended = 1;
        exit_code = (unsigned char)(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
        close_fd(&command_fd);
        out_left = is_tty ? -1 : left_in(out_fd);
        err_left = left_in(err_fd);
        linger_until = now_ms() + TTY_LINGER_MS;
      }
    }
    for (;;) {
      flush_queue();
      int more = drain(&out_fd, LAB_STDOUT, &out_left);
      more |= drain(&err_fd, LAB_STDERR, &err_left);
      if (!more)
        break;
    }
    if (command && command_ended && room() && (!is_tty || out_fd < 0 || now_ms() > linger_until)) {
      send_frame(LAB_EXIT, &exit_code, 1);
      forget_command();
    }
    flush_queue();
  }
}

static int open_port(int number)
{
  char wanted[32], name[64], path[320];
  snprintf(wanted, sizeof wanted, "berth.lab.%d\n", number);
  DIR *d = opendir("/sys/class/virtio-ports");
  struct dirent *e;
  int fd = -1;
  while (d && fd < 0 && (e = readdir(d))) {
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", e->d_name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = file < 0 ? -1 : read(file, name, sizeof name - 1);
    if (file >= 0)
      close(file);
    name[n > 0 ? n : 0] = 0;
    if (strcmp(name, wanted))
      continue;
    snprintf(path, sizeof path, "/dev/%s", e->d_name);
    fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  }
  if (d)
    closedir(d);
  return fd;
}

#define MAX_WORKERS 32
static pid_t workers[MAX_WORKERS];
static int worker_count;
static void end_all_but_workers(void)
{
  DIR *d = opendir("/proc");
  struct dirent *e;
  while (d && (e = readdir(d))) {
    pid_t pid = atoi(e->d_name);
    int keep = pid <= 1;
    for (int i = 0; i < worker_count; i++)
      keep |= pid == workers[i];
    if (!keep)
      kill(pid, SIGKILL);
  }
  if (d)
    closedir(d);
}

_Noreturn void serve(void)
{
  for (int tries = 0; !worker_count; tries++) {
    for (int n = 0; n < MAX_WORKERS; n++) {
      int fd = open_port(n);
      if (fd < 0)
        break;
      pid_t pid = fork();
      if (pid == 0) {
        channel_number = n;
        port = fd;
        work();
        _exit(1);
      }
      close(fd);
      workers[worker_count++] = pid;
    }
    if (tries > 500)
      give_up("no channel to the host");
    if (!worker_count)
      nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
  }
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, NULL); /* the workers were forked before */
  for (;;) {
    pid_t dead;
    if (sigwaitinfo(&signals, NULL) == SIGUSR1)
      end_all_but_workers();
    while ((dead = waitpid(-1, NULL, WNOHANG)) > 0)
      for (int i = 0; i < worker_count; i++)
        if (dead == workers[i])
          give_up("worker %d ended", i);
  }
}
