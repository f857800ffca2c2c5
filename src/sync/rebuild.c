/* The catalog from the stores alone: whole scans, then the metadata of those of ours that came without a sidecar object. */
#include "sync_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1000 };

struct bare {
	int64_t id[PAGE], last;
	size_t n, seen;
};

/* Only what we have put there carries our metadata, and its name says so. */
static int note_bare(void *user, const struct snap *snap)
{
	struct bare *b = user;

	b->last = snap->id;
	b->seen++;
	if (!snap->has_sha && snap->replicas > 0 && snap->time_source == TIME_SOURCE)
		b->id[b->n++] = snap->id;
	return 0;
}

static int ask_metadata(struct sync *s, struct call *c, int64_t id)
{
	struct place place[CONFIG_STORES_MAX];
	struct store_head head;
	size_t n = 0;
	int r = catalog_places(s->parts.catalog, id, place, ARRAY_LEN(place), &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct store *store = store_by_id(s, place[i].store);

		if (!store || store_head(store, c, place[i].key, &head) < 0 || !head.meta.has_sha ||
		    head.size != place[i].size)
			continue;
		r = catalog_set_content(s->parts.catalog, id, &place[i], &head.meta.sha, 0, 0);
		break;
	}
	return r == -ENOENT || r == -ESTALE ? 0 : r; /* else a scan knows better by now */
}

static int ask_all_metadata(struct sync *s, struct call *c, struct progress *p)
{
	CLEANUP(freep) struct bare *b = calloc(1, sizeof(*b));
	uint64_t done = 0;
	int r = b ? 0 : -ENOMEM;

	while (r == 0) {
		b->n = b->seen = 0;
		r = catalog_each(s->parts.catalog, b->last, PAGE, note_bare, b);
		for (size_t i = 0; r == 0 && i < b->n; i++) {
			r = s->stopping || (c->cancel && *c->cancel) ? -ECANCELED
								     : ask_metadata(s, c, b->id[i]);
			if (r == 0)
				r = progress_tell(p, ++done, 0, "metadata");
		}
		if (b->seen < PAGE)
			break;
	}
	return r;
}

static void add_counts(struct scan_counts *to, const struct scan_counts *one)
{
	to->listed += one->listed;
	to->added += one->added;
	to->changed += one->changed;
	to->rejected += one->rejected;
	to->gone += one->gone;
	to->lost += one->lost;
	to->sidecars += one->sidecars;
}

int sync_rebuild(struct sync *s, struct call *c, progress_fn *fn, void *user,
		 struct scan_counts *ret)
{
	struct progress p = {.fn = fn, .user = user};
	struct scan_counts all = {0};
	char why[sizeof(c->why)] = "";
	int r = 0, failed = 0;

	/* A store that fails does not keep the others' pictures away. */
	for (size_t i = 0; i < s->n_stores && r != -ECANCELED; i++) {
		struct scan_counts one = {0};

		r = scan_store(&s->store[i], c, &p, &one);
		add_counts(&all, &one);
		if (r < 0 && failed == 0) {
			failed = r;
			memcpy(why, c->why, sizeof(why));
		}
	}
	if (r != -ECANCELED) {
		r = ask_all_metadata(s, c, &p);
		failed = failed ? failed : r;
	}
	if (failed < 0) {
		if (why[0])
			memcpy(c->why, why, sizeof(why));
		return failed;
	}
	*ret = all;
	return 0;
}
