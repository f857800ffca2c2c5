/* The null store: takes every object, checks and keeps nothing; for tests of what stands above. */
#include <errno.h>
#include <stddef.h>

#include "drivers.h"

static int null_open(const struct store_config *conf, struct buf *err, void **ret_self)
{
	*ret_self = NULL;
	return 0;
}

static void null_close(void *self)
{
}

static int null_list(void *self, struct call *c, const char *prefix, const char *after,
		     store_object_fn *each, void *user)
{
	return 0;
}

static int null_get(void *self, struct call *c, const char *key, uint64_t max, store_sink *sink,
		    void *user, struct store_head *ret_head)
{
	call_why(c, "the null store keeps nothing");
	return -ENOENT;
}

static int null_head(void *self, struct call *c, const char *key, struct store_head *ret)
{
	call_why(c, "the null store keeps nothing");
	return -ENOENT;
}

static int null_put(void *self, struct call *c, const char *key, int fd, uint64_t size,
		    const char *mime, const struct sha256 *sha, const uint8_t md5[16],
		    const struct store_meta *meta, struct store_head *ret)
{
	*ret = (struct store_head){.size = size, .modified_us = now_us()};
	return 0;
}

static int null_delete(void *self, struct call *c, const char *key)
{
	return 0;
}

const struct store_driver store_null = {
	.name = "null",
	.open = null_open,
	.close = null_close,
	.list = null_list,
	.get = null_get,
	.head = null_head,
	.put = null_put,
	.delete = null_delete,
};
