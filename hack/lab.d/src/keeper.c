/*
 * keeper: starts QEMU and sees to it that it ends.
 *
 *   keeper --dir DIR --lock-fd N --owner PID [--next-owner PID] [--remove] -- QEMU ARG...
 *
 * QEMU ends when the owner process ends (however it ends, SIGKILL included), when the keeper is
 * told to (SIGTERM, SIGINT), and, by the kernel's parent-death signal, when the keeper itself is
 * killed. SIGUSR1 hands over from the owner to the next owner, or to nobody.
 *
 * The lock on DIR/lock is held through the inherited descriptor for as long as the keeper lives:
 * a machine runs if and only if that lock is held, whatever files were left behind.
 * Writes DIR/keeper.pid, DIR/qemu.pid and, at the end, DIR/ended. With --remove, DIR goes away.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
  fprintf(stderr, "keeper: %s: %s\n", what, strerror(errno));
  exit(125);
}

static void write_file(const char *name, const char *format, ...)
{
  char temporary[64];
  snprintf(temporary, sizeof temporary, "%s.new", name);
  FILE *f = fopen(temporary, "w");
  if (!f)
    die(temporary);
  va_list args;
  va_start(args, format);
  vfprintf(f, format, args);
  va_end(args);
  if (fclose(f) || rename(temporary, name))
    die(name);
}

static int watch_process(pid_t pid)
{
  int fd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0)
    die("the owner process");
  return fd;
}

/* DIR holds plain files and sockets only. */
static void remove_dir(const char *dir)
{
  DIR *d = opendir(".");
  struct dirent *e;
  while (d && (e = readdir(d)))
    unlink(e->d_name);
  if (chdir("/") == 0)
    rmdir(dir);
}

int main(int argc, char **argv)
{
  const char *dir = NULL;
  int lock_fd = -1, remove_at_end = 0;
  pid_t owner = 0, next_owner = 0;
  char **command = NULL;
  for (int i = 1; i < argc; i++) {
    const char *value = i + 1 < argc ? argv[i + 1] : "";
    if (!strcmp(argv[i], "--")) {
      command = argv + i + 1;
      break;
    }
    if (!strcmp(argv[i], "--remove")) {
      remove_at_end = 1;
      continue;
    }
    if (!strcmp(argv[i], "--dir"))
      dir = value;
    else if (!strcmp(argv[i], "--lock-fd"))
      lock_fd = atoi(value);
    else if (!strcmp(argv[i], "--owner"))
      owner = atoi(value);
    else if (!strcmp(argv[i], "--next-owner"))
      next_owner = atoi(value);
    else {
      fprintf(stderr, "keeper: unknown argument %s\n", argv[i]);
      return 2;
    }
    i++;
  }
  if (!dir || lock_fd < 0 || owner <= 0 || !command || !*command) {
    fprintf(stderr, "keeper: missing argument\n");
    return 2;
  }

  setsid();
  if (chdir(dir))
    die(dir);
  fcntl(lock_fd, F_SETFD, FD_CLOEXEC);

  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  sigaddset(&signals, SIGUSR1);
  sigprocmask(SIG_BLOCK, &signals, &before);
  int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
  int owner_fd = watch_process(owner);
  int next_fd = next_owner > 0 ? watch_process(next_owner) : -1;

  pid_t keeper = getpid();
  pid_t qemu = fork();
  if (qemu < 0)
    die("fork");
  if (qemu == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != keeper)
      _exit(125);
    for (int s = 1; s < NSIG; s++)
      signal(s, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_SETMASK, &before, NULL);
    execv(command[0], command);
    fprintf(stderr, "keeper: %s: %s\n", command[0], strerror(errno));
    _exit(125);
  }
  int qemu_fd = watch_process(qemu);
  write_file("qemu.pid", "%d\n", (int)qemu);
  write_file("keeper.pid", "%d\n", (int)keeper);

  const char *reason = "qemu ended";
  int asked = 0; /* times QEMU was asked to end: politely first */
  for (;;) {
    struct pollfd fds[] = { { qemu_fd, POLLIN, 0 }, { signal_fd, POLLIN, 0 }, { owner_fd, POLLIN, 0 } };
    int n = poll(fds, 3, asked ? 2000 : -1);
    if (n < 0 && errno != EINTR)
      die("poll");
    if (fds[0].revents)
      break;
    int end = n == 0;
    if (n > 0 && fds[1].revents) {
      struct signalfd_siginfo info;
      if (read(signal_fd, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGUSR1) {
          close(owner_fd);
          owner_fd = next_fd; /* poll leaves out a negative descriptor */
          next_fd = -1;
          continue; /* what was seen of the old owner no longer counts */
        } else {
          reason = "stopped";
          end = 1;
        }
      }
    }
    if (n > 0 && fds[2].revents && !asked) {
      reason = "its owner ended";
      close(owner_fd);
      owner_fd = -1;
      end = 1;
    }
    if (end)
      kill(qemu, asked++ ? SIGKILL : SIGTERM);
  }
  int status = 0;
  waitpid(qemu, &status, 0);
  if (remove_at_end)
    remove_dir(dir);
  else if (WIFSIGNALED(status))
    write_file("ended", "%s, signal %d\n", reason, WTERMSIG(status));
  else
    write_file("ended", "%s, status %d\n", reason, WEXITSTATUS(status));
  return 0;
}
