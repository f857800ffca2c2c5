/* roam.c - read-ahead: readers that go to and fro in several directories.  A loader that shuffles many days opens each picture once;
 * a random walk, which is not to be fetched for, comes upon some again.  Only jumps count for what chance would have met: the pictures
 * of a stretch are one sample. */
#include "ahead.h"

#include <string.h>

#define MEMORY_US 600000000
#define SURE_AFTER 12 /* repetitions that a random walk would have had */

const struct haunt *roam_waits(struct roam *r, const struct recent *x)
{
	struct haunt *h = &r->haunt[0];

	for (size_t i = 0; i < AHEAD_HAUNTS && (!h->n || h->day != x->day); i++)
		if (r->haunt[i].day == x->day || r->haunt[i].when_us < h->when_us)
			h = &r->haunt[i];
	if (h->day != x->day || h->when_us + MEMORY_US < x->when_us)
		*h = (struct haunt){.day = x->day, .camera = x->camera};
	if (h->camera != x->camera)
		h->camera = 0;
	h->when_us = x->when_us;
	h->id[h->n++ % AHEAD_JUMPS] = x->id;
	return h->n >= AHEAD_JUMPS ? h : NULL;
}

void roam_begin(struct roam *r)
{
	memset(r->seen, 0, sizeof(r->seen));
	r->chance = 0;
	r->again = 0;
}

bool roam_seen(struct roam *r, int64_t id)
{
	uint64_t n = (uint64_t)id % AHEAD_SEEN, bit = UINT64_C(1) << n % 64;
	bool was = r->seen[n / 64] & bit;

	r->seen[n / 64] |= bit;
	return was;
}

void roam_jumped(struct roam *r, unsigned opened, unsigned total)
{
	r->chance += opened < total ? (double)opened / total : 1;
}

bool roam_sure(const struct roam *r)
{
	return r->chance >= SURE_AFTER && (double)r->again * 4 < r->chance;
}
