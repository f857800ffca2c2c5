/* The s3 store: objects in a bucket of any server that speaks S3.
 *
 * One request per object: a GET without a HEAD before it, a PUT whose SHA-256 the server checks while it receives and whose
 * ETag we check after. Redirects are explained, never followed: a signature belongs to one host. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"
#include "s3.h"
#include "shutterfs/codec.h"

enum {
	PAGE_BYTES = 8 * 1024 * 1024,
	ANSWER_BYTES = 64 * 1024, /* of a PUT or DELETE: nothing we read */
	EMPTY_PAGES_MAX =
		1000, /* a bucket full of deleted versions lists as pages without objects */
};
#define CONNECT_US (10 * INT64_C(1000000))
#define IDLE_US (30 * INT64_C(1000000))
#define BUCKET_STAYS_US (60 * INT64_C(1000000))

static void s3_close(void *self)
{
	struct s3 *s = self;

	buf_done(&s->origin);
	buf_done(&s->host);
	buf_done(&s->base);
	s->http = http_free(s->http);
	free(s);
}

static int check_config(const struct store_config *conf, struct buf *err)
{
	if (!conf->bucket || !conf->bucket[0]) {
		buf_printf(err, "store \"%s\": an s3 store needs bucket = NAME\n", conf->name);
		return -EINVAL;
	}
	if (strlen(conf->bucket) > 255 || strpbrk(conf->bucket, "/?#%")) {
		buf_printf(err, "store \"%s\": bucket is not the name of one\n", conf->name);
		return -EINVAL;
	}
	if (conf->region && (strlen(conf->region) > 63 || strpbrk(conf->region, "/ .:@?#%"))) {
		buf_printf(err, "store \"%s\": region is not one: it looks like eu-west-1\n",
			   conf->name);
		return -EINVAL;
	}
	if (!conf->access_key.text || !conf->secret_key.text) {
		buf_printf(
			err,
			"store \"%s\": no access key: set access_key_file and secret_key_file, or "
			"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials\n",
			conf->name);
		return -EINVAL;
	}
	return 0;
}

static int s3_open(const struct store_config *conf, struct buf *err, void **ret_self)
{
	struct s3 *s;
	int r = check_config(conf, err);

	if (r < 0)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->conf = conf;
	s->prefix = conf->prefix ? conf->prefix : "";
	s->region = conf->region && conf->region[0] ? conf->region : "us-east-1";
	s->own_endpoint = conf->endpoint && conf->endpoint[0];
	s->origin = s->host = s->base = BUF(8 * 1024);
	r = s3_locate(s, err);
	if (r == 0)
		r = http_new(CONNECT_US, IDLE_US, &s->http);
	if (r < 0) {
		s3_close(s);
		return r;
	}
	*ret_self = s;
	return 0;
}

/* ---- one object ---- */

static int full_key(const struct s3 *s, const char *key, struct buf *out)
{
	buf_str(out, s->prefix);
	return buf_str(out, key);
}

static const char *meta_value(const struct http_answer *a, const char *name)
{
	for (size_t i = 0; i < a->n_meta; i++)
		if (strcmp(a->meta[i].name, name) == 0)
			return a->meta[i].value;
	return "";
}

static void fill_head(const struct http_answer *a, uint64_t size, struct store_head *ret)
{
	const char *sha = meta_value(a, "sha256");

	memset(ret, 0, sizeof(*ret));
	ret->size = size;
	ret->modified_us = a->modified_us;
	(void)snprintf(ret->etag, sizeof(ret->etag), "%s", a->etag);
	/* one that does not fit is none of ours: half a name would be another's */
	if (strlen(meta_value(a, "img-id")) < sizeof(ret->meta.img_id))
		(void)snprintf(ret->meta.img_id, sizeof(ret->meta.img_id), "%s",
			       meta_value(a, "img-id"));
	if (strlen(meta_value(a, "camera")) < sizeof(ret->meta.camera))
		(void)snprintf(ret->meta.camera, sizeof(ret->meta.camera), "%s",
			       meta_value(a, "camera"));
	ret->meta.has_sha = hex_decode(sha, ret->meta.sha.b, sizeof(ret->meta.sha.b)) == 0;
}

static int get_full(struct s3 *s, struct call *c, const char *full, uint64_t max, store_sink *sink,
		    void *user, struct store_head *ret_head)
{
	const struct s3_request req = {.method = "GET", .key = full, .max_body = max};
	struct http_answer a = {0};
	int r = s3_send(s, c, &req, sink, user, &a);

	if (r > 0) /* the sink's own word */
		return r;
	if (r < 0 || a.status != 200)
		return s3_explain(s, c, "reading", full, r, &a);
	if (a.has_length && a.content_length != a.length) {
		call_why(c,
			 "store \"%s\": an object came with %" PRIu64 " of its %" PRIu64 " bytes",
			 s->conf->name, a.length, a.content_length);
		return -EIO;
	}
	fill_head(&a, a.length, ret_head);
	return 0;
}

static int s3_get(void *self, struct call *c, const char *key, uint64_t max, store_sink *sink,
		  void *user, struct store_head *ret_head)
{
	CLEANUP(buf_done) struct buf full = BUF(4 * KEY_MAX);
	struct s3 *s = self;
	int r = full_key(s, key, &full);

	return r < 0 ? r : get_full(s, c, full.data, max, sink, user, ret_head);
}

/* The bucket is there; one that was a moment ago is not asked for again. */
static int look_at_bucket(struct s3 *s, struct call *c)
{
	const struct s3_request req = {.method = "HEAD"};
	struct http_answer a = {0};
	int64_t seen = s->bucket_seen_us;
	int r;

	if (seen && mono_us() - seen < BUCKET_STAYS_US)
		return 0;
	r = s3_send(s, c, &req, NULL, NULL, &a);
	/* refused: a key that may read objects need not be allowed to see the bucket, but then there is one */
	if (a.status != 403 && (r < 0 || a.status != 200))
		return s3_explain(s, c, "looking at", NULL, r, &a);
	s->bucket_seen_us = mono_us();
	return 0;
}

/* A HEAD says 404 for a missing object and for a missing bucket alike. */
static int explain_missing(struct s3 *s, struct call *c, const char *full)
{
	char shown[KEY_SHOWN_MAX + 4];
	int r = look_at_bucket(s, c);

	if (r < 0)
		return r;
	call_why(c, "store \"%s\": there is no object \"%s\"", s->conf->name,
		 key_shown(full, shown));
	return -ENOENT;
}

static int head_full(struct s3 *s, struct call *c, const char *full, struct store_head *ret)
{
	const struct s3_request req = {.method = "HEAD", .key = full};
	struct http_answer a = {0};
	int r = s3_send(s, c, &req, NULL, NULL, &a);

	if (a.status == 404)
		return explain_missing(s, c, full);
	if (r < 0 || a.status != 200)
		return s3_explain(s, c, "looking at", full, r, &a);
	if (!a.has_length) {
		call_why(c, "store \"%s\": the server does not say how large an object is",
			 s->conf->name);
		return -EIO;
	}
	fill_head(&a, a.content_length, ret);
	return 0;
}

static int s3_head(void *self, struct call *c, const char *key, struct store_head *ret)
{
	CLEANUP(buf_done) struct buf full = BUF(4 * KEY_MAX);
	struct s3 *s = self;
	int r = full_key(s, key, &full);

	return r < 0 ? r : head_full(s, c, full.data, ret);
}

static int s3_delete(void *self, struct call *c, const char *key)
{
	CLEANUP(buf_done) struct buf full = BUF(4 * KEY_MAX);
	struct s3 *s = self;
	struct s3_request req = {.method = "DELETE", .max_body = ANSWER_BYTES};
	struct http_answer a = {0};
	int r = full_key(s, key, &full);

	if (r < 0)
		return r;
	req.key = full.data;
	r = s3_send(s, c, &req, NULL, NULL, &a);
	if (r == 0 && a.status < 300)
		return 0;
	r = s3_explain(s, c, "deleting", full.data, r, &a);
	return r == -ENOENT ? 0 : r;
}

/* ---- put, and is it there as it should be ---- */

static int hash_sink(void *user, const void *data, size_t len)
{
	return hash_add(user, data, len);
}

/* Reads the object back: its ETag looks like an MD5 and is another. So are those of objects that KMS encrypts, and
 * that of a damaged one. */
static int check_bytes(struct s3 *s, struct call *c, const char *full, uint64_t size,
		       const struct sha256 *sha)
{
	struct store_head head;
	struct hashes got;
	struct hash *hash;
	int r = hash_new(&hash);

	if (r < 0)
		return r;
	r = get_full(s, c, full, size, hash_sink, hash, &head);
	if (r == 0)
		r = hash_end(hash, &got);
	hash = hash_free(hash);
	if (r < 0)
		return r;
	return head.size == size && memcmp(got.sha.b, sha->b, sizeof(sha->b)) == 0 ? 0 : -EBADMSG;
}

/* The ETag is no MD5 at all: the size and the checksum that went along must be there. */
static int check_meta(struct s3 *s, struct call *c, const char *full, uint64_t size,
		      const struct sha256 *sha)
{
	struct store_head head;
	int r = head_full(s, c, full, &head);

	if (r < 0)
		return r;
	if (head.size != size || !head.meta.has_sha)
		return -EBADMSG;
	return memcmp(head.meta.sha.b, sha->b, sizeof(sha->b)) == 0 ? 0 : -EBADMSG;
}

static int check_put(struct s3 *s, struct call *c, const char *full, uint64_t size,
		     const struct sha256 *sha, const uint8_t md5[16], const char *etag)
{
	uint8_t theirs[16];
	char shown[KEY_SHOWN_MAX + 4];
	int r;

	if (hex_decode(etag, theirs, sizeof(theirs)) < 0)
		r = check_meta(s, c, full, size, sha);
	else if (memcmp(theirs, md5, sizeof(theirs)) == 0)
		return 0;
	else
		r = check_bytes(s, c, full, size, sha);
	if (r != -EBADMSG)
		return r;
	call_why(
		c,
		"store \"%s\": \"%s\" is not there as it was sent: the server changed or damaged it",
		s->conf->name, key_shown(full, shown));
	return -EIO;
}

static int s3_put(void *self, struct call *c, const char *key, int fd, uint64_t size,
		  const char *mime, const struct sha256 *sha, const uint8_t md5[16],
		  const struct store_meta *meta, struct store_head *ret)
{
	CLEANUP(buf_done) struct buf full = BUF(4 * KEY_MAX);
	struct s3 *s = self;
	struct s3_request req = {
		.method = "PUT",
		.max_body = ANSWER_BYTES,
		.body_fd = fd,
		.body_len = size,
		.sha = sha,
		.mime = mime,
		.meta = meta,
	};
	struct http_answer a = {0};
	int r = full_key(s, key, &full);

	if (r < 0)
		return r;
	req.key = full.data;
	r = s3_send(s, c, &req, NULL, NULL, &a);
	if (r < 0 || a.status >= 300)
		return s3_explain(s, c, "writing", full.data, r, &a);
	r = check_put(s, c, full.data, size, sha, md5, a.etag);
	if (r < 0)
		return r;
	fill_head(&a, size, ret);
	ret->modified_us = now_us(); /* as near as we know: the answer to a PUT does not say */
	if (meta)
		ret->meta = *meta;
	ret->meta.sha = *sha;
	ret->meta.has_sha = true;
	return 0;
}

/* ---- list ---- */

struct listing {
	struct s3 *s;
	const char *prefix, *after; /* as whole keys */
	store_object_fn *each;
	void *user;
	char last[KEY_MAX * 4 + 1];
	size_t n;
	bool disorder, ended; /* ended: by the caller */
};

static int list_object(void *user, const struct s3_object *o)
{
	struct listing *l = user;
	struct store_object out = {.etag = o->etag, .size = o->size, .modified_us = o->modified_us};
	size_t skip = strlen(l->s->prefix);
	int r;

	/* without order neither we nor the caller would know where a listing goes on, or that it ends */
	if (strcmp(o->key, l->last) <= 0 || strlen(o->key) >= sizeof(l->last)) {
		l->disorder = true;
		return -EIO;
	}
	(void)snprintf(l->last, sizeof(l->last), "%s", o->key);
	l->n++;
	if (strncmp(o->key, l->prefix, strlen(l->prefix)) != 0 || o->key[skip] == '\0')
		return 0;
	if (l->after && strcmp(o->key, l->after) <= 0)
		return 0;
	out.key = o->key + skip;
	r = l->each(l->user, &out);
	l->ended = r != 0;
	return r;
}

/* One page into `ret`; `token` NULL: the first. */
static int list_page(struct listing *l, struct call *c, const char *token, struct s3_list_page *ret)
{
	CLEANUP(buf_done) struct buf body = BUF(PAGE_BYTES);
	struct sigv4_field param[6] = {{"list-type", "2"},
				       {"encoding-type", "url"},
				       {"max-keys", "1000"},
				       {"prefix", l->prefix}};
	struct s3_request req = {
		.method = "GET", .param = param, .n_params = 4, .max_body = PAGE_BYTES};
	struct http_answer a = {0};
	char why[WHY_MAX];
	int r;

	if (token)
		param[req.n_params++] = (struct sigv4_field){"continuation-token", token};
	else if (l->after)
		param[req.n_params++] = (struct sigv4_field){"start-after", l->after};
	r = s3_send(l->s, c, &req, http_sink_buf, &body, &a);
	if (r < 0 || a.status != 200)
		return s3_explain(l->s, c, "listing", NULL, r, &a);
	r = s3_list_parse(body.data ? body.data : "", body.len, list_object, l, ret, why);
	if (l->ended || r == 0 || r == -ENOMEM)
		return r;
	if (l->disorder)
		call_why(
			c,
			"store \"%s\": bucket \"%s\" is not listed in byte order: such servers are not supported",
			l->s->conf->name, l->s->conf->bucket);
	else
		call_why(c, "store \"%s\": the listing of bucket \"%s\" %s", l->s->conf->name,
			 l->s->conf->bucket, why);
	return -EIO;
}

static int list_pages(struct listing *l, struct call *c)
{
	struct s3_list_page page = {0}, next;
	unsigned empty = 0;
	int r;

	for (bool first = true;; first = false) {
		size_t before = l->n;

		memset(&next, 0, sizeof(next));
		r = call_check(c);
		if (r == 0)
			r = list_page(l, c, first ? NULL : page.next, &next);
		if (r != 0 || !next.truncated)
			return r;
		empty = l->n == before ? empty + 1 : 0;
		if ((!first && strcmp(next.next, page.next) == 0) || empty > EMPTY_PAGES_MAX) {
			call_why(c, "store \"%s\": the listing of bucket \"%s\" goes in circles",
				 l->s->conf->name, l->s->conf->bucket);
			return -EIO;
		}
		page = next;
	}
}

static int s3_list(void *self, struct call *c, const char *prefix, const char *after,
		   store_object_fn *each, void *user)
{
	CLEANUP(freep) struct listing *l = calloc(1, sizeof(*l));
	CLEANUP(buf_done) struct buf whole = BUF(4 * KEY_MAX);
	CLEANUP(buf_done) struct buf from = BUF(4 * KEY_MAX);
	struct s3 *s = self;
	int r;

	if (!l)
		return -ENOMEM;
	r = full_key(s, prefix, &whole);
	if (r == 0 && after)
		r = full_key(s, after, &from);
	if (r < 0)
		return r;
	l->s = s;
	l->prefix = whole.data;
	l->after = after ? from.data : NULL;
	l->each = each;
	l->user = user;
	return list_pages(l, c);
}

const struct store_driver store_s3 = {
	.name = "s3",
	.open = s3_open,
	.close = s3_close,
	.list = s3_list,
	.get = s3_get,
	.head = s3_head,
	.put = s3_put,
	.delete = s3_delete,
};
