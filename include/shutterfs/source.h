/* source.h - where pictures come from: one driver per kind of camera.
 *
 * A driver never touches the catalog, the cache or FUSE; it turns a camera's own protocol into the calls below.  Every call may
 * block, honours the deadline in struct call, and returns 0 or -errno with call.why set, which begins with the camera's name.  A
 * camera answers one request at a time: the door holds its slot (waited for until the deadline) around every driver call, so
 * drivers need no locks.  200 is not a picture: the door checks what came (jpeg_probe) before it returns 0.
 * Errors: as in net.h, and -EBADMSG (what came is not a whole JPEG), -ENODEV (takes no pictures). */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/config.h"

/* Of one picture: more than any camera has for one, and what a hostile one can cost of memory. */
#define CAPTURE_BYTES (64u * 1024 * 1024)

struct source;
struct source_driver {
	const char *name; /* the word in the config file */
	int (*open)(const struct camera_config *conf, struct buf *err, void **ret_self);
	/* One fresh picture into `sink` (a struct buf born with its limit). */
	int (*capture)(void *self, struct call *c, struct buf *sink);
	void (*close)(void *self); /* accepts NULL */
};
/* Rows of src/source/drivers.c, NULL ends: http, foscam, null, and for tests fault. */
extern const struct source_driver *const source_drivers[];

/* Opens by conf->driver; `conf` is borrowed for the source's life. -EINVAL with a line in err. */
int source_new(const struct camera_config *conf, struct buf *err, struct source **ret) MUST_CHECK;
struct source *source_free(struct source *s); /* waits for a call under way */
const struct camera_config *source_config(const struct source *s);
/* A whole, probed JPEG is appended to `ret`.  One try lasts at most conf->timeout_us; a hung camera gets no second one, other
 * transient failures are tried again, three times in all, within the deadline, with jittered pauses.  A Retry-After of more
 * than five seconds is left to the caller in c->retry_after_us. */
int source_capture(struct source *s, struct call *c, struct buf *ret) MUST_CHECK;
