/* What a store has before this process sends to it: one listing by whoever is first to send tells. */
#include "sync_private.h"

#include <errno.h>
#include <string.h>

static int one_is_enough(void *user, const struct store_object *o)
{
	/* notes alone are no pictures, and may be there before them */
	return strncmp(o->key, NOTE_DIR, strlen(NOTE_DIR)) != 0;
}

/* st->looking held. */
static enum content ask(struct store_state *st, struct call *c)
{
	int r;

	if (st->content != CONTENT_UNKNOWN)
		return st->content;
	r = store_list(st->slot->store, c, "", NULL, one_is_enough, NULL);
	c->why[0] = '\0';
	if (r >= 0)
		st->content = r > 0 ? CONTENT_SOME : CONTENT_NONE;
	return st->content;
}

bool content_may_be_ours(struct store_state *st, struct call *c)
{
	enum content content;
	struct store_row row;

	if (catalog_store(st->s->parts.catalog, st->slot->id, false, &row) == 0 &&
	    row.last_scan_us != 0)
		return false;
	pthread_mutex_lock(&st->looking);
	content = ask(st, c);
	pthread_mutex_unlock(&st->looking);
	return content != CONTENT_NONE;
}

int content_not_lost(struct store_state *st, struct call *c)
{
	struct store_row row;
	int r = catalog_store(st->s->parts.catalog, st->slot->id, true, &row);

	if (r < 0 || row.objects == 0)
		return r;
	call_why(
		c,
		"store \"%s\" lists no objects at all, but had %lld; is it mounted? `shutterfs scan %s` believes it",
		st->conf->name, (long long)row.objects, st->conf->name);
	return -ENODATA;
}

int content_check(struct store_state *st, struct call *c)
{
	int r = 0;

	if (!store_is_local(st->slot->store))
		return 0; /* a bucket of that name is the bucket */
	pthread_mutex_lock(&st->looking);
	if (!st->known && ask(st, c) == CONTENT_NONE)
		r = content_not_lost(st, c);
	if (r < 0)
		st->content = CONTENT_UNKNOWN;
	st->known = st->content != CONTENT_UNKNOWN;
	pthread_mutex_unlock(&st->looking);
	return r;
}
