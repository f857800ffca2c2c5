/* objects.h - the buckets of the benchmark's S3 server: objects in memory, sorted by "bucket/key". */
#pragma once

#include <time.h>

#include "shutterfs/base.h"

struct object {
	_Atomic int refs;
	time_t modified;
	size_t size;
	char etag[33];
	char *key;     /* with its bucket */
	char *headers; /* x-amz-meta-* and content type as they came, whole lines */
	uint8_t *data;
};
/* Takes ownership of `data` and `headers`, also on failure. */
int object_put(const char *key, uint8_t *data, size_t size, char *headers) MUST_CHECK;
struct object *object_get(const char *key); /* NULL: none; a reference */
void object_unref(struct object *o);
void object_delete(const char *key);
int objects_load(const char *bucket, const char *dir) MUST_CHECK; /* every file below dir */

struct listing {
	const char *bucket, *prefix, *delimiter, *after;
	unsigned max;
	bool v2;
};
int objects_list(const struct listing *l, struct buf *out) MUST_CHECK; /* as XML */
