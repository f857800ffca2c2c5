/* place.c - one try at one place: get the whole object, check it, and only then let anybody see it. */
#define LOG_ROOM "fetch"
#include "private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void fetch_tell(struct fetch *f, int64_t snapshot, int64_t stale_store)
{
	(void)pthread_mutex_lock(&f->lock);
	fetch_event_fn *fn = f->event;
	void *user = f->event_user;
	(void)pthread_mutex_unlock(&f->lock);
	if (fn)
		fn(user, snapshot, stale_store);
}

/* The file of a local store where it lies; *ret_same: size and etag are the recorded ones. */
static int open_in_place(const struct slot *slot, const struct place *p, const struct snap *s,
			 int *ret_fd, bool *ret_same)
{
	struct store_head head;
	int r = store_open_local(slot->store, p->key, ret_fd, &head);

	if (r == 0)
		*ret_same = head.size == s->size && strcmp(head.etag, p->etag) == 0;
	return r;
}

int local_place_open(const struct slot *slot, const struct place *p, const struct snap *s,
		     int *ret_fd)
{
	CLEANUP(closep) int fd = -1;
	bool same = false;
	int r = open_in_place(slot, p, s, &fd, &same);

	if (r < 0 || !same)
		return r < 0 ? r : -ESTALE;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* -ESTALE: its bytes are registered as others by now. */
static int look_again(const struct flight *fl)
{
	const struct snap *s = &fl->snap;
	struct snap now;
	int r = catalog_snap(fl->f->catalog, s->id, &now);

	if (r == 0 && (!now.has_sha || memcmp(&now.sha, &s->sha, sizeof(now.sha)) != 0))
		r = -ESTALE;
	return r;
}

/* What the catalog lacked it has before the first reader is told: else the next one would fetch again.  -EBADMSG: a scan met
 * another object meanwhile, so that these bytes are those of before. */
static int learn(struct flight *fl, const struct place *p, const struct sha256 *sha,
		 const struct jpeg_info *info, struct call *c)
{
	const struct snap *s = &fl->snap;
	bool known = s->has_sha && (s->width || !info->width);
	int r = known ? look_again(fl)
		      : catalog_set_content(fl->f->catalog, s->id, p, sha, info->width,
					    info->height);

	if (r == -ESTALE) {
		call_why(c, "the object was replaced while it was read");
		return -EBADMSG;
	}
	if (r < 0)
		log_debug("the hash of \"%s\" is not remembered: %s", s->stem, strerrordesc_np(-r));
	return 0;
}

/* Is it what it should be?  etag: what the answer said, "" when it cannot be a checksum of the bytes. */
static int verify(struct flight *fl, const struct place *p, const struct hashes *got,
		  const char *etag, int fd, struct call *c)
{
	const struct snap *s = &fl->snap;
	struct jpeg_info info = {0};
	char why[WHY_MAX];
	uint8_t md5[16];
	bool sure = s->has_sha;

	if (s->has_sha && memcmp(&s->sha, &got->sha, sizeof(got->sha)) != 0) {
		call_why(c, "the bytes that came are not the registered ones (SHA-256 differs)");
		return -EBADMSG;
	}
	if (!s->has_sha && strlen(etag) == 2 * sizeof(md5) &&
	    hex_decode(etag, md5, sizeof(md5)) == 0) {
		if (memcmp(md5, got->md5, sizeof(md5)) != 0) {
			call_why(
				c,
				"the bytes that came are not those of the object (MD5 differs from its ETag)");
			return -EBADMSG;
		}
		sure = true;
	}
	if (jpeg_probe_fd(fd, &info, why) < 0 && !s->has_sha) {
		call_why(c, "the object %s", why);
		return sure ? -EILSEQ : -EBADMSG;
	}
	return learn(fl, p, &got->sha, &info, c);
}

/* Names the object, as store errors do, where verify() does not know it. */
static void why_of_place(struct call *c, const struct slot *slot, const struct place *p)
{
	char why[sizeof(c->why)];

	memcpy(why, c->why, sizeof(why));
	call_why(c, "store \"%s\": \"%.80s\": %s", store_config(slot->store)->name, p->key, why);
}

static int check_in_place(struct flight *fl, const struct slot *slot, const struct place *p,
			  struct call *c, int *ret_fd)
{
	CLEANUP(closep) int fd = -1;
	struct hashes got;
	bool same = false;
	int r = open_in_place(slot, p, &fl->snap, &fd, &same);

	if (r < 0) {
		call_why(c, "cannot be opened: %s", strerrordesc_np(-r));
		return r;
	}
	if (!same && !fl->snap.has_sha) {
		call_why(c, "is not the object that was listed");
		return -ESTALE;
	}
	r = hash_fd(fd, &got);
	if (r < 0) {
		call_why(c, "cannot be read: %s", strerrordesc_np(-r));
		return r;
	}
	r = verify(fl, p, &got, "", fd, c);
	if (r < 0)
		return same ? r : -ESTALE;
	if (!same) /* the same bytes in another file: a scan will learn its etag */
		fetch_tell(fl->f, fl->snapshot, slot->id);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* ---- a whole object through the store's get ---- */

struct sink {
	struct fetch *f;
	struct blob_writer *blob;
	struct hash *hash;
	uint64_t size;
	int error; /* of our own side: hash or disk */
};

static void sink_done(struct sink *s)
{
	s->blob = blob_abort(s->blob);
	s->hash = hash_free(s->hash);
}

static int sink_add(void *user, const void *data, size_t len)
{
	struct sink *s = user;

	s->size += len;
	atomic_fetch_add(&s->f->bytes, len);
	s->error = hash_add(s->hash, data, len);
	if (s->error == 0)
		s->error = blob_write(s->blob, data, len);
	return s->error;
}

/* Did the store give the object that was recorded, whole? */
static int check_answer(const struct flight *fl, const struct place *p,
			const struct store_head *head, uint64_t came, struct call *c)
{
	if (came == fl->snap.size &&
	    (fl->snap.has_sha || !head->etag[0] || !p->etag[0] || strcmp(head->etag, p->etag) == 0))
		return 0;
	if (came < fl->snap.size && head->size != came) {
		call_why(c, "the answer ends too early: %llu of %llu bytes",
			 (unsigned long long)came, (unsigned long long)fl->snap.size);
		return -EIO;
	}
	/* a proxy's page, a login: nobody is to take the object for another one by that */
	if (!head->etag[0] && p->etag[0]) {
		call_why(c, "the answer is of another size and has no ETag: it is not the store's");
		return -EIO;
	}
	call_why(c, "is not the object that was listed: its size or ETag is another");
	return -ESTALE;
}

static int fetch_whole(struct flight *fl, const struct slot *slot, const struct place *p,
		       struct call *c, int *ret_fd)
{
	CLEANUP(sink_done) struct sink s = {.f = fl->f};
	struct store_head head = {0};
	struct hashes got;
	int r = hash_new(&s.hash);
	if (r == 0)
		r = blob_begin(fl->f->cache, BLOB_CACHE, fl->snap.size, &s.blob);
	if (r < 0) {
		call_why(c, "no room for it here: %s", strerrordesc_np(-r));
		return r;
	}
	atomic_fetch_add(&fl->f->requests, 1);
	r = store_get(slot->store, c, p->key, fl->snap.size, sink_add, &s, &head);
	if (s.error < 0) {
		call_why(c, "cannot be kept: %s", strerrordesc_np(-s.error));
		return s.error;
	}
	if (r == -EFBIG) {
		call_why(c, "is not the object that was listed: it is larger");
		return -ESTALE;
	}
	if (r == 0)
		r = check_answer(fl, p, &head, s.size, c);
	if (r == 0)
		r = hash_end(s.hash, &got);
	if (r == 0)
		r = verify(fl, p, &got, head.etag, blob_fd(s.blob), c);
	if (r == -EBADMSG && head.etag[0] && p->etag[0] && strcmp(head.etag, p->etag) != 0)
		return -ESTALE; /* not damaged: written anew since it was recorded */
	if (r < 0)
		return r;
	r = blob_commit(TAKE(s.blob), &got.sha, false, ret_fd);
	if (r < 0) {
		call_why(c, "cannot be kept: %s", strerrordesc_np(-r));
		return r;
	}
	fl->came = s.size;
	fetch_tell(fl->f, fl->snapshot, 0);
	return 0;
}

int place_fetch(struct flight *fl, const struct slot *slot, const struct place *p, struct call *c,
		int *ret_fd)
{
	int r = slot->local ? check_in_place(fl, slot, p, c, ret_fd)
			    : fetch_whole(fl, slot, p, c, ret_fd);

	if (r < 0 && strncmp(c->why, "store \"", 7) != 0)
		why_of_place(c, slot, p);
	return r;
}
