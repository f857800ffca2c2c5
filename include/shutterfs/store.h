/* store.h - where pictures are kept: one driver per kind of cloud or disk.
 *
 * A driver never touches the catalog, the cache or FUSE.  Calls may block, honour the deadline in struct call and return 0 or
 * -errno (net.h's list) with call.why set: what happened, to which object, what to do.  Keys are relative to the store's prefix and
 * unchecked when they come from a listing.  -ENOENT means that the object itself is missing and nothing less: a missing bucket, a
 * stranger's 404 or a removed directory is -EACCES or -EIO.  A listing that returned an error was not a whole one.
 * Thread-safe: `threads` of the config bound nothing here, callers do. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/config.h"

struct store;
struct store_object {
	const char
		*key; /* borrowed: valid during the callback, or as long as the caller's string */
	const char *etag; /* "" when the driver has none; dir: "<size>-<mtime_ns>-<ino>" */
	uint64_t size;
	int64_t modified_us;
};
typedef int store_object_fn(void *user,
			    const struct store_object *o); /* non-zero ends the listing with it */
struct store_meta { /* travels with each object: x-amz-meta-*, or user.shutterfs.* xattrs */
	char img_id[IMG_ID_MAX + 1], camera[CAMERA_MAX + 1];
	struct sha256 sha;
	bool has_sha;
};
struct store_head {
	uint64_t size;
	int64_t modified_us;
	char etag[160];
	struct store_meta meta; /* fields "" / false when the object has none */
};
typedef int store_sink(void *user, const void *data, size_t len);

struct store_driver {
	const char *name;
	int (*open)(const struct store_config *conf, struct buf *err, void **ret_self);
	void (*close)(void *self);
	/* Objects below `prefix` in byte order of their keys, strictly after `after` (NULL: from the start). */
	int (*list)(void *self, struct call *c, const char *prefix, const char *after,
		    store_object_fn *each, void *user);
	/* The whole object into `sink`; at most `max` bytes. ret_head->etag/size as the answer said. */
	int (*get)(void *self, struct call *c, const char *key, uint64_t max, store_sink *sink,
		   void *user, struct store_head *ret_head);
	/* The object as a local file, read in place; NULL: the driver has no such thing. ret_head is without meta. -ENODEV: all objects
	 * are missing, as when a disk is not mounted. */
	int (*open_local)(void *self, const char *key, int *ret_fd, struct store_head *ret_head);
	int (*head)(void *self, struct call *c, const char *key, struct store_head *ret);
	/* Exactly `size` bytes of fd from offset 0; verified by the peer (SHA-256) and by us (ETag/MD5 or a re-read) before 0. */
	int (*put)(void *self, struct call *c, const char *key, int fd, uint64_t size,
		   const char *mime, const struct sha256 *sha, const uint8_t md5[16],
		   const struct store_meta *meta, struct store_head *ret);
	int (*delete)(void *self, struct call *c, const char *key); /* gone already: 0 */
	/* What was opened is of no use, and something else is in its place now: to be opened again.  NULL: never.  May block. */
	bool (*replaced)(void *self);
};
/* Rows of src/store/drivers.c: dir, s3, and for tests null and fault. */
extern const struct store_driver *const store_drivers[];

int store_new(const struct store_config *conf, struct buf *err, struct store **ret) MUST_CHECK;
struct store *store_free(struct store *s);
const struct store_config *store_config(const struct store *s);
bool store_is_local(const struct store *s); /* has open_local */
int store_list(struct store *s, struct call *c, const char *prefix, const char *after,
	       store_object_fn *each, void *user) MUST_CHECK;
int store_get(struct store *s, struct call *c, const char *key, uint64_t max, store_sink *sink,
	      void *user, struct store_head *ret) MUST_CHECK;
int store_open_local(struct store *s, const char *key, int *ret_fd, struct store_head *ret)
	MUST_CHECK;
int store_head(struct store *s, struct call *c, const char *key, struct store_head *ret) MUST_CHECK;
int store_put(struct store *s, struct call *c, const char *key, int fd, uint64_t size,
	      const char *mime, const struct sha256 *sha, const uint8_t md5[16],
	      const struct store_meta *meta, struct store_head *ret) MUST_CHECK;
int store_delete(struct store *s, struct call *c, const char *key) MUST_CHECK;
bool store_was_replaced(struct store *s);
