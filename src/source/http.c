/* http.c - any camera that answers a JPEG at a fixed address, with no login, Basic or Digest. */
#include <errno.h>
#include <stdlib.h>

#include "driver.h"

static void http_close(void *self)
{
	if (self)
		camera_done(self);
	free(self);
}

static int http_open(const struct camera_config *conf, struct buf *err, void **ret_self)
{
	struct camera *cam = calloc(1, sizeof(*cam));
	int r;

	if (!cam)
		return -ENOMEM;
	r = camera_init(cam, conf, err);
	if (r < 0) {
		http_close(cam);
		return r;
	}
	*ret_self = cam;
	return 0;
}

static int http_capture(void *self, struct call *c, struct buf *sink)
{
	struct camera *cam = self;
	struct http_answer answer;
	int r;

	r = camera_get(cam, c, cam->url, cam->user ? HTTP_AUTH_ANY : HTTP_AUTH_NONE, sink, &answer);
	if (r < 0)
		return r;
	if (sink->len && !looks_like_jpeg(sink))
		return camera_no_picture(cam, c, &answer, sink);
	return 0;
}

const struct source_driver source_http = {
	.name = "http", .open = http_open, .capture = http_capture, .close = http_close};
