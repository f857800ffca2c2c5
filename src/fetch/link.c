/* link.c - read-ahead: how many flights at a time the link and the store bear, from how long they take.
 *
 * One more for each that was quick, a quarter less when they take much longer than the quickest did: then they only wait for
 * each other, and readers wait with them. */
#include "ahead.h"

#include <errno.h>

#define FIRST 4
#define LEAST 2
#define STALL_US 2000000 /* nothing came for so long: the store hangs */
#define QUICK_US 250000  /* what never counts as slow */
#define GROWS_US 1000000 /* above it the link is full, whatever it did before */
#define SHRINKS_US 2000000
#define FAILURES 3 /* in a row, and then a pause that doubles */
#define QUIET_US INT64_C(1000000)
#define QUIET_MAX_US INT64_C(60000000)

void link_init(struct link *l, unsigned most)
{
	*l = (struct link){.most = most > LEAST ? most : LEAST};
	l->width = FIRST < l->most ? FIRST : l->most;
}

bool link_bears(const struct link *l, int64_t now_us)
{
	return l->asked < l->width && now_us >= l->quiet_until_us &&
	       (!l->asked || now_us - l->progress_us < STALL_US);
}

void link_asked(struct link *l, int64_t now_us)
{
	if (!l->asked++)
		l->progress_us = now_us;
}

static void adapt(struct link *l, int64_t now_us, int64_t took_us)
{
	int64_t easy;

	if (!l->base_us || took_us < l->base_us)
		l->base_us = took_us;
	l->base_us += l->base_us / 256; /* routes change */
	l->took_us = l->took_us ? l->took_us + (took_us - l->took_us) / 8 : took_us;
	easy = 4 * l->base_us > QUICK_US ? 4 * l->base_us : QUICK_US;
	if (l->took_us <= easy && l->took_us <= GROWS_US) {
		if (l->width < l->most)
			l->width++;
	} else if (l->took_us > 2 * easy || l->took_us > SHRINKS_US) {
		if (now_us - l->shrunk_us < l->took_us)
			return; /* let the last step show first */
		l->shrunk_us = now_us;
		l->width = l->width * 3 / 4 > LEAST ? l->width * 3 / 4 : LEAST;
	}
}

void link_landed(struct link *l, int64_t now_us, int err, int64_t took_us)
{
	l->asked--;
	l->progress_us = now_us;
	if (err == 0 && took_us > 0) {
		l->failures = 0;
		adapt(l, now_us, took_us);
	} else if (err < 0 && err != -ESTALE) { /* one that is gone says nothing about the store */
		unsigned over = ++l->failures < FAILURES ? 0 : l->failures - FAILURES;

		if (l->failures >= FAILURES)
			l->quiet_until_us = now_us + (over < 6 ? QUIET_US << over : QUIET_MAX_US);
	}
}
