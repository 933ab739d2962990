/* Bounded text without stdio, and the two things the shim must know about JSON. */
#ifndef BERTH_TEXT_H
#define BERTH_TEXT_H

#include <stddef.h>

/* Text that is cut off, never overrun, when it does not fit. */
struct text {
	char *bytes;
	size_t used, room;
};

void put(struct text *t, const char *s);
void put_number(struct text *t, unsigned long n, int digits);
/* Appends s as the inside of a JSON string. */
void put_json(struct text *t, const char *s);

/*
 * Copies the value of the top level's "cniVersion" out of a JSON object; what has no such key, or
 * has something that is no version there, leaves out as it was. Broken JSON is the agent's to report.
 */
void find_cni_version(const char *json, size_t length, char *out, size_t room);

#endif
