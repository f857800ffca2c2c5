/* sigv4.h - AWS Signature Version 4, header form: what the s3 driver signs its requests with.
 *
 * Our own, since libcurl's differs by version and fails on some headers and queries.  Private to the store room. */
#pragma once

#include "shutterfs/base.h"

#define SIGV4_DATE 17 /* 20130524T000000Z */
enum { SIGV4_FIELDS_MAX = 32 };

struct sigv4_field {
	const char *name, *value;
};
struct sigv4_key {
	const char *region, *service;
	const struct secret *access, *secret;
};
struct sigv4_request {
	const char *method;
	const char *path;  /* from sigv4_escape(): sent as it is signed */
	const char *query; /* from sigv4_query(): likewise */
	const struct sigv4_field
		*header; /* every header to sign, "host" among them; any order and case */
	size_t n_headers;
	const char *payload_hash; /* hex of the body's SHA-256, as in x-amz-content-sha256 */
};

void sigv4_date(int64_t us, char out[SIGV4_DATE]);
/* All but A-Za-z0-9-._~ (and '/' with keep_slash) as %XX, upper-case; no path is normalised, nothing encoded twice. */
int sigv4_escape(const char *text, bool keep_slash, struct buf *out) MUST_CHECK;
/* The canonical query of unencoded parameters: sorted, encoded, "name=value" joined by '&'. */
int sigv4_query(const struct sigv4_field *param, size_t n, struct buf *out) MUST_CHECK;
/* The canonical request; `ret_signed` gets the list of signed headers. */
int sigv4_canonical(const struct sigv4_request *req, struct buf *out, struct buf *ret_signed)
	MUST_CHECK;
/* The value of the Authorization header. */
int sigv4_sign(const struct sigv4_key *key, const struct sigv4_request *req, const char *date,
	       struct buf *out) MUST_CHECK;
