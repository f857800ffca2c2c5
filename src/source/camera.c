/* camera.c - a camera behind an HTTP address: where it is, its login, and one GET that is looked at from the first
 * bytes on, because status 200 does not mean picture. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "driver.h"

#define CONNECT_TIMEOUT_US 5000000
#define DEFAULT_TIMEOUT_US 10000000
#define NO_PICTURE_BYTES \
	(64u * 1024) /* of something else: enough for any error page that says what it is */

/* ---- address and login ---- */
static char *decode(const char *text, size_t len)
{
	char *out = malloc(len + 1);
	size_t n = 0;

	for (size_t i = 0; out && i < len; i++) {
		uint8_t byte = (uint8_t)text[i];
		char digits[3] = "";

		if (text[i] == '%' && i + 2 < len) {
			memcpy(digits, text + i + 1, 2);
			if (hex_decode(digits, &byte, 1) == 0 && byte)
				i += 2;
			else
				byte = '%';
		}
		out[n++] = (char)byte;
	}
	if (out)
		out[n] = '\0';
	return out;
}

/* "http://user:password@host/" -> "http://host/", and the two if the config does not say others. */
static int take_userinfo(struct camera *cam, const char *url)
{
	const char *start = strstr(url, "://") + 3;
	const char *at = memrchr(start, '@', strcspn(start, "/?#"));
	const char *colon;
	char *password;
	int r = 0;

	if (!at)
		return -EINVAL;
	if (asprintf(&cam->url, "%.*s%s", (int)(start - url), url, at + 1) < 0) {
		cam->url = NULL;
		return -ENOMEM;
	}
	if (cam->user)
		return 0;
	colon = memchr(start, ':', (size_t)(at - start));
	cam->user = decode(start, (size_t)((colon ? colon : at) - start));
	if (!cam->user)
		return -ENOMEM;
	if (colon && !cam->password.text) {
		password = decode(colon + 1, (size_t)(at - colon - 1));
		r = password ? secret_set(&cam->password, password) : -ENOMEM;
		if (password)
			explicit_bzero(password, strlen(password));
		free(password);
	}
	return r;
}

int camera_init(struct camera *cam, const struct camera_config *conf, struct buf *err)
{
	int64_t timeout = conf->timeout_us > 0 ? conf->timeout_us : DEFAULT_TIMEOUT_US;
	char shown[256];
	struct url u;
	int r;

	*cam = (struct camera){.conf = conf};
	if (!conf->url) {
		(void)buf_printf(err, "camera \"%s\": url is missing\n", conf->name);
		return -EINVAL;
	}
	if (url_parse(conf->url, &u) < 0) {
		url_redact(conf->url, shown, sizeof(shown));
		(void)buf_printf(err,
				 "camera \"%s\": url is not an http:// or https:// address: %s\n",
				 conf->name, shown);
		return -EINVAL;
	}
	if (conf->user && !(cam->user = strdup(conf->user)))
		return -ENOMEM;
	if (conf->password.text) {
		r = secret_set(&cam->password, conf->password.text);
		if (r < 0)
			return r;
	}
	if (u.has_userinfo) {
		r = take_userinfo(cam, conf->url);
		if (r < 0)
			return r;
	} else if (!(cam->url = strdup(conf->url))) {
		return -ENOMEM;
	}
	return http_new(timeout < CONNECT_TIMEOUT_US ? timeout : CONNECT_TIMEOUT_US, timeout,
			&cam->http);
}

void camera_done(struct camera *cam)
{
	cam->http = http_free(cam->http);
	free(cam->url);
	free(cam->user);
	secret_done(&cam->password);
	*cam = (struct camera){0};
}

/* ---- one picture ---- */
bool looks_like_jpeg(const struct buf *b)
{
	return b->len >= 2 && (uint8_t)b->data[0] == 0xff && (uint8_t)b->data[1] == 0xd8;
}

static bool is_stream(const struct http_answer *a)
{
	return strncasecmp(a->content_type, "multipart/", 10) == 0;
}

struct intake {
	struct buf *sink;
	const struct http_answer *answer;
};

/* A video stream never ends and a web page is no use: stop early what does not begin as a picture. */
static int take(void *user, const void *data, size_t len)
{
	const struct intake *in = user;
	struct buf *sink = in->sink;
	int r = buf_add(sink, data, len);

	if (r < 0)
		return r;
	if (sink->len < 2 || looks_like_jpeg(sink))
		return 0;
	return is_stream(in->answer) || sink->len > NO_PICTURE_BYTES ? -EBADMSG : 0;
}

int camera_no_picture(const struct camera *cam, struct call *c, const struct http_answer *a,
		      const struct buf *came)
{
	const char *name = cam->conf->name;
	int type_len = (int)strcspn(a->content_type, "; ");
	const char *text = came->data;

	while (*text && isspace((unsigned char)*text))
		text++;
	if (is_stream(a))
		call_why(
			c,
			"camera \"%s\" answered with a video stream (%.*s), not a picture; its snapshot has another url",
			name, type_len, a->content_type);
	else if (strncasecmp(a->content_type, "text/html", 9) == 0 || *text == '<')
		call_why(
			c,
			"camera \"%s\" answered with a web page (%.*s), not a picture; check the url",
			name, type_len ? type_len : 7, type_len ? a->content_type : "no type");
	else
		call_why(
			c,
			"camera \"%s\" answered with something (%.*s) that is not a JPEG picture; check the url",
			name, type_len ? type_len : 7, type_len ? a->content_type : "no type");
	return -EBADMSG;
}

static int explain(const struct camera *cam, struct call *c, const struct http_answer *a, int r)
{
	const char *name = cam->conf->name;
	char why[sizeof(c->why)];

	if (a->status == 401) {
		call_why(
			c,
			cam->user
				? "camera \"%s\" refused the login (status 401); check user and password"
				: "camera \"%s\" wants a login (status 401); set user and password_file",
			name);
		return r;
	}
	(void)snprintf(why, sizeof(why), "%s", c->why);
	call_why(c, "camera \"%s\": %s", name, why);
	/* asking again will not make it understand */
	return r == -EIO && a->status >= 400 && a->status < 500 ? -EPROTO : r;
}

int camera_get(struct camera *cam, struct call *c, const char *url, enum http_auth auth,
	       struct buf *sink, struct http_answer *ret)
{
	struct http_request req = {.method = "GET",
				   .url = url,
				   .auth = auth,
				   .user = cam->user,
				   .password = &cam->password,
				   .max_body = sink->max - sink->len};
	struct intake in = {.sink = sink, .answer = ret};
	int r;

	r = http_do(cam->http, c, &req, take, &in, ret);
	if (r == -EBADMSG)
		return camera_no_picture(cam, c, ret, sink);
	return r < 0 ? explain(cam, c, ret, r) : 0;
}
