/* null.c - a camera that takes no pictures: one that only ever arrives through upload/, and for tests. */
#include <errno.h>

#include "driver.h"

static int null_open(const struct camera_config *conf, struct buf *err, void **ret_self)
{
	/* only for its name; never written to */
	*ret_self = (void *)(uintptr_t)conf;
	return 0;
}

static int null_capture(void *self, struct call *c, struct buf *sink)
{
	const struct camera_config *conf = self;

	call_why(c, "camera \"%s\" takes no pictures", conf->name);
	return -ENODEV;
}

static void null_close(void *self)
{
}

const struct source_driver source_null = {
	.name = "null", .open = null_open, .capture = null_capture, .close = null_close};
