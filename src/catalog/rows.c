/* rows.c - snapshots that were asked for lately, so that a picture that is opened again is not looked up in the database.
 *
 * What is kept is of one state of the database: a commit that changed anything empties it before whoever wrote is told, and a row
 * that was read before a commit is not kept after it.  So it is never stale, whatever a write forgets to say. */
#include <errno.h>
#include <stdlib.h>

#include "stmt.h"

enum { ROWS_KEPT = 8192 };

struct rows {
	pthread_mutex_t lock;
	uint64_t state; /* lock; > 0 */
	struct row {
		uint64_t state; /* of this state; older: empty */
		struct snap snap;
	} row[ROWS_KEPT]; /* lock; by id.  Pages that none was put on cost nothing. */
};

int rows_new(struct rows **ret)
{
	struct rows *rows = calloc(1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	pthread_mutex_init(&rows->lock, NULL);
	rows->state = 1;
	*ret = rows;
	return 0;
}

struct rows *rows_free(struct rows *rows)
{
	if (!rows)
		return NULL;
	pthread_mutex_destroy(&rows->lock);
	free(rows);
	return NULL;
}

static struct row *place_of(struct rows *rows, int64_t id)
{
	return &rows->row[(uint64_t)id % ROWS_KEPT];
}

bool rows_find(struct rows *rows, int64_t id, struct snap *ret, uint64_t *ret_state)
{
	const struct row *row = place_of(rows, id);
	bool found;

	pthread_mutex_lock(&rows->lock);
	*ret_state = rows->state;
	found = row->state == rows->state && row->snap.id == id;
	if (found)
		*ret = row->snap;
	pthread_mutex_unlock(&rows->lock);
	return found;
}

void rows_add(struct rows *rows, uint64_t state, const struct snap *s)
{
	pthread_mutex_lock(&rows->lock);
	if (state == rows->state)
		*place_of(rows, s->id) = (struct row){.state = state, .snap = *s};
	pthread_mutex_unlock(&rows->lock);
}

void rows_changed(struct rows *rows)
{
	pthread_mutex_lock(&rows->lock);
	rows->state++;
	pthread_mutex_unlock(&rows->lock);
}
