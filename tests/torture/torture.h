/* torture.h - a scenario is run again and again, each time in a process of its own in which another call fails.
 *
 * What a scenario asks for may fail once, and must then work: `again` asks for it a second time.  What was accepted must be there at
 * the end.  A crash, a leak or a process that does not end is a failure, too. */
#pragma once

#include "shim.h"

#include <stddef.h>

struct scenario {
	const char *name;
	void *(*begin)(void);     /* nothing fails yet */
	void (*work)(void *data); /* one call fails */
	void (*end)(void *data);  /* nothing fails any more; looks, and frees data */
};

/* 0, when no run failed and enough of them met a failing call. */
int torture(const struct scenario *s, size_t n);

/* One call fails, so a second try must not. */
#define again(call)                                  \
	do {                                         \
		if ((call) != 0)                     \
			assert_int_equal((call), 0); \
	} while (0)
