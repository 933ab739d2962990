/*
 * What the host side (client.c) and the machine's side (agent.c) say to each other over one
 * virtio-serial channel. A channel carries one command at a time.
 *
 *   host  -> machine: GREETING (magic + session), then frames
 *   machine -> host : GREETING (the same session), then frames
 *
 * The greeting may come at any point of the stream: a client may have been killed in the middle of
 * a frame. Both ends therefore look for it in the raw bytes and start afresh when they see it.
 * The magic is stored inverted so that no binary of the lab contains it.
 */
#ifndef BERTH_LAB_PROTOCOL_H
#define BERTH_LAB_PROTOCOL_H

#include <stdint.h>
#include <stddef.h>
#include <string.h>

#define LAB_MAGIC_SIZE 16
#define LAB_SESSION_SIZE 8
#define LAB_GREETING_SIZE (LAB_MAGIC_SIZE + LAB_SESSION_SIZE)
#define LAB_HEADER_SIZE 5              /* type, then the payload's length, little endian */
#define LAB_CHUNK 32768                /* most that one data frame carries */
#define LAB_MAX_FRAME (4 * 1024 * 1024) /* only a command with its environment gets near */

enum lab_frame {
  /* host to machine */
  LAB_RUN = 'R',       /* flags u8, rows u16, cols u16, then NUL-ended: cwd, argc, argv..., env... */
  LAB_STDIN = 'I',     /* bytes; no bytes: end of file */
  LAB_SIGNAL = 'S',    /* signal number u8 */
  LAB_WINDOW = 'W',    /* rows u16, cols u16 */
  LAB_REFRESH = 'D',   /* forget what is cached of these files of the host (each path ended by NUL),
                        * or of all when none is given; answered with the same type */
  LAB_BYE = 'B',       /* end every process, flush; answered with the same */
  /* machine to host */
  LAB_STDOUT = 'O',
  LAB_STDERR = 'E',
  LAB_EXIT = 'X',      /* exit status u8 (128 + signal for a signal) */
  LAB_FAILED = 'F',    /* errno u8, then the step that failed as text: nothing was run */
};

#define LAB_RUN_TTY 1

static inline void lab_magic(unsigned char out[LAB_MAGIC_SIZE])
{
  static const unsigned char inverted[LAB_MAGIC_SIZE] = {
    0x9d, 0x41, 0x27, 0xf2, 0x03, 0xe6, 0x5c, 0xb8, 0x71, 0x0a, 0xd4, 0x93, 0x3f, 0xc5, 0x68, 0x1e };
  for (int i = 0; i < LAB_MAGIC_SIZE; i++)
    out[i] = (unsigned char)~inverted[i];
}

/* Looks for a greeting in a stream. No proper prefix of the magic is also its suffix, so a failed
 * match can only begin again at the byte that broke it. */
struct lab_seeker {
  size_t matched;
  unsigned char session[LAB_SESSION_SIZE];
};

/* 1 when this byte completes a greeting. */
static inline int lab_seek(struct lab_seeker *s, unsigned char byte)
{
  static unsigned char magic[LAB_MAGIC_SIZE];
  static int known;
  if (!known) {
    lab_magic(magic);
    known = 1;
  }
  if (s->matched < LAB_MAGIC_SIZE) {
    if (byte == magic[s->matched])
      s->matched++;
    else
      s->matched = byte == magic[0];
    return 0;
  }
  s->session[s->matched++ - LAB_MAGIC_SIZE] = byte;
  if (s->matched < LAB_GREETING_SIZE)
    return 0;
  s->matched = 0;
  return 1;
}

static inline void lab_put_header(unsigned char *p, enum lab_frame type, uint32_t length)
{
  p[0] = (unsigned char)type;
  p[1] = length & 0xff;
  p[2] = length >> 8 & 0xff;
  p[3] = length >> 16 & 0xff;
  p[4] = length >> 24 & 0xff;
}

static inline uint32_t lab_length(const unsigned char *header)
{
  return (uint32_t)header[1] | (uint32_t)header[2] << 8 | (uint32_t)header[3] << 16 | (uint32_t)header[4] << 24;
}

static inline void lab_put_u16(unsigned char *p, unsigned v)
{
  p[0] = v & 0xff;
  p[1] = v >> 8 & 0xff;
}

static inline unsigned lab_u16(const unsigned char *p)
{
  return (unsigned)p[0] | (unsigned)p[1] << 8;
}

#endif
