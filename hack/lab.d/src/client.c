/*
 * client: the host side of a command in the lab's machine.
 *
 *   client --dir DIR [OPTION]... -- COMMAND [ARG]...   run it; exit with its status
 *   client --dir DIR --ready SECONDS                   wait until the machine takes commands
 *   client --dir DIR --bye                             have the machine flush and end its processes
 *
 * DIR holds the machine's sockets chan0, chan1, ... (see protocol.h) and its console.log.
 * Options: --boot SECONDS (the machine is still booting), --end (end the machine afterwards),
 * --tty, --timeout SECONDS, --cwd DIR, --env NAME=VALUE, --watch DIR (a tree of the host: when
 * anything in it changed since the last command, the machine forgets what it cached), --refresh.
 *
 * Exits 124 when the time is over, 125 when the machine failed, 126 and 127 as shells do.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include "protocol.h"

#define MAX_ARGS 4096
#define GRACE_MS 5000

static const char *dir;
static int lock_file = -1, console_file = -1, qemu_log_file = -1;
static int channel = -1;              /* the socket */
static int tty_mode;
static struct termios tty_before;
static int tty_changed;

extern char **environ;

static void restore_tty(void)
{
  if (tty_changed)
    tcsetattr(0, TCSADRAIN, &tty_before);
  tty_changed = 0;
}

static _Noreturn void leave(int status)
{
  restore_tty();
  exit(status);
}

static void say(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  restore_tty();
  fprintf(stderr, "hack/lab: ");
  vfprintf(stderr, format, args);
  fprintf(stderr, "\n");
  va_end(args);
}

static int64_t now_ms(void)
{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void pause_ms(int ms)
{
  struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
  nanosleep(&t, NULL);
}

/* The last lines of a log, each behind a bar. */
static void show_tail(int fd, int lines)
{
  static char text[8192];
  off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
  off_t from = size > (off_t)sizeof text - 1 ? size - (off_t)sizeof text + 1 : 0;
  ssize_t n = size > 0 ? pread(fd, text, sizeof text - 1, from) : 0;
  if (n <= 0)
    return;
  while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
    n--;
  text[n] = 0;
  char *start = text + n;
  while (start > text && (start[-1] != '\n' || --lines > 0))
    start--;
  for (char *line = strtok(start, "\r\n"); line; line = strtok(NULL, "\r\n"))
    fprintf(stderr, "  | %s\n", line);
}

static void report_failure(const char *what)
{
  say("%s", what);
  if (qemu_log_file >= 0 && lseek(qemu_log_file, 0, SEEK_END) > 0) {
    fprintf(stderr, "  QEMU said:\n");
    show_tail(qemu_log_file, 10);
  }
  if (console_file >= 0 && lseek(console_file, 0, SEEK_END) > 0) {
    fprintf(stderr, "  the last lines of its console:\n");
    show_tail(console_file, 25);
  }
}

static _Noreturn void machine_failed(const char *what)
{
  report_failure(what);
  leave(125);
}

/* The keeper holds the lock for as long as the machine runs. */
static int machine_runs(void)
{
  if (flock(lock_file, LOCK_SH | LOCK_NB) == 0) {
    flock(lock_file, LOCK_UN);
    return 0;
  }
  return 1;
}

static int try_connect(int n)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  snprintf(address.sun_path, sizeof address.sun_path, "chan%d", n);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
    return fd;
  int error = errno;
  if (fd >= 0)
    close(fd);
  errno = error;
  return -1;
}

/* Takes a free channel and connects to it; waits while all are busy, or while QEMU starts. */
static void take_channel(int64_t deadline)
{
  for (;;) {
    int channels = 0;
    for (int n = 0;; n++) {
      char name[32];
      snprintf(name, sizeof name, "chan%d", n);
      if (access(name, F_OK))
        break;
      channels++;
      snprintf(name, sizeof name, "chan%d.lock", n);
      int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
      if (fd < 0)
        machine_failed("cannot make a lock file in the machine's folder");
      if (flock(fd, LOCK_EX | LOCK_NB) == 0 && (channel = try_connect(n)) >= 0)
        return; /* the lock stays with the open descriptor until this process ends */
      close(fd);
    }
    if (!machine_runs())
      machine_failed(deadline ? "the machine ended before it was ready" : "the machine has ended");
    if (deadline && !channels && now_ms() > deadline)
      machine_failed("QEMU did not open its channels in time");
    pause_ms(10);
  }
}

static void send_all(const void *data, size_t size)
{
  const char *p = data;
  while (size) {
    ssize_t n = send(channel, p, size, MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      machine_failed("the connection to the machine broke");
    p += n;
    size -= (size_t)n;
  }
}

static void send_frame(enum lab_frame type, const void *payload, size_t size)
{
  unsigned char header[LAB_HEADER_SIZE];
  lab_put_header(header, type, (uint32_t)size);
  send_all(header, sizeof header);
  if (size)
    send_all(payload, size);
}

static unsigned char in[LAB_CHUNK * 2 + 64];
static size_t in_used;

/* Reads what is there, at most until the deadline (0: none): 1 data, 0 nothing yet; ends when the machine is gone. */
static int receive(int64_t deadline, const char *gone)
{
  struct pollfd p = { channel, POLLIN, 0 };
  int64_t left = deadline ? deadline - now_ms() : -1;
  if (deadline && left < 0)
    left = 0;
  int ready = poll(&p, 1, (int)left);
  if (ready <= 0)
    return 0;
  ssize_t n = read(channel, in + in_used, sizeof in - in_used);
  if (n < 0 && (errno == EINTR || errno == EAGAIN))
    return 0;
  if (n <= 0) {
    for (int i = 0; i < 100 && machine_runs(); i++) /* let QEMU's last words reach the logs */
      pause_ms(10);
    machine_failed(gone);
  }
  in_used += (size_t)n;
  return 1;
}

/* The next whole frame in the buffer, if any. */
static int next_frame(unsigned char *type, unsigned char **payload, uint32_t *size)
{
  if (in_used < LAB_HEADER_SIZE)
    return 0;
  *size = lab_length(in);
  if (*size > LAB_CHUNK)
    machine_failed("the machine sent nonsense");
  if (in_used < LAB_HEADER_SIZE + *size)
    return 0;
  *type = in[0];
  *payload = in + LAB_HEADER_SIZE;
  return 1;
}

static void drop_frame(uint32_t size)
{
  size_t whole = LAB_HEADER_SIZE + size;
  memmove(in, in + whole, in_used - whole);
  in_used -= whole;
}

/* Greets, and skips all that was meant for an earlier client of the channel. */
static int greet(int64_t deadline)
{
  unsigned char greeting[LAB_GREETING_SIZE];
  lab_magic(greeting);
  unsigned char *session = greeting + LAB_MAGIC_SIZE;
  if (getrandom(session, LAB_SESSION_SIZE, 0) != LAB_SESSION_SIZE)
    machine_failed("no random numbers");
  send_all(greeting, sizeof greeting);
  struct lab_seeker seeker = { 0 };
  for (;;) {
    for (size_t i = 0; i < in_used; i++)
      if (lab_seek(&seeker, in[i]) && !memcmp(seeker.session, session, LAB_SESSION_SIZE)) {
        memmove(in, in + i + 1, in_used - i - 1);
        in_used -= i + 1;
        return 1;
      }
    in_used = 0;
    if (!receive(deadline, "the machine ended before it was ready") && deadline && now_ms() >= deadline)
      return 0;
  }
}

/* Waits for an answer that is the request's own type. */
static int await(enum lab_frame wanted, int64_t deadline)
{
  for (;;) {
    unsigned char type, *payload;
    uint32_t size;
    while (next_frame(&type, &payload, &size)) {
      drop_frame(size);
      if (type == wanted)
        return 1;
    }
    if (!receive(deadline, "the machine ended") && deadline && now_ms() >= deadline)
      return 0;
  }
}

static int newer(const struct stat *s, const struct timespec *t)
{
  return s->st_ctim.tv_sec > t->tv_sec || (s->st_ctim.tv_sec == t->tv_sec && s->st_ctim.tv_nsec >= t->tv_nsec);
}

/* The paths that changed, each ended by NUL. */
static char *changes;
static size_t changes_used, changes_size;

static void note_change(const char *path)
{
  size_t length = strlen(path) + 1;
  if (changes_used + length > changes_size) {
    changes_size = (changes_size + length) * 2;
    changes = realloc(changes, changes_size);
    if (!changes)
      machine_failed("out of memory");
  }
  memcpy(changes + changes_used, path, length);
  changes_used += length;
}

/* Notes what changed below fd since then; path is its name. Of node_modules only the top is looked
 * at, since npm rewrites its hidden lock file: 1 when that changed, and all is to be forgotten.
 * .git and the folder for results do not matter to a command. */
static int find_changes(int fd, char *path, const struct timespec *since, const struct stat *results)
{
  DIR *d = fdopendir(fd);
  if (!d)
    return 1;
  size_t length = strlen(path);
  struct dirent *e;
  int all = 0;
  while (!all && (e = readdir(d))) {
    struct stat s;
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") || !strcmp(e->d_name, ".git"))
      continue;
    if (fstatat(dirfd(d), e->d_name, &s, AT_SYMLINK_NOFOLLOW))
      continue;
    if (results && s.st_ino == results->st_ino && s.st_dev == results->st_dev)
      continue;
    if (length + strlen(e->d_name) + 2 > PATH_MAX)
      continue;
    path[length] = '/';
    strcpy(path + length + 1, e->d_name);
    if (newer(&s, since))
      note_change(path);
    int child = S_ISDIR(s.st_mode) ? openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (child >= 0 && !strcmp(e->d_name, "node_modules")) {
      all = fstatat(child, ".package-lock.json", &s, 0) == 0 && newer(&s, since);
      close(child);
    } else if (child >= 0)
      all = find_changes(child, path, since, results);
    path[length] = 0;
  }
  closedir(d);
  return all;
}

/* The stamp file "seen" says when the host's files were last looked at. It is replaced only after
 * the machine has forgotten its caches, so a second client that comes meanwhile asks for the same. */
static void refresh_if_changed(const char *tree, int force)
{
  char stamp[32];
  snprintf(stamp, sizeof stamp, "seen.%d", (int)getpid());
  int fd = open(stamp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return;
  close(fd);
  struct stat before, results, top;
  int have_results = stat("out", &results) == 0;
  int all = force || stat("seen", &before) != 0;
  int tree_fd = all || !tree ? -1 : open(tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (tree_fd >= 0 && fstat(tree_fd, &top) == 0) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", tree);
    if (newer(&top, &before.st_mtim))
      note_change(tree);
    all = find_changes(tree_fd, path, &before.st_mtim, have_results ? &results : NULL);
  }
  if (all || changes_used > LAB_MAX_FRAME / 8)
    changes_used = 0;
  else if (!changes_used) {
    unlink(stamp);
    return;
  }
  send_frame(LAB_REFRESH, changes, changes_used);
  await(LAB_REFRESH, 0);
  rename(stamp, "seen");
}

static int passed_on(const char *entry)
{
  static const char *const names[] = { "HOME=", "PATH=", "TERM=", "LANG=", "LC_ALL=", "USER=", "LOGNAME=", "TZ=", "CI=",
    "NO_COLOR=", "FORCE_COLOR=", "COLORTERM=", "NODE_OPTIONS=", "BERTH_", NULL };
  for (int i = 0; names[i]; i++)
    if (!strncmp(entry, names[i], strlen(names[i])))
      return 1;
  return 0;
}

static int window_size(unsigned char out[4])
{
  struct winsize w;
  if (ioctl(0, TIOCGWINSZ, &w) && ioctl(1, TIOCGWINSZ, &w))
    return 0;
  lab_put_u16(out, w.ws_row);
  lab_put_u16(out + 2, w.ws_col);
  return 1;
}

static void send_run(const char *cwd, char **command, char **extra, int extras)
{
  size_t size = 5 + strlen(cwd) + 1 + 16 + sizeof "BERTH_LAB=1";
  int argc = 0;
  for (; command[argc]; argc++)
    size += strlen(command[argc]) + 1;
  for (char **e = environ; *e; e++)
    size += passed_on(*e) ? strlen(*e) + 1 : 0;
  for (int i = 0; i < extras; i++)
    size += strlen(extra[i]) + 1;
  if (size > LAB_MAX_FRAME) {
    say("the command and its environment are too long (%zu bytes)", size);
    leave(126);
  }
  unsigned char *frame = calloc(1, size), *p = frame;
  if (!frame)
    leave(125);
  *p++ = tty_mode ? LAB_RUN_TTY : 0;
  window_size(p);
  p += 4;
  p = (unsigned char *)stpcpy((char *)p, cwd) + 1;
  p += sprintf((char *)p, "%d", argc) + 1;
  for (int i = 0; i < argc; i++)
    p = (unsigned char *)stpcpy((char *)p, command[i]) + 1;
  for (char **e = environ; *e; e++)
    if (passed_on(*e))
      p = (unsigned char *)stpcpy((char *)p, *e) + 1;
  p = (unsigned char *)stpcpy((char *)p, "BERTH_LAB=1") + 1;
  for (int i = 0; i < extras; i++) /* the machine takes the last of equal names */
    p = (unsigned char *)stpcpy((char *)p, extra[i]) + 1;
  send_frame(LAB_RUN, frame, (size_t)(p - frame));
  free(frame);
}

static void write_out(int fd, const unsigned char *data, size_t size)
{
  while (size) {
    ssize_t n = write(fd, data, size);
    if (n < 0 && errno == EAGAIN) {
      struct pollfd p = { fd, POLLOUT, 0 };
      poll(&p, 1, -1);
      continue;
    }
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return; /* the reader has gone: EPIPE comes as a signal, and ends the command with us */
    data += n;
    size -= (size_t)n;
  }
}

/* A background job must not read the terminal: it would be stopped. */
static int stdin_usable(void)
{
  return !isatty(0) || tcgetpgrp(0) == getpgrp();
}

/* Ctrl-A X ends the session, Ctrl-A Ctrl-A is one Ctrl-A. Returns the new size, or -1 to end. */
static ssize_t take_escapes(unsigned char *data, ssize_t size)
{
  static int escaped;
  ssize_t kept = 0;
  for (ssize_t i = 0; i < size; i++) {
    if (escaped) {
      escaped = 0;
      if (data[i] == 'x' || data[i] == 'X')
        return -1;
      if (data[i] != 1)
        data[kept++] = 1; /* data[i - 1] was it, or came in the read before: there is room either way */
      if (kept <= i)
        data[kept++] = data[i];
    } else if (data[i] == 1)
      escaped = 1;
    else
      data[kept++] = data[i];
  }
  return kept;
}

static int run(const char *cwd, int timeout_s, char **command, char **extra, int extras)
{
  sigset_t signals;
  sigemptyset(&signals);
  const int taken[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    signal(taken[i], SIG_DFL); /* a shell's background job starts with SIGINT ignored */
    sigaddset(&signals, taken[i]);
  }
  sigprocmask(SIG_BLOCK, &signals, NULL);
  int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);

  if (tty_mode && isatty(0) && tcgetattr(0, &tty_before) == 0) {
    struct termios raw = tty_before;
    cfmakeraw(&raw);
    tty_changed = tcsetattr(0, TCSADRAIN, &raw) == 0;
  }
  send_run(cwd, command, extra, extras);

  int64_t deadline = timeout_s > 0 ? now_ms() + (int64_t)timeout_s * 1000 : 0;
  int64_t give_up = 0; /* when to leave although the command has not ended */
  int status_then = 125;
  int stdin_open = stdin_usable();
  static unsigned char out[LAB_HEADER_SIZE + LAB_CHUNK];
  size_t out_size = 0, out_sent = 0; /* one frame of stdin under way */
  if (!stdin_open)
    send_frame(LAB_STDIN, NULL, 0);
  fcntl(channel, F_SETFL, fcntl(channel, F_GETFL) | O_NONBLOCK);

  for (;;) {
    int64_t until = give_up ? give_up : deadline;
    int64_t left = until ? until - now_ms() : -1;
    struct pollfd fds[] = {
      { channel, (short)(POLLIN | (out_sent < out_size ? POLLOUT : 0)), 0 },
      { signal_fd, POLLIN, 0 },
      { stdin_open && out_sent == out_size ? 0 : -1, POLLIN, 0 },
    };
    int n = poll(fds, 3, until ? (left < 0 ? 0 : (int)left) : -1);
    if (n < 0 && errno != EINTR)
      machine_failed("poll");
    if (until && now_ms() >= until) {
      if (give_up)
        return status_then;
      say("the command is still running after %d s: ending it", timeout_s);
      status_then = 124;
      give_up = now_ms() + GRACE_MS;
      if (out_sent == out_size)
        send_frame(LAB_SIGNAL, (unsigned char[]){ SIGTERM }, 1);
    }
    if (n <= 0)
      continue;
    if (fds[1].revents) {
      struct signalfd_siginfo info;
      while (read(signal_fd, &info, sizeof info) == sizeof info) {
        int sig = (int)info.ssi_signo;
        unsigned char size[4];
        if (sig == SIGWINCH) {
          if (tty_mode && out_sent == out_size && window_size(size))
            send_frame(LAB_WINDOW, size, 4);
          continue;
        }
        if (give_up) /* asked twice: do not wait for the command */
          return status_then;
        status_then = 128 + sig;
        give_up = now_ms() + GRACE_MS;
        if (out_sent == out_size)
          send_frame(LAB_SIGNAL, (unsigned char[]){ (unsigned char)sig }, 1);
      }
    }
    if (fds[0].revents & (POLLIN | POLLHUP | POLLERR)) {
      receive(0, "the machine ended while the command was running");
      unsigned char type, *payload;
      uint32_t size;
      while (next_frame(&type, &payload, &size)) {
        int status = -1;
        if (type == LAB_STDOUT || type == LAB_STDERR)
          write_out(type == LAB_STDOUT ? 1 : 2, payload, size);
        else if (type == LAB_EXIT && size == 1)
          status = payload[0];
        else if (type == LAB_FAILED && size >= 1) {
          say("%.*s: %s", (int)size - 1, (char *)payload + 1, strerror(payload[0]));
          status = payload[0] == ENOENT ? 127 : 126;
        }
        drop_frame(size);
        if (status >= 0)
          return status_then == 124 ? 124 : status;
      }
    }
    if (out_sent < out_size) {
      ssize_t sent = send(channel, out + out_sent, out_size - out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0)
        out_sent += (size_t)sent;
    } else if (stdin_open && fds[2].revents) {
      ssize_t got = read(0, out + LAB_HEADER_SIZE, LAB_CHUNK / 2);
      if (got < 0 && (errno == EINTR || errno == EAGAIN))
        continue;
      if (got > 0 && tty_mode && (got = take_escapes(out + LAB_HEADER_SIZE, got)) < 0)
        return 0;
      if (got == 0 && tty_mode && tty_changed)
        continue;
      if (got <= 0) {
        stdin_open = 0;
        got = 0;
      }
      lab_put_header(out, LAB_STDIN, (uint32_t)got);
      out_size = LAB_HEADER_SIZE + (size_t)got;
      out_sent = 0;
    }
  }
}

/* Has the keeper end QEMU, and waits until it has. */
static void end_machine(void)
{
  FILE *f = fopen("keeper.pid", "r");
  int keeper = 0;
  if (f && fscanf(f, "%d", &keeper) == 1 && keeper > 1 && machine_runs())
    kill(keeper, SIGTERM);
  for (int i = 0; i < 2000 && machine_runs(); i++)
    pause_ms(5);
}

/* So that what was written to /lab/out is complete; also rids a channel of a command still running. */
static void flush_machine(void)
{
  fcntl(channel, F_SETFL, fcntl(channel, F_GETFL) & ~O_NONBLOCK);
  if (greet(now_ms() + GRACE_MS)) {
    send_frame(LAB_BYE, NULL, 0);
    await(LAB_BYE, now_ms() + GRACE_MS);
  }
}

static const char *value_of(int argc, char **argv, int *i)
{
  if (*i + 1 >= argc) {
    say("%s wants a value", argv[*i]);
    leave(2);
  }
  return argv[++*i];
}

int main(int argc, char **argv)
{
  const char *cwd = "/", *watch = NULL;
  int boot_s = 0, ready_s = 0, timeout_s = 0, bye = 0, end = 0, refresh = 0, extras = 0;
  static char *extra[MAX_ARGS];
  char **command = NULL;
  for (int i = 1; i < argc && !command; i++) {
    if (!strcmp(argv[i], "--"))
      command = argv + i + 1;
    else if (!strcmp(argv[i], "--tty"))
      tty_mode = 1;
    else if (!strcmp(argv[i], "--end"))
      end = 1;
    else if (!strcmp(argv[i], "--bye"))
      bye = 1;
    else if (!strcmp(argv[i], "--refresh"))
      refresh = 1;
    else if (!strcmp(argv[i], "--dir"))
      dir = value_of(argc, argv, &i);
    else if (!strcmp(argv[i], "--cwd"))
      cwd = value_of(argc, argv, &i);
    else if (!strcmp(argv[i], "--watch"))
      watch = value_of(argc, argv, &i);
    else if (!strcmp(argv[i], "--boot"))
      boot_s = atoi(value_of(argc, argv, &i));
    else if (!strcmp(argv[i], "--ready"))
      ready_s = atoi(value_of(argc, argv, &i));
    else if (!strcmp(argv[i], "--timeout"))
      timeout_s = atoi(value_of(argc, argv, &i));
    else if (!strcmp(argv[i], "--env") && extras < MAX_ARGS)
      extra[extras++] = (char *)value_of(argc, argv, &i);
    else {
      say("client: unknown argument %s", argv[i]);
      leave(2);
    }
  }
  if (!dir || (!command && !ready_s && !bye) || (command && !*command)) {
    say("client: missing argument");
    leave(2);
  }
  if (chdir(dir) || (lock_file = open("lock", O_RDONLY | O_CLOEXEC)) < 0) {
    say("there is no such machine (%s: %s)", dir, strerror(errno));
    leave(125);
  }
  console_file = open("console.log", O_RDONLY | O_CLOEXEC);
  qemu_log_file = open("qemu.log", O_RDONLY | O_CLOEXEC);

  /* A machine that stands still keeps its channels open and never answers. */
  int wait_s = ready_s ? ready_s : boot_s ? boot_s : bye ? GRACE_MS / 1000 : timeout_s;
  int64_t deadline = wait_s ? now_ms() + (int64_t)wait_s * 1000 : 0;
  take_channel(deadline);
  if (!greet(deadline)) {
    char text[128];
    snprintf(text, sizeof text, "the machine %s after %d s", ready_s || boot_s ? "was not ready" : "does not answer",
             wait_s);
    report_failure(text);
    if (end)
      end_machine();
    leave(125);
  }
  if (ready_s)
    return 0;
  if (bye) {
    send_frame(LAB_BYE, NULL, 0);
    return await(LAB_BYE, now_ms() + GRACE_MS) ? 0 : 1;
  }
  if (!boot_s)
    refresh_if_changed(watch, refresh);
  int status = run(cwd, timeout_s, command, extra, extras);
  restore_tty();
  if (end) {
    flush_machine();
    end_machine();
  }
  leave(status);
}
