/* s3.h - an S3 bucket: what its files share; private to the store room. */
#pragma once

#include "shutterfs/net.h"
#include "shutterfs/store.h"
#include "sigv4.h"

struct s3 {
	const struct store_config *conf; /* borrowed */
	const char *prefix;              /* borrowed; "" when there is none */
	const char *region;              /* borrowed */
	bool own_endpoint;               /* the config names one */
	struct buf origin;               /* "https://host[:port]" */
	struct buf host;                 /* the Host header */
	struct buf base;                 /* encoded path of the bucket: "" or "/bucket" */
	struct http *http;
	_Atomic int64_t
		bucket_seen_us; /* mono_us; when it was last asked for and there; 0: never */
};

struct s3_request {
	const char *method;
	const char *key; /* with the prefix; NULL: the bucket itself */
	const struct sigv4_field *param;
	size_t n_params;
	uint64_t max_body;
	/* a body, for PUT */
	int body_fd;
	uint64_t body_len;
	const struct sha256 *sha; /* NULL: there is none */
	const char *mime;
	const struct store_meta *meta; /* may be NULL */
};

/* s3_request.c: where the bucket is, and one signed request to it. */
int s3_locate(struct s3 *s, struct buf *err) MUST_CHECK;
int s3_send(struct s3 *s, struct call *c, const struct s3_request *req, http_sink *sink, void *user,
	    struct http_answer *ret) MUST_CHECK;

/* s3_explain.c: sets c->why from what the peer answered (a->status 0: it did not), and returns the errno that says it
 * best, never 0.  `doing` and `key` name the call; key NULL: the bucket.  -ENOENT only when the object itself is missing. */
int s3_explain(const struct s3 *s, struct call *c, const char *doing, const char *key, int r,
	       const struct http_answer *a);
