#include "system.h"

#include <errno.h>
#include <time.h>

int main(int argc, char **argv);
_Noreturn void begin(long *stack);

char **environment_entries;

/* The stack as execve(2) leaves it: argc, argv, NULL, environment, NULL (System V ABI, "Process Initialization"). */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl begin\n");
#endif

void begin(long *stack)
{
	int argc = (int)stack[0];
	char **argv = (char **)(stack + 1);

	environment_entries = argv + argc + 1;
	quit(main(argc, argv));
}

void quit(int code)
{
	for (;;)
		SYSTEM_CALL(exit_group, code);
}

long now_ms(void)
{
	struct timespec now;

	SYSTEM_CALL(clock_gettime, CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

size_t length_of(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return n;
}

bool equal(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool begins_with(const char *s, const char *prefix)
{
	while (*prefix != '\0' && *s == *prefix) {
		s++;
		prefix++;
	}
	return *prefix == '\0';
}

const char *last(const char *s, char c)
{
	const char *found = NULL;

	for (; *s != '\0'; s++)
		if (*s == c)
			found = s;
	return found;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	while (n-- > 0)
		*t++ = *f++;
	return to;
}

void *memset(void *to, int byte, size_t n)
{
	unsigned char *t = to;

	while (n-- > 0)
		*t++ = (unsigned char)byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] - y[i];
	return 0;
}

const char *environment(const char *name)
{
	size_t length = length_of(name);

	for (char **entry = environment_entries; *entry != NULL; entry++)
		if (begins_with(*entry, name) && (*entry)[length] == '=')
			return *entry + length + 1;
	return NULL;
}

const char *error_name(int error)
{
	static char number[] = "error 000";
	static const struct {
		int error;
		const char *name;
	} names[] = {
		{EPERM, "EPERM"},       {ENOENT, "ENOENT"},             {EIO, "EIO"},           {EBADF, "EBADF"},
		{ENOMEM, "ENOMEM"},     {EACCES, "EACCES"},             {EEXIST, "EEXIST"},     {ENOTDIR, "ENOTDIR"},
		{EISDIR, "EISDIR"},     {EINVAL, "EINVAL"},             {ENFILE, "ENFILE"},     {EMFILE, "EMFILE"},
		{EFBIG, "EFBIG"},       {ENOSPC, "ENOSPC"},             {EROFS, "EROFS"},       {ENAMETOOLONG, "ENAMETOOLONG"},
		{ELOOP, "ELOOP"},       {EPROTOTYPE, "EPROTOTYPE"},     {EDQUOT, "EDQUOT"},     {ECONNREFUSED, "ECONNREFUSED"},
		{ENOTSOCK, "ENOTSOCK"}, {EAFNOSUPPORT, "EAFNOSUPPORT"}, {ENOBUFS, "ENOBUFS"},   {ECONNRESET, "ECONNRESET"},
		{EPIPE, "EPIPE"},       {ETIMEDOUT, "ETIMEDOUT"},       {EAGAIN, "EAGAIN"},
		{ENOEXEC, "ENOEXEC"},   {E2BIG, "E2BIG"},               {ETXTBSY, "ETXTBSY"},
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (names[i].error == error)
			return names[i].name;
	number[6] = (char)('0' + error / 100 % 10);
	number[7] = (char)('0' + error / 10 % 10);
	number[8] = (char)('0' + error % 10);
	return number;
}
