/* What is queued though a store had it: its bytes lie in the cache, where nothing protects them. */
#include "sync_private.h"

#include <string.h>

enum { KEEP_PAGE = 256 };

struct queued {
	int64_t last;
	size_t rows, n;
	struct sha256 sha[KEEP_PAGE];
};

static int note_queued(void *user, const struct outbox_item *item)
{
	struct queued *q = user;

	q->last = item->id;
	q->rows++;
	if (item->what == OUTBOX_PICTURE && item->snap.has_sha)
		q->sha[q->n++] = item->snap.sha;
	return 0;
}

void keep_queued(struct sync *s)
{
	struct queued q = {0};
	int r = 0;

	do {
		q.rows = q.n = 0;
		r = catalog_outbox_list(s->parts.catalog, q.last, KEEP_PAGE, note_queued, &q);
		for (size_t i = 0; r == 0 && i < q.n && !s->stopping; i++)
			r = ingest_keep(s->parts.ingest, &q.sha[i]);
	} while (r == 0 && q.rows == KEEP_PAGE && !s->stopping);
	if (r < 0)
		log_warn("pictures that are to be sent again may be evicted: %s", strerror(-r));
}
