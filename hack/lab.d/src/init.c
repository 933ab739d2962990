/*
 * init: makes a running machine out of a kernel, an initramfs and the host's files.
 *
 * The kernel starts this as /init. It loads /modules/first (what the root needs) and, at the same
 * time as it mounts, /modules/then (NICs, link kinds, vfio). The host's root comes over 9p, read
 * only, and becomes the lower layer of an overlay with a tmpfs above: everything can be written to
 * here, and nothing of it reaches the host. /lab/out alone is a folder of the host.
 *
 * Kernel arguments: lab.vfs=N makes N virtual functions on each PF; lab.show=PATH (repeatable,
 * %20 for a space) keeps a path of the host visible below /tmp or /run, which are otherwise empty;
 * lab.out=1 says that the host shares a folder as /lab/out; lab.modules=PATH is where the host keeps the kernel's modules, for modprobe.
 *
 * To debug it: its messages are the lines "lab: ..." in the machine's console.log.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "machine.h"

#define MAX_SHOWN 16
#define LAB_TOOLS_BEFORE "/new" LAB_TOOLS /* before the root is entered */

static int console = 2;
static char *shown[MAX_SHOWN], *module_root;
static int shown_count, vfs, share_out;

static void say_args(const char *format, va_list args)
{
  char line[512];
  int n = snprintf(line, sizeof line, "lab: ");
  n += vsnprintf(line + n, sizeof line - (size_t)n - 2, format, args);
  if (n > (int)sizeof line - 2)
    n = (int)sizeof line - 2;
  line[n++] = '\n';
  if (write(console, line, (size_t)n) < 0)
    return;
}

void say(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say_args(format, args);
  va_end(args);
}

_Noreturn void give_up(const char *format, ...)
{
  va_list args;
  va_start(args, format);
  say_args(format, args);
  va_end(args);
  sync();
  reboot(RB_POWER_OFF);
  for (;;)
    pause();
}

int write_text(const char *path, const char *text)
{
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0)
    return -1;
  ssize_t n = write(fd, text, strlen(text));
  int error = errno;
  close(fd);
  errno = error;
  return n < 0 ? -1 : 0;
}

static void must_mount(const char *what, const char *where, const char *type, unsigned long flags, const char *options)
{
  mkdir(where, 0755);
  if (mount(what, where, type, flags, options))
    give_up("mount %s: %s", where, strerror(errno));
}

static void try_mount(const char *what, const char *where, const char *type, const char *options)
{
  mkdir(where, 0755);
  if (mount(what, where, type, 0, options))
    say("mount %s: %s", where, strerror(errno));
}

static void make_dirs(const char *path)
{
  char part[4096];
  snprintf(part, sizeof part, "%s", path);
  for (char *p = part + 1; *p; p++)
    if (*p == '/') {
      *p = 0;
      mkdir(part, 0755);
      *p = '/';
    }
  mkdir(part, 0755);
}

static char *decoded(const char *s)
{
  char *out = malloc(strlen(s) + 1), *p = out;
  for (; *s; s++) {
    unsigned c;
    if (*s == '%' && sscanf(s + 1, "%2x", &c) == 1) {
      *p++ = (char)c;
      s += 2;
    } else
      *p++ = *s;
  }
  *p = 0;
  return out;
}

static void read_arguments(void)
{
  static char line[4096];
  int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
  ssize_t n = read(fd, line, sizeof line - 1);
  close(fd);
  line[n > 0 ? n : 0] = 0;
  for (char *word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
    if (!strncmp(word, "lab.vfs=", 8))
      vfs = atoi(word + 8);
    else if (!strcmp(word, "lab.out=1"))
      share_out = 1;
    else if (!strncmp(word, "lab.modules=", 12))
      module_root = decoded(word + 12);
    else if (!strncmp(word, "lab.show=", 9) && shown_count < MAX_SHOWN)
      shown[shown_count++] = decoded(word + 9);
  }
}

/* Loads the modules that the list names, in its order. A line is a file's name and its parameters. */
static void load_modules(const char *list)
{
  FILE *f = fopen(list, "re");
  char line[256], path[320];
  if (!f)
    give_up("%s: %s", list, strerror(errno));
  while (fgets(line, sizeof line, f)) {
    line[strcspn(line, "\n")] = 0;
    char *parameters = line + strcspn(line, " ");
    if (*parameters)
      *parameters++ = 0;
    snprintf(path, sizeof path, "/modules/%s", line);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, parameters, 0) && errno != EEXIST))
      say("module %s: %s", line, strerror(errno));
    close(fd);
  }
  fclose(f);
}

/* The root that everything runs in, under /new. */
static void make_root(void)
{
  must_mount("root", "/lower", "9p", MS_RDONLY, "trans=virtio,version=9p2000.L,cache=loose,msize=512000,access=any");
  must_mount("upper", "/upper", "tmpfs", 0, "mode=0755");
  mkdir("/upper/data", 0755);
  mkdir("/upper/work", 0755);
  must_mount("root", "/new", "overlay", 0, "lowerdir=/lower,upperdir=/upper/data,workdir=/upper/work,redirect_dir=off,metacopy=off");
  must_mount("run", "/new/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
  must_mount("tmp", "/new/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  mkdir("/new/run/lock", 01777);
  mkdir("/new/lab", 0755);
  mkdir("/new/lab/out", 0755);
  if (share_out)
    must_mount("out", "/new/lab/out", "9p", 0, "trans=virtio,version=9p2000.L,cache=none,msize=512000,access=any");

  /* A checkout or cache below /tmp or /run would be hidden by the tmpfs: lay it over once more. */
  for (int i = 0; i < shown_count; i++) {
    char lower[4096], upper[256], work[256], options[5120], where[4096];
    struct stat s;
    snprintf(lower, sizeof lower, "/lower%s", shown[i]);
    snprintf(where, sizeof where, "/new%s", shown[i]);
    if (stat(lower, &s) || !S_ISDIR(s.st_mode))
      continue;
    snprintf(upper, sizeof upper, "/upper/shown%d", i);
    snprintf(work, sizeof work, "/upper/shown%d.work", i);
    mkdir(upper, 0755);
    mkdir(work, 0755);
    make_dirs(where);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
    if (mount("shown", where, "overlay", 0, options))
      say("mount %s: %s", where, strerror(errno));
  }
}

/* The modules that are not loaded at boot stay within modprobe's reach, and so within the kernel's. */
static void offer_modules(void)
{
  struct utsname u;
  uname(&u);
  if (module_root) {
    char from[4096], to[256];
    snprintf(from, sizeof from, "/lower%s/lib/modules/%s", module_root, u.release);
    snprintf(to, sizeof to, "/new/lib/modules/%s", u.release);
    make_dirs(to);
    if (mount(from, to, NULL, MS_BIND, NULL))
      say("mount %s: %s", to, strerror(errno));
  }
}

/* Tools that a test of networks wants and a small host lacks: at the end of the PATH. */
static void offer_tools(void)
{
  static const char *const tools[] = { "ping", "ping6", "arping", "nc", "modprobe", "lsmod", "rmmod" };
  char path[64];
  mkdir("/new/run/lab", 0755);
  mkdir(LAB_TOOLS_BEFORE, 0755);
  int in = open("/busybox", O_RDONLY | O_CLOEXEC);
  int out = open(LAB_TOOLS_BEFORE "/busybox", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
  while (sendfile(out, in, NULL, 1 << 20) > 0)
    ;
  close(in);
  close(out);
  for (size_t i = 0; i < sizeof tools / sizeof *tools; i++) {
    snprintf(path, sizeof path, LAB_TOOLS_BEFORE "/%s", tools[i]);
    symlink("busybox", path);
  }
  /* The kernel itself calls this one, by its full path. */
  if (access("/new/sbin/modprobe", X_OK))
    symlink(LAB_TOOLS "/modprobe", "/new/usr/sbin/modprobe");
}

static void enter_root(void)
{
  const char *const moved[] = { "proc", "sys", "dev" };
  for (int i = 0; i < 3; i++) {
    char from[16], to[16];
    snprintf(from, sizeof from, "/%s", moved[i]);
    snprintf(to, sizeof to, "/new/%s", moved[i]);
    mkdir(to, 0755);
    if (mount(from, to, NULL, MS_MOVE, NULL))
      give_up("move %s: %s", from, strerror(errno));
  }
  if (chdir("/new") || mount(".", "/", NULL, MS_MOVE, NULL) || chroot(".") || chdir("/"))
    give_up("enter the root: %s", strerror(errno));
  /* As systemd leaves it, and as runtimes and "ip netns" expect it. */
  mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL);
  try_mount("devpts", "/dev/pts", "devpts", "mode=0620,gid=5,ptmxmode=0666");
  try_mount("shm", "/dev/shm", "tmpfs", "mode=1777");
  try_mount("mqueue", "/dev/mqueue", "mqueue", NULL);
  try_mount("cgroup2", "/sys/fs/cgroup", "cgroup2", NULL);
  try_mount("debugfs", "/sys/kernel/debug", "debugfs", NULL);
  try_mount("bpf", "/sys/fs/bpf", "bpf", NULL);
  mkdir(LAB_CGROUP, 0755);
  symlink("/proc/self/fd", "/dev/fd");
  symlink("/proc/self/fd/0", "/dev/stdin");
  symlink("/proc/self/fd/1", "/dev/stdout");
  symlink("/proc/self/fd/2", "/dev/stderr");
}

static void bring_lo_up(void)
{
  struct ifreq r = { 0 };
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  strcpy(r.ifr_name, "lo");
  r.ifr_flags = IFF_UP | IFF_RUNNING;
  if (ioctl(fd, SIOCSIFFLAGS, &r))
    say("lo: %s", strerror(errno));
  close(fd);
}

/* Whether each VF of the device has a network device by now. */
static int vfs_have_links(const char *device, int wanted)
{
  int ready = 0;
  for (int i = 0; i < wanted; i++) {
    char path[512];
    snprintf(path, sizeof path, "%s/virtfn%d/net", device, i);
    DIR *d = opendir(path);
    struct dirent *e;
    while (d && (e = readdir(d)))
      if (e->d_name[0] != '.') {
        ready++;
        break;
      }
    if (d)
      closedir(d);
  }
  return ready == wanted;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
  return strverscmp((*a)->d_name, (*b)->d_name);
}

static void create_vfs(void)
{
  struct dirent **names;
  int n = scandir("/sys/class/net", &names, NULL, by_name);
  for (int i = 0; i < n; i++) {
    char device[320], path[384], text[16];
    snprintf(device, sizeof device, "/sys/class/net/%s/device", names[i]->d_name);
    snprintf(path, sizeof path, "%s/sriov_numvfs", device);
    if (access(path, W_OK))
      continue;
    snprintf(text, sizeof text, "%d", vfs);
    if (write_text(path, text))
      give_up("%s: %d virtual functions: %s", names[i]->d_name, vfs, strerror(errno));
    for (int tries = 0; tries < 1000 && !vfs_have_links(device, vfs); tries++)
      nanosleep(&(struct timespec){ 0, 20000000 }, NULL);
    if (!vfs_have_links(device, vfs))
      give_up("%s: its virtual functions got no network devices within 20 s", names[i]->d_name);
  }
}

int main(void)
{
  mkdir("/dev", 0755);
  must_mount("proc", "/proc", "proc", 0, NULL);
  must_mount("sys", "/sys", "sysfs", 0, NULL);
  must_mount("dev", "/dev", "devtmpfs", 0, NULL);
  console = open("/dev/console", O_WRONLY | O_CLOEXEC | O_NOCTTY);
  int null = open("/dev/null", O_RDWR);
  for (int fd = 0; fd < 3; fd++)
    dup2(null, fd);
  if (null > 2)
    close(null);
  umask(022);
  signal(SIGPIPE, SIG_IGN);
  read_arguments();

  load_modules("/modules/first");
  pid_t loader = fork();
  if (loader == 0) {
    load_modules("/modules/then");
    _exit(0);
  }
  make_root();
  offer_modules();
  offer_tools();
  waitpid(loader, NULL, 0);
  enter_root();
  bring_lo_up();
  sethostname("lab", 3);
  setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 1024, 1048576 });
  if (vfs > 0)
    create_vfs();
  say("ready");
  serve();
}
