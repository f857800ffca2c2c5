/* driver.h - what the drivers share: their table rows, and a camera that is asked over HTTP.  Private to source. */
#pragma once

#include "shutterfs/net.h"
#include "shutterfs/source.h"

extern const struct source_driver source_fault, source_foscam, source_http, source_null;

/* A camera behind an HTTP address. */
struct camera {
	const struct camera_config *conf; /* borrowed */
	struct http *http;
	char *url;  /* without user info */
	char *user; /* NULL: none; from the config, else from the URL's user info */
	struct secret password;
};

/* Checks conf->url and takes the credentials; a line in err on -EINVAL. camera_done() also after failure. */
int camera_init(struct camera *cam, const struct camera_config *conf, struct buf *err) MUST_CHECK;
void camera_done(struct camera *cam);
/* GET into `sink`.  What is not a JPEG from its first bytes on is read no further than an error message is long; the
 * caller looks at it.  call.why begins with the camera's name. */
int camera_get(struct camera *cam, struct call *c, const char *url, enum http_auth auth,
	       struct buf *sink, struct http_answer *ret) MUST_CHECK;
bool looks_like_jpeg(const struct buf *b);
/* Says in call.why what came instead of a picture; returns -EBADMSG. */
int camera_no_picture(const struct camera *cam, struct call *c, const struct http_answer *a,
		      const struct buf *came);
