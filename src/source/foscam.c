/* foscam.c - Foscam HD cameras: snapPicture2 of CGIProxy.fcgi, login in the query, refusals as XML behind status 200. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "shutterfs/codec.h"

#define CGI_PATH "/cgi-bin/CGIProxy.fcgi"
#define URL_MAX 4096u

struct foscam {
	struct camera cam;
	struct buf url; /* with the login: wiped, and never shown */
};

static void foscam_close(void *self)
{
	struct foscam *f = self;

	if (!f)
		return;
	if (f->url.data)
		explicit_bzero(f->url.data, f->url.len);
	buf_done(&f->url);
	camera_done(&f->cam);
	free(f);
}

/* `url` may be the camera's address alone, or name the CGI; a query of its own is not kept. */
static int make_url(struct foscam *f)
{
	struct camera *cam = &f->cam;
	size_t len = strcspn(cam->url, "?#");
	struct url u;
	int r = url_parse(cam->url, &u);

	if (r < 0)
		return r;
	if (u.path[0] == '/' && (u.path[1] == '\0' || u.path[1] == '?') && cam->url[len - 1] == '/')
		len--;
	(void)buf_add(&f->url, cam->url, len);
	if (u.path[1] == '\0' || u.path[1] == '?')
		(void)buf_str(&f->url, CGI_PATH);
	(void)buf_str(&f->url, "?cmd=snapPicture2&usr=");
	(void)url_escape(cam->user ? cam->user : "", &f->url);
	(void)buf_str(&f->url, "&pwd=");
	(void)url_escape(cam->password.text ? cam->password.text : "", &f->url);
	return f->url.error;
}

static int foscam_open(const struct camera_config *conf, struct buf *err, void **ret_self)
{
	struct foscam *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->url = BUF(URL_MAX);
	r = camera_init(&f->cam, conf, err);
	if (r == 0) {
		r = make_url(f);
		if (r == -EFBIG) {
			(void)buf_printf(err,
					 "camera \"%s\": url, user and password are too long\n",
					 conf->name);
			r = -EINVAL;
		}
	}
	if (r < 0) {
		foscam_close(f);
		return r;
	}
	*ret_self = f;
	return 0;
}

static int explain_result(const struct foscam *f, struct call *c, int result)
{
	const char *name = f->cam.conf->name;

	switch (result) {
	case -1:
		call_why(
			c,
			"camera \"%s\" did not understand the request (result -1); is it a Foscam HD model?",
			name);
		return -EPROTO;
	case -2:
		call_why(c, "camera \"%s\" refused the login (result -2); check user and password",
			 name);
		return -EACCES;
	case -3:
		call_why(
			c,
			"camera \"%s\" does not let this user take pictures (result -3); check the user's rights",
			name);
		return -EACCES;
	case -5:
		call_why(c, "camera \"%s\" is too busy to take a picture (result -5)", name);
		return -EAGAIN;
	default:
		call_why(c, "camera \"%s\" could not take a picture (result %d)", name, result);
		return -EIO;
	}
}

static int foscam_capture(void *self, struct call *c, struct buf *sink)
{
	struct foscam *f = self;
	struct http_answer answer;
	int r, result;

	r = camera_get(&f->cam, c, f->url.data, HTTP_AUTH_NONE, sink, &answer);
	if (r < 0)
		return r;
	if (!sink->len || looks_like_jpeg(sink))
		return 0;
	if (cgi_result_parse(sink->data, sink->len, &result) == 0)
		return explain_result(f, c, result);
	return camera_no_picture(&f->cam, c, &answer, sink);
}

const struct source_driver source_foscam = {
	.name = "foscam", .open = foscam_open, .capture = foscam_capture, .close = foscam_close};
