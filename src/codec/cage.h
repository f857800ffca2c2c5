/* cage.h - foreign pictures are read in processes of their own, which can do nothing but read what they are handed.
 *
 * A keeper (this program again, executed with an empty environment, so that it has none of our memory) forks cages on demand;
 * it reads no foreign byte.  A cage is given one open file after the other over its socket, and answers what it found. */
#pragma once

#include "shutterfs/codec.h"

#include <stdnoreturn.h>

#define CAGE_NAME "shutterfs-decoder" /* argv[0] of the keeper */
enum {
	CAGE_HEAP = 128 * 1024 * 1024, /* bytes a cage may have above what it was born with */
	CAGE_CPU_S = 10                /* of its whole life: a fresh one goes on */
};

/* What a picture says of itself; `taken` is in the zone `taken.zone_min` if has_zone, else in the mount's. */
struct jpeg_facts {
	uint32_t width, height;
	uint32_t has_taken, has_zone;
	struct civil taken;
};
/* Reads `size` bytes of `fd`, or of `data` when fd < 0, in this process.  Errors as jpeg_probe. */
int jpeg_inspect(int fd, const void *data, uint64_t size, struct jpeg_facts *ret, char why[WHY_MAX])
	MUST_CHECK;

/* Fixed-size messages over a SOCK_SEQPACKET pair; a question comes with its descriptor.  A cage's first answer is to no
 * question. */
struct cage_question {
	uint64_t size;
};
struct cage_answer {
	int32_t result;
	uint32_t filtered; /* the kernel filters its system calls */
	struct jpeg_facts facts;
	char why[WHY_MAX];
};

/* Asks a cage, and waits: at most a minute (-ETIMEDOUT).  -EBADMSG also when fresh cages died over it. */
int cage_ask(int fd, uint64_t size, struct jpeg_facts *ret, char why[WHY_MAX]) MUST_CHECK;

/* ---- cage-child.c: the other side ---- */
/* Every limit there is on this process, and a filter of system calls; false: the kernel has no filters. */
bool cage_lock(void);
noreturn void cage_keep(int sock); /* the keeper's life, until its socket is closed */
/* One message of exactly `len` bytes and, unless ret_fd is NULL, its descriptor (-1: none).  0: end; < 0: -errno. */
ssize_t cage_receive(int sock, void *data, size_t len, int *ret_fd) MUST_CHECK;
int cage_send(int sock, const void *data, size_t len, int fd) MUST_CHECK; /* fd < 0: none */
