/*
 * All of a C library that the shim needs, over bare system calls. Of the life of a static program with
 * glibc, two thirds are glibc's start (CPU features by CPUID, which traps in virtual machines,
 * relocations, tunables, threads: 0.27 ms of 0.42 ms); this one begins with the first line of main.
 *
 * Types and constants come from the C library's headers, functions never do. Calls answer the
 * kernel's own value: not negative, or -errno; there is no errno.
 */
#ifndef BERTH_SYSTEM_H
#define BERTH_SYSTEM_H

#include <asm/unistd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline long call6(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
	                 : "=a"(result)
	                 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
	                 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#else
#error "no system call convention for this architecture yet"
#endif
}

#define SYSTEM_CALL(name, ...) SYSTEM_CALL_(__NR_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define SYSTEM_CALL_(n, a, b, c, d, e, f, ...) \
	call6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

_Noreturn void quit(int code);

/* Milliseconds of the monotonic clock. */
long now_ms(void);

size_t length_of(const char *s);
bool equal(const char *a, const char *b);
bool begins_with(const char *s, const char *prefix);
/* The last c in s, or NULL. */
const char *last(const char *s, char c);

/* The compiler calls these three by itself. */
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* The environment variable's value, or NULL. */
const char *environment(const char *name);
/* NULL-terminated, as execve(2) laid it out. */
extern char **environment_entries;

/* The kernel's name of an error the shim can meet, or "error" with its number. */
const char *error_name(int error);

#endif
