/* Notes: small texts of the catalog on their way to the stores, one after the other, and back. */
#include "sync_private.h"

#include "shutterfs/codec.h"
#include "shutterfs/net.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEND_DEADLINE_US INT64_C(120000000)
#define PAUSE_BASE_US INT64_C(1000000)

static int object_key(const char *key, char out[KEY_MAX + 1])
{
	int n = snprintf(out, KEY_MAX + 1, "%s%s", NOTE_DIR, key);

	return n < 0 || n > KEY_MAX ? -ENAMETOOLONG : 0;
}

/* Gone meanwhile, or replaced by ours: no matter. */
static int read_note(struct store_state *st, struct call *c, const char *note)
{
	CLEANUP(buf_done) struct buf body = BUF(NOTE_BODY_MAX);
	struct store_head head = {0};
	char key[KEY_MAX + 1];
	int r = object_key(note, key);

	if (r == 0)
		r = store_get(st->slot->store, c, key, NOTE_BODY_MAX, http_sink_buf, &body, &head);
	if (r == 0)
		r = catalog_note_taken(st->s->parts.catalog, st->slot->id, note, head.etag,
				       head.modified_us, body.data ? body.data : "", body.len);
	return r == -ENOENT || r == -EFBIG ? 0 : r;
}

/* ---- to a store ---- */
/* One that is there already is read first; whether ours is younger is found then. */
static int look_first(struct store_state *st, struct call *c, const struct note_item *item,
		      const char *key, bool *ret_there)
{
	struct store_head head;
	int r = store_head(st->slot->store, c, key, &head);

	*ret_there = r == 0;
	if (r == 0)
		r = catalog_note_listed(st->s->parts.catalog, st->slot->id, 0, item->key,
					head.etag);
	if (r == 0)
		r = read_note(st, c, item->key);
	c->why[0] = '\0';
	return r == -ENOENT ? 0 : r;
}

static int put_note(struct store_state *st, struct call *c, const struct note_item *item,
		    const char *key, struct store_head *ret)
{
	CLEANUP(buf_done) struct buf body = BUF(NOTE_BODY_MAX);
	CLEANUP(closep) int fd = memfd_create("note", MFD_CLOEXEC);
	struct store_meta meta = {.has_sha = true};
	struct hashes h;
	int r = fd < 0 ? -errno : catalog_note_get(st->s->parts.catalog, item->key, &body);

	if (r == 0)
		r = write_all(fd, body.data ? body.data : "", body.len);
	if (r == 0)
		r = hash_fd(fd, &h);
	if (r < 0)
		return r;
	meta.sha = h.sha;
	return store_put(st->slot->store, c, key, fd, body.len, "application/octet-stream", &h.sha,
			 h.md5, &meta, ret);
}

/* -ENOENT: it was removed, or came back, since it was looked up: the next look tells. */
static int send_note(struct store_state *st, struct call *c, const struct note_item *item)
{
	struct store_head head = {.etag = ""};
	char key[KEY_MAX + 1];
	bool there = false;
	int r = object_key(item->key, key);

	if (r == 0)
		r = content_check(st, c);
	if (r == 0 && !item->known && !item->gone)
		r = look_first(st, c, item, key, &there);
	if (r < 0 || there)
		return r;
	if (r == 0)
		r = item->gone ? store_delete(st->slot->store, c, key)
			       : put_note(st, c, item, key, &head);
	return r < 0 ? r : catalog_note_sent(st->s->parts.catalog, item, head.etag);
}

static void note_failed(struct store_state *st, const struct note_item *item, int err,
			const struct call *c)
{
	const char *why = c->why[0] ? c->why : strerror(-err);
	int64_t next = now_us() + retry_pause_us(item->tries + 1, PAUSE_BASE_US, PAUSE_MAX_US,
						 c->retry_after_us);

	if (item->tries == 0)
		log_warn("cannot send \"" NOTE_DIR "%s\" to store \"%s\": %s; tried again later",
			 item->key, st->conf->name, why);
	(void)!catalog_note_failed(st->s->parts.catalog, item, next, why);
}

static void notes_job(void *arg)
{
	struct store_state *st = arg;
	int64_t next = INT64_MAX;
	struct note_item item;
	int r = 0;

	while (!st->s->stopping) {
		struct call c = {.deadline_us = mono_us() + SEND_DEADLINE_US,
				 .cancel = &st->s->stopping};

		r = catalog_note_todo(st->s->parts.catalog, st->slot->id, &item);
		if (r < 0 || item.next_us > now_us())
			break;
		r = send_note(st, &c, &item);
		if (r == -ENOENT && !item.gone)
			continue;
		if (r < 0 && r != -ECANCELED)
			note_failed(st, &item, r, &c);
	}
	if (r == 0)
		next = item.next_us;
	else if (r != -ENOENT)
		next = now_us() + PAUSE_MAX_US / 10;
	turn_over(&st->notes, &st->lock, next);
}

int64_t look_at_notes(struct store_state *st, int64_t now)
{
	return turn_look(&st->notes, &st->lock, now, INT64_MAX, st->pool, notes_job, st);
}

void notes_resume(struct sync *s)
{
	for (size_t i = 0; i < s->n_stores; i++) {
		pthread_mutex_lock(&s->store[i].lock);
		s->store[i].notes.due_us = 0;
		pthread_mutex_unlock(&s->store[i].lock);
	}
}

/* ---- from a store ---- */
int note_listed(struct store_state *st, int64_t gen, const struct store_object *o)
{
	int r = o->size > NOTE_BODY_MAX
			? -EFBIG
			: catalog_note_listed(st->s->parts.catalog, st->slot->id, gen,
					      o->key + strlen(NOTE_DIR), o->etag);

	if (r != -EFBIG && r != -EINVAL)
		return r;
	log_debug("store \"%s\": \"%s\" is no note", st->conf->name, o->key);
	return 0;
}

int read_notes(struct store_state *st, struct call *c)
{
	char key[KEY_MAX + 1] = "";
	int r;

	while ((r = catalog_note_wanted(st->s->parts.catalog, st->slot->id, key, key)) == 0) {
		r = st->s->stopping || (c->cancel && *c->cancel) ? -ECANCELED
								 : read_note(st, c, key);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}
