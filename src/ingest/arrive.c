/* Entries that were closed: looked at in the background, in the order in which they came, so that close(2) need not wait.
 *
 * Nothing rests on memory here.  A closed entry is an open row and its bytes, both written before close returns, and a start after a
 * crash looks at every such row; whoever looks at what becomes of it waits for it (ingest_settled).  Where the row says something
 * else (it was kept, or refused, and is written again), or there is no room or no thread, the closer looks at it himself. */
#include "ingest_private.h"

#include <errno.h>
#include <stdlib.h>

enum {
	ARRIVALS_MAX = 128, /* each has a descriptor open, and who looks waits for all of them */
	TAKERS = 2,         /* one hashes while the other one's rows are committed */
	BUSY_MAX_US = 200000
};

struct arrival {
	struct ingest *in;
	struct entry *entry;
	uint64_t ticket;
	struct arrival *next;
};

int ingest_defer(struct ingest *in)
{
	return pool_new("take", TAKERS, ARRIVALS_MAX, &in->takers);
}

/* It is over; the oldest stays first. */
static void forget(struct ingest *in, struct arrival *a)
{
	struct arrival **p = &in->arrivals;

	pthread_mutex_lock(&in->lock);
	while (*p != a)
		p = &(*p)->next;
	*p = a->next;
	if (!*p)
		in->arrivals_end = p;
	pthread_cond_broadcast(&in->arrived);
	pthread_mutex_unlock(&in->lock);
	free(a);
}

static void take_job(void *arg)
{
	struct arrival *a = arg;
	struct ingest *in = a->in;
	struct entry *e = a->entry;

	pthread_mutex_lock(&in->lock);
	e->arriving = false;
	pthread_mutex_unlock(&in->lock);
	if (e->dirty) /* else somebody else has looked meanwhile */
		(void)!consider(in, e, false);
	forget(in, a);
	entry_put(in, e, false);
}

bool ingest_is_busy(struct ingest *in)
{
	int64_t now = mono_us();
	bool busy;

	pthread_mutex_lock(&in->lock);
	busy = in->arrivals || (in->busy_us && now - in->busy_us < INGEST_GAP_US);
	busy = busy && now - in->busy_from_us < BUSY_MAX_US;
	pthread_mutex_unlock(&in->lock);
	return busy;
}

static void note_busy(struct ingest *in) /* lock held */
{
	int64_t now = mono_us();

	if (!in->busy_us || now - in->busy_us > INGEST_GAP_US)
		in->busy_from_us = now;
	in->busy_us = now;
}

/* False: it is in line already. */
static bool enlist(struct ingest *in, struct arrival *a)
{
	bool first;

	pthread_mutex_lock(&in->lock);
	first = !a->entry->arriving;
	note_busy(in);
	if (first) {
		a->ticket = ++in->last_arrival;
		*in->arrivals_end = a;
		in->arrivals_end = &a->next;
		a->entry->users++;
		a->entry->arriving = true;
	}
	pthread_mutex_unlock(&in->lock);
	return first;
}

void arrive(struct ingest *in, struct entry *e)
{
	struct arrival *a = in->takers && e->fresh ? malloc(sizeof(*a)) : NULL;

	if (!a) {
		(void)!consider(in, e, false);
		return;
	}
	*a = (struct arrival){.in = in, .entry = e};
	if (!enlist(in, a))
		free(a);
	else if (pool_run(in->takers, take_job, a) < 0)
		take_job(a);
}

static const struct arrival *first_of(const struct ingest *in, int64_t id)
{
	const struct arrival *a = in->arrivals;

	while (a && id && a->entry->id != id)
		a = a->next;
	return a;
}

bool is_arriving(struct ingest *in, int64_t id)
{
	bool is;

	pthread_mutex_lock(&in->lock);
	is = first_of(in, id) != NULL;
	pthread_mutex_unlock(&in->lock);
	return is;
}

bool ingest_settled(struct ingest *in, int64_t id)
{
	const struct arrival *a;
	bool was = true;

	pthread_mutex_lock(&in->lock);
	for (uint64_t last = in->last_arrival; (a = first_of(in, id)) && a->ticket <= last;) {
		was = false;
		pthread_cond_wait(&in->arrived, &in->lock);
	}
	pthread_mutex_unlock(&in->lock);
	return was;
}
