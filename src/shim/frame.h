/* Frames and sections as protocol.md lays them out; lengths are big-endian. */
#ifndef BERTH_FRAME_H
#define BERTH_FRAME_H

#include <stddef.h>

#include "protocol.h"

static inline void put_length(char *at, size_t length)
{
	at[0] = (char)(length >> 24);
	at[1] = (char)(length >> 16);
	at[2] = (char)(length >> 8);
	at[3] = (char)length;
}

static inline size_t get_length(const char *at)
{
	const unsigned char *u = (const unsigned char *)at;

	return (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | (size_t)u[3];
}

static inline char *begin_section(char *at, int tag, size_t length)
{
	at[0] = (char)tag;
	put_length(at + 1, length);
	return at + SECTION_HEADER;
}

#endif
