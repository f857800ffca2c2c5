/* fault.c - a camera for tests that does what its url says: "fault:?jpeg=/path&hang=0.5&times=2".
 *
 * jpeg=PATH     the picture, read anew for each capture
 * hang=SECONDS  answer that much later (or never, when the deadline comes first)
 * error=NAME    fail with that errno, e.g. ECONNREFUSED
 * html=1        a web page instead of the picture;  truncate=1  half the picture;  empty=1  nothing
 * times=N       all that only for the first N captures */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"

#define FAULT_URL "fault:?"
#define FAULT_PAGE "<!DOCTYPE html><html><body>Camera error</body></html>\n"

struct fault {
	const char *name; /* borrowed */
	char jpeg[PATH_MAX];
	int64_t hang_us;
	int error;
	bool html, truncate, empty;
	unsigned long times, captured; /* times 0: always */
};

static int errno_named(const char *name)
{
	for (int e = 1; e < 200; e++) {
		const char *its = strerrorname_np(e);

		if (its && strcmp(its, name) == 0)
			return -e;
	}
	return 0;
}

static int set(struct fault *f, const char *key, const char *value)
{
	char *end = NULL;

	if (strcmp(key, "jpeg") == 0) {
		(void)snprintf(f->jpeg, sizeof(f->jpeg), "%s", value);
	} else if (strcmp(key, "hang") == 0) {
		f->hang_us = (int64_t)(strtod(value, &end) * 1e6);
		return *end || f->hang_us < 0 ? -EINVAL : 0;
	} else if (strcmp(key, "times") == 0) {
		f->times = strtoul(value, &end, 10);
		return *end ? -EINVAL : 0;
	} else if (strcmp(key, "error") == 0) {
		f->error = errno_named(value);
		return f->error ? 0 : -EINVAL;
	} else if (strcmp(key, "html") == 0) {
		f->html = strcmp(value, "1") == 0;
	} else if (strcmp(key, "truncate") == 0) {
		f->truncate = strcmp(value, "1") == 0;
	} else if (strcmp(key, "empty") == 0) {
		f->empty = strcmp(value, "1") == 0;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int parse(struct fault *f, const char *url)
{
	CLEANUP(freep) char *copy = NULL;
	char *rest, *pair, *eq;
	int r;

	if (!url || strncmp(url, FAULT_URL, strlen(FAULT_URL)) != 0)
		return -EINVAL;
	copy = strdup(url + strlen(FAULT_URL));
	if (!copy)
		return -ENOMEM;
	rest = copy;
	while ((pair = strsep(&rest, "&")) != NULL) {
		eq = strchr(pair, '=');
		if (!eq)
			return -EINVAL;
		*eq = '\0';
		r = set(f, pair, eq + 1);
		if (r < 0)
			return r;
	}
	return 0;
}

static int fault_open(const struct camera_config *conf, struct buf *err, void **ret_self)
{
	CLEANUP(freep) struct fault *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->name = conf->name;
	r = parse(f, conf->url);
	if (r == -EINVAL)
		(void)buf_printf(err,
				 "camera \"%s\": url of a fault camera is " FAULT_URL
				 "jpeg=PATH&hang=SECONDS...\n",
				 conf->name);
	if (r < 0)
		return r;
	*ret_self = TAKE(f);
	return 0;
}

static int hang(const struct fault *f, struct call *c)
{
	struct call open_end = {.cancel = c->cancel};
	int64_t now = mono_us(), us = f->hang_us;
	bool late = c->deadline_us && now + us >= c->deadline_us;
	int r;

	if (late)
		us = c->deadline_us - now;
	r = retry_sleep(&open_end, us);
	if (r < 0)
		return r;
	return late ? -ETIMEDOUT : 0;
}

static int picture(const struct fault *f, struct call *c, struct buf *sink)
{
	int r;

	r = read_file(AT_FDCWD, f->jpeg, sink->max - sink->len, sink);
	if (r < 0)
		call_why(c, "camera \"%s\": its jpeg cannot be read: %s", f->name,
			 strerrordesc_np(-r));
	return r;
}

static int fault_capture(void *self, struct call *c, struct buf *sink)
{
	struct fault *f = self;
	int r;

	if (f->captured++ >= f->times && f->times)
		return picture(f, c, sink);
	r = hang(f, c);
	if (r == 0)
		r = f->error;
	if (r < 0) {
		call_why(c, "camera \"%s\" plays the fault %s", f->name, strerrorname_np(-r));
		return r;
	}
	if (f->empty)
		return 0;
	if (f->html)
		return buf_str(sink, FAULT_PAGE);
	r = picture(f, c, sink);
	if (r == 0 && f->truncate)
		sink->len /= 2;
	return r;
}

static void fault_close(void *self)
{
	free(self);
}

const struct source_driver source_fault = {
	.name = "fault", .open = fault_open, .capture = fault_capture, .close = fault_close};
