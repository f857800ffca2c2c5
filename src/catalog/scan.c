/* scan.c - one page of a store's listing against the ledger: what is known, changed, new or bad, item by item.
 *
 * A known item costs one lookup and its `seen` mark.  The bytes of a snapshot are those it was registered with: an object that
 * differs becomes the new content only where nothing else (a replica in another store, a queued upload) still vouches for the
 * old one; otherwise it is remembered as rejected.  An item that cannot be taken in is rejected by itself, never its page. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ledger.h"

enum { PAGE_MAX = 1000 };

struct page {
	int64_t store, gen;
	const struct listed *item;
	size_t n;
	struct scan_counts count;
};

/* One item on its way: what was listed, what is known, and the row it is to become. */
struct meeting {
	struct db *db;
	struct page *page;
	const struct listed *it;
	struct object old, new;
};

static bool same(const struct meeting *m)
{
	if (m->old.size != m->new.size || strcmp(m->old.etag, m->new.etag) != 0)
		return false;
	return m->new.etag[0] != '\0' || m->old.modified_us == m->new.modified_us;
}

static int touch(struct meeting *m)
{
	if (m->old.seen == m->page->gen)
		return 0;
	return RUN(m->db, "UPDATE object SET seen = ?3 WHERE store = ?1 AND key = ?2",
		   I(m->page->store), T(m->it->key), I(m->page->gen));
}

static int reject(struct meeting *m, const char *why)
{
	struct object *o = &m->new;

	m->page->count.rejected++;
	text_clip(why, o->error);
	if (m->old.there && m->old.outcome == OBJECT_REJECTED && !m->old.sidecar && same(m) &&
	    strcmp(m->old.error, o->error) == 0)
		return touch(m);
	o->outcome = OBJECT_REJECTED;
	o->sidecar = false;
	o->snapshot = 0;
	return object_put(m->db, o);
}

static int reject_differing(struct meeting *m, const struct snap *s)
{
	char why[256];

	(void)snprintf(
		why, sizeof(why),
		"differs from %s.jpg: %llu bytes here, %llu as registered; remove it here or there",
		s->stem, (unsigned long long)m->it->size, (unsigned long long)s->size);
	return reject(m, why);
}

/* ---- pictures ---- */
/* Sidecars that were listed before their picture, or belonged to another one of that key, are its own now. */
static int link_sidecars(struct meeting *m)
{
	char key[2][KEY_MAX + 1];
	bool first = sidecar_key(m->it->key, key[0]) == 0;
	int n = snprintf(key[1], sizeof(key[1]), "%s.json", m->it->key);

	return RUN(m->db,
		   "UPDATE object SET snapshot = ?4, outcome = 2, error = NULL"
		   " WHERE store = ?1 AND key IN (?2, ?3) AND sidecar = 1 AND snapshot IS NOT ?4",
		   I(m->page->store), T(first ? key[0] : NULL),
		   T((size_t)n < sizeof(key[1]) ? key[1] : NULL), I(m->new.snapshot));
}

/* The item is a replica of s from now on; s has its size, or takes it. */
static int attach(struct meeting *m, const struct snap *s, bool new_bytes)
{
	bool was_its = m->old.snapshot == s->id && !m->old.sidecar;
	int r = 0;

	m->new.snapshot = s->id;
	if (new_bytes)
		r = snapshot_set_bytes(m->db, s->id, NULL, m->it->size, 0, 0);
	if (r == 0)
		r = object_put(m->db, &m->new);
	if (r == 0)
		r = snapshot_show(m->db, s->id);
	if (r == 0 && !was_its)
		r = link_sidecars(m);
	if (was_its)
		m->page->count.changed++;
	else
		m->page->count.added++;
	return r;
}

static int insert(struct meeting *m, const char *camera, const char *stem)
{
	const struct listed *it = m->it;
	struct snapshot_new n = {
		.camera_name = camera,
		.stem = stem,
		.taken_us = it->taken_us,
		.zone_min = it->zone_min,
		.time_source = it->time_source,
		.size = it->size,
	};
	struct snap s;
	const char *title = it->title && text_ok(it->title, NAME_LIMIT) ? it->title : NULL;
	int r = camera_ensure(m->db, camera, title, NULL, true, &n.camera);

	if (r == -ENOSPC)
		return reject(
			m, "too many cameras: this one would be one more than the catalog takes");
	if (r == 0)
		r = snapshot_insert(m->db, &n, &s);
	if (r == -EINVAL)
		return reject(m, "its time is outside the years 1970 to 9999");
	return r < 0 ? r : attach(m, &s, false);
}

/* One that was gone from every store and came back under its old camera, time and size has its old name again. */
static int meet_foreign(struct meeting *m)
{
	const char *camera = m->it->camera;
	char clean[CAMERA_MAX + 1];
	int64_t id;
	struct snap s;
	int r;

	camera_name_from(camera, clean);
	r = ONE(m->db, &id,
		"SELECT s.id FROM snapshot s JOIN camera c ON c.id = s.camera WHERE s.gone = 1"
		" AND c.name = ?1 AND s.taken_us = ?2 AND s.size = ?3 AND s.replicas = 0"
		" AND s.queued = 0 ORDER BY s.id LIMIT 1",
		T(clean), I(m->it->taken_us), I(m->it->size));
	if (r == -ENOENT)
		return insert(m, clean, NULL);
	if (r == 0)
		r = snapshot_get(m->db, id, &s, NULL);
	return r < 0 ? r : attach(m, &s, true); /* the same size proves nothing about its bytes */
}

/* s is known, and the item is (again) one of its replicas, if it may be. */
static int rejoin(struct meeting *m, const struct snap *s)
{
	bool was_its = m->old.snapshot == s->id && !m->old.sidecar;
	bool counted = was_its && m->old.outcome == OBJECT_OK;

	/* does something else than this very object have the registered bytes? */
	if (s->queued == 0 && s->replicas <= (counted ? 1 : 0))
		return attach(m, s, s->size != m->it->size || (was_its && !same(m)));
	if (s->size == m->it->size)
		return attach(m, s, false);
	return m->it->stem ? reject_differing(m, s) : meet_foreign(m);
}

/* A key with a stem of ours is that snapshot, whichever store has it. */
static int meet_ours(struct meeting *m)
{
	char camera[CAMERA_MAX + 1];
	struct civil civil;
	unsigned dup;
	struct snap s;
	int r = stem_parse(m->it->stem, &civil, &dup, camera);

	if (r < 0)
		return reject(m, "its name looks like one of ours but has no valid time or camera");
	r = snapshot_by_stem(m->db, day_from_civil(civil.year, civil.month, civil.day), m->it->stem,
			     &s, NULL);
	if (r == -ENOENT)
		return insert(m, camera, m->it->stem);
	return r < 0 ? r : rejoin(m, &s);
}

/* The object of a known replica is another one now; ours on its way there needs no judging. */
static int meet_changed(struct meeting *m)
{
	struct snap s;
	int64_t pending;
	int r = snapshot_get(m->db, m->old.snapshot, &s, NULL);

	if (r == 0)
		r = ONE(m->db, &pending,
			"SELECT EXISTS(SELECT 1 FROM outbox WHERE snapshot = ?1 AND store = ?2"
			" AND what = 0 AND key = ?3)",
			I(s.id), I(m->page->store), T(m->it->key));
	if (r < 0)
		return r;
	return pending ? attach(m, &s, false) : rejoin(m, &s);
}

static int meet_picture(struct meeting *m)
{
	const struct object *old = &m->old;

	if (old->snapshot != 0 && !old->sidecar) {
		if (old->outcome == OBJECT_OK && same(m))
			return touch(m);
		return meet_changed(m);
	}
	return m->it->stem ? meet_ours(m) : meet_foreign(m);
}

/* ---- sidecars ---- */
static int meet_sidecar(struct meeting *m)
{
	const struct listed *it = m->it;
	struct object picture;
	int r;

	if (m->old.there && m->old.sidecar && m->old.snapshot != 0 && same(m))
		return touch(m);
	r = object_get(m->db, m->page->store, it->picture_key ? it->picture_key : "", &picture);
	if (r < 0)
		return r;
	if (m->old.there && m->old.sidecar && picture.snapshot == 0 && same(m))
		return touch(m);
	m->new.sidecar = true;
	m->new.outcome = OBJECT_WANTED;
	m->new.snapshot = picture.sidecar ? 0 : picture.snapshot;
	m->page->count.sidecars++;
	return object_put(m->db, &m->new);
}

/* ---- bad ones ---- */
/* A known object whose key makes no sense any more (the layout was changed) is what it was, as long as it is the same. */
static int meet_bad(struct meeting *m)
{
	if (m->old.snapshot == 0 || !same(m))
		return reject(m, m->it->error);
	return m->old.sidecar ? touch(m) : meet_picture(m);
}

/* ---- pages ---- */
static int meet(struct db *db, struct page *p, const struct listed *it)
{
	struct meeting m = {.db = db, .page = p, .it = it};
	int r;

	p->count.listed++;
	if (strlen(it->key) > KEY_MAX) { /* cannot be remembered */
		p->count.rejected++;
		return 0;
	}
	r = object_get(db, p->store, it->key, &m.old);
	if (r < 0)
		return r;
	m.new = (struct object){
		.store = p->store,
		.key = it->key,
		.size = it->size,
		.modified_us = it->modified_us,
		.seen = p->gen,
	};
	etag_copy(it->etag, m.new.etag);
	if (it->size > INT64_MAX) {
		m.new.size = 0;
		return reject(&m, "its size is impossible");
	}
	if (it->error)
		return meet_bad(&m);
	return it->is_sidecar ? meet_sidecar(&m) : meet_picture(&m);
}

static int page_tx(struct db *db, void *arg)
{
	struct page *p = arg;
	const char *last = NULL;
	int r = scan_check(db, p->store, p->gen);

	for (size_t i = 0; r == 0 && i < p->n; i++) {
		r = meet(db, p, &p->item[i]);
		if (strlen(p->item[i].key) <= KEY_MAX)
			last = p->item[i].key;
	}
	if (r < 0 || !last)
		return r;
	return RUN(db, "UPDATE store SET scan_after = ?2 WHERE id = ?1", I(p->store), T(last));
}

int catalog_scan_page(struct catalog *c, int64_t store, int64_t gen, const struct listed *item,
		      size_t n, struct scan_counts *add_to)
{
	struct page p = {.store = store, .gen = gen, .item = item, .n = n};
	int r;

	if (n > PAGE_MAX)
		return -E2BIG;
	r = db_write(c, page_tx, &p, false);
	if (r < 0)
		return r;
	add_to->listed += p.count.listed;
	add_to->added += p.count.added;
	add_to->changed += p.count.changed;
	add_to->rejected += p.count.rejected;
	add_to->sidecars += p.count.sidecars;
	return 0;
}
