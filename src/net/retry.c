/* retry.c - how long to wait before another try, and waiting so that a cancelled or expired call ends at once. */
#include <errno.h>
#include <sys/random.h>
#include <time.h>

#include "shutterfs/net.h"

#define RETRY_SLICE_US 100000 /* how soon a cancel is noticed */

static int64_t random_below(int64_t limit_us)
{
	uint64_t x = 0;

	if (limit_us <= 0)
		return 0;
	if (getrandom(&x, sizeof(x), 0) != sizeof(x))
		x = (uint64_t)mono_us() * 2654435761u;
	return (int64_t)(x % (uint64_t)limit_us);
}

int64_t retry_pause_us(unsigned n, int64_t base_us, int64_t max_us, int64_t retry_after_us)
{
	int64_t ceiling = base_us < max_us ? base_us : max_us;

	if (retry_after_us > 0)
		return retry_after_us < max_us ? retry_after_us : max_us;
	for (unsigned i = 1; i < n && ceiling < max_us; i++)
		ceiling = ceiling > max_us / 2 ? max_us : ceiling * 2;
	return random_below(ceiling);
}

int retry_sleep(const struct call *c, int64_t us)
{
	int64_t end = mono_us() + us;

	if (c->deadline_us && end >= c->deadline_us)
		return -ETIMEDOUT;
	for (;;) {
		int64_t left = end - mono_us();
		struct timespec ts;

		if (c->cancel && atomic_load(c->cancel))
			return -ECANCELED;
		if (left <= 0)
			return 0;
		if (left > RETRY_SLICE_US)
			left = RETRY_SLICE_US;
		ts = (struct timespec){.tv_nsec = left * 1000};
		(void)nanosleep(&ts, NULL);
	}
}
