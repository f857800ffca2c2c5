/* net-client.h - what a test does to a peer through the doors of store and source, and what it takes for right.
 *
 * As those who use the doors do: bytes that are not the ones whose SHA-256 is known are -EBADMSG, and what was tried before is
 * looked for before it is sent again.  Runs in threads of its own, so it reports by return value and never asserts. */
#pragma once

#include <sys/mman.h>

#include "net-peer.h"
#include "shutterfs/source.h"
#include "shutterfs/store.h"

enum op { LIST, GET, PUT, HEAD, DELETE, CAPTURE, OPS };
static const char *const op_name[] = {"list", "get", "put", "head", "delete", "capture"};

#define CANARY_PASSWORD "canary-password"
#define CANARY_SECRET "canary-secret-key"
#define CANARY_TOKEN "canary-session-token"
#define CANARY_QUERY "canary-query"

struct client {
	char endpoint[128], url[256];
	struct store_config store_conf;
	struct camera_config camera_conf;
	struct store *store;
	struct source *source;
};

/* `origin`: "http://127.0.0.1:1234" */
static inline int client_open(struct client *c, const char *origin, int64_t camera_timeout_us)
{
	CLEANUP(buf_done) struct buf err = BUF(1000);
	int r;

	(void)snprintf(c->endpoint, sizeof(c->endpoint), "%s", origin);
	(void)snprintf(c->url, sizeof(c->url), "%s" PEER_CAMERA "?token=" CANARY_QUERY, origin);
	c->store_conf = (struct store_config){.name = (char *)"cloud",
					      .driver = (char *)"s3",
					      .endpoint = c->endpoint,
					      .region = (char *)"us-east-1",
					      .bucket = (char *)"snaps",
					      .prefix = (char *)"pre/",
					      .path_style = true,
					      .has_path_style = true,
					      .access_key.text = (char *)"AKID",
					      .secret_key.text = (char *)CANARY_SECRET,
					      .session_token.text = (char *)CANARY_TOKEN};
	c->camera_conf = (struct camera_config){.name = (char *)"front",
						.driver = (char *)"http",
						.url = c->url,
						.user = (char *)"admin",
						.password.text = (char *)CANARY_PASSWORD,
						.timeout_us = camera_timeout_us};
	r = store_new(&c->store_conf, &err, &c->store);
	return r < 0 ? r : source_new(&c->camera_conf, &err, &c->source);
}

static inline void client_close(struct client *c)
{
	c->store = store_free(c->store);
	c->source = source_free(c->source);
}

static inline bool is_picture(const void *data, size_t len)
{
	return len == PICTURE_LEN && memcmp(data, peer_picture(), len) == 0;
}

struct listing {
	unsigned n;
	bool right;
};

static inline int each_object(void *user, const struct store_object *o)
{
	struct listing *l = user;

	l->n++;
	l->right = strcmp(o->key, "old.jpg") == 0 && o->size == PICTURE_LEN;
	return 0;
}

static inline int do_list(struct client *c, struct call *call)
{
	struct listing l = {0};
	int r = store_list(c->store, call, "", NULL, each_object, &l);

	return r == 0 && (l.n != 1 || !l.right) ? -EBADMSG : r;
}

static inline int to_buf(void *user, const void *data, size_t len)
{
	return buf_add(user, data, len);
}

static inline int do_get(struct client *c, struct call *call, const char *key)
{
	CLEANUP(buf_done) struct buf got = BUF(PICTURE_LEN);
	struct store_head head;
	int r = store_get(c->store, call, key, PICTURE_LEN, to_buf, &got, &head);

	return r == 0 && !is_picture(got.data, got.len) ? -EBADMSG : r;
}

static inline int do_head(struct client *c, struct call *call, const char *key)
{
	struct store_head head;
	struct hashes h;
	int r = store_head(c->store, call, key, &head);

	peer_hash(peer_picture(), PICTURE_LEN, &h);
	if (r == 0 && (head.size != PICTURE_LEN || !head.meta.has_sha ||
		       memcmp(head.meta.sha.b, h.sha.b, sizeof(h.sha.b)) != 0))
		return -EBADMSG;
	return r;
}

static inline int do_put(struct client *c, struct call *call)
{
	CLEANUP(closep) int fd = memfd_create("picture", MFD_CLOEXEC);
	struct store_meta meta = {.img_id = "20201231T15-45-55-123456", .camera = "front"};
	struct store_head head;
	struct hashes h;

	peer_hash(peer_picture(), PICTURE_LEN, &h);
	if (fd < 0 || write_all(fd, peer_picture(), PICTURE_LEN) < 0)
		return -ENOSPC;
	return store_put(c->store, call, "new.jpg", fd, PICTURE_LEN, "image/jpeg", &h.sha, h.md5,
			 &meta, &head);
}

static inline int do_capture(struct client *c, struct call *call)
{
	CLEANUP(buf_done) struct buf got = BUF(PICTURE_BYTES);
	int r = source_capture(c->source, call, &got);

	return r == 0 && !is_picture(got.data, got.len) ? -EBADMSG : r;
}

static inline int client_do(struct client *c, enum op op, struct call *call)
{
	switch (op) {
	case LIST:
		return do_list(c, call);
	case GET:
		return do_get(c, call, "old.jpg");
	case PUT:
		return do_put(c, call);
	case HEAD:
		return do_head(c, call, "old.jpg");
	case DELETE:
		return store_delete(c->store, call, "old.jpg");
	default:
		return do_capture(c, call);
	}
}

/* After a failure: a PUT that may have arrived is looked for first. */
static inline int client_do_again(struct client *c, enum op op, struct call *call)
{
	int r = op == PUT ? do_head(c, call, "new.jpg") : -ENOENT;

	return r == -ENOENT || r == -EBADMSG ? client_do(c, op, call) : r;
}
