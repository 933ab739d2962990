/* What init.c and agent.c share: both are one program, the machine's first process. */
#ifndef BERTH_LAB_MACHINE_H
#define BERTH_LAB_MACHINE_H

#include <stdarg.h>

#define LAB_CGROUP "/sys/fs/cgroup/lab"
#define LAB_TOOLS "/run/lab/bin" /* busybox, for what the host does not have */

/* A line on the console, seen by the host in console.log. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says why the machine is no use, and powers it off. */
_Noreturn void give_up(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Serves the channels for ever. */
_Noreturn void serve(void);

int write_text(const char *path, const char *text);

#endif
