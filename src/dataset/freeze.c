/* freeze.c - from a query to the lines of a dataset: what the sidecars of its pictures say at that moment. */
#include "work.h"

#include "shutterfs/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct freezing {
	struct catalog *catalog;
	struct lines_writer lines;
	char *why;
	stop_fn *stop;
	void *user; /* of stop */
};

/* What changes by itself, or is nobody's label, would only make two freezings differ. */
static void keep_facts(struct sidecar *s)
{
	for (size_t i = 0; i < s->n_replicas; i++) {
		free(s->replica[i].store);
		free(s->replica[i].key);
		free(s->replica[i].etag);
	}
	s->n_replicas = 0;
	s->state = STATE_LOCAL;
	s->has_starred = false;
	s->rating = 0;
	free(TAKE(s->group));
	free(TAKE(s->event));
	free(TAKE(s->origin));
	free(TAKE(s->extra));
	free(TAKE(s->unknown));
	free(TAKE(s->history));
}

static int freeze_one(void *user, const struct snap *snap)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct freezing *f = user;
	int r = catalog_sidecar(f->catalog, snap->id, &s);

	if (r < 0) /* it went this moment */
		return r == -ENOENT ? 0 : r;
	keep_facts(&s);
	r = sidecar_render(&s, &text);
	if (r == -EFBIG)
		(void)snprintf(f->why, WHY_MAX, "%s has more labels and documents than 1 MiB",
			       snap->stem);
	return r < 0 ? r : lines_add(&f->lines, text.data, text.len);
}

static bool is_stopped(void *user)
{
	const struct freezing *f = user;

	return f->stop(f->user);
}

int freeze_lines(struct catalog *c, const struct dataset_row *row, const char *query, stop_fn *stop,
		 void *user, char why[WHY_MAX])
{
	CLEANUP(spec_done) struct spec spec = {0};
	struct freezing f = {.catalog = c, .why = why, .stop = stop, .user = user};
	int64_t now = now_us() / 1000000 * 1000000;
	struct query *q;
	int r = spec_parse(query, strlen(query), &spec, why);

	if (r == 0)
		r = query_parse(spec.query, strlen(spec.query), &q, why);
	if (r < 0)
		return r;
	lines_begin(c, row->uid, &f.lines);
	r = query_each(q, c, 0, is_stopped, freeze_one, &f);
	if (r == 0)
		r = lines_end(&f.lines, row->name, query, now);
	lines_writer_done(&f.lines);
	(void)query_free(q);
	return r;
}
