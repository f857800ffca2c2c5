/* The door of the store room: picks the driver, checks what no driver should have to check, hands the call on. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"

struct store {
	const struct store_driver *driver;
	const struct store_config *conf; /* borrowed: the config outlives every store */
	void *self;
};

const char *key_shown(const char *key, char out[KEY_SHOWN_MAX + 4])
{
	size_t n = strnlen(key, KEY_SHOWN_MAX + 1);
	bool cut = n > KEY_SHOWN_MAX;

	if (cut)
		n = KEY_SHOWN_MAX;
	for (size_t i = 0; i < n; i++)
		out[i] = (char)((unsigned char)key[i] < 0x20 || key[i] == 0x7f ? '?' : key[i]);
	memcpy(out + n, "...", 4);
	if (!cut)
		out[n] = '\0';
	return out;
}

int call_check(struct call *c)
{
	if (c->cancel && atomic_load(c->cancel))
		return -ECANCELED;
	if (c->deadline_us != 0 && mono_us() >= c->deadline_us) {
		call_why(c, "took longer than allowed");
		return -ETIMEDOUT;
	}
	return 0;
}

static const struct store_driver *find_driver(const char *name)
{
	for (size_t i = 0; store_drivers[i]; i++)
		if (strcmp(store_drivers[i]->name, name) == 0)
			return store_drivers[i];
	return NULL;
}

int store_new(const struct store_config *conf, struct buf *err, struct store **ret)
{
	CLEANUP(freep) struct store *s = NULL;
	const struct store_driver *d = find_driver(conf->driver ? conf->driver : "");
	int r;

	if (!d) {
		buf_printf(err, "store \"%s\": there is no driver \"%s\": dir and s3 are there\n",
			   conf->name, conf->driver ? conf->driver : "");
		return -EINVAL;
	}
	assert(d->open && d->close && d->list && d->get && d->head && d->put && d->delete);
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->driver = d;
	s->conf = conf;
	r = d->open(conf, err, &s->self);
	if (r < 0)
		return r;
	*ret = TAKE(s);
	return 0;
}

struct store *store_free(struct store *s)
{
	if (!s)
		return NULL;
	s->driver->close(s->self);
	free(s);
	return NULL;
}

const struct store_config *store_config(const struct store *s)
{
	return s->conf;
}

bool store_is_local(const struct store *s)
{
	return s->driver->open_local != NULL;
}

/* What no driver takes: nothing, and more than KEY_MAX bytes with the store's prefix. */
static int check_key(const struct store *s, struct call *c, const char *key)
{
	size_t prefix = s->conf->prefix ? strlen(s->conf->prefix) : 0;
	char shown[KEY_SHOWN_MAX + 4];

	if (key[0] == '\0') {
		call_why(c, "store \"%s\": an object's key cannot be empty", s->conf->name);
		return -EINVAL;
	}
	if (prefix + strlen(key) > KEY_MAX) {
		call_why(c, "store \"%s\": the key \"%s\" is longer than %d bytes", s->conf->name,
			 key_shown(key, shown), KEY_MAX);
		return -ENAMETOOLONG;
	}
	return 0;
}

int store_list(struct store *s, struct call *c, const char *prefix, const char *after,
	       store_object_fn *each, void *user)
{
	return s->driver->list(s->self, c, prefix ? prefix : "", after, each, user);
}

int store_get(struct store *s, struct call *c, const char *key, uint64_t max, store_sink *sink,
	      void *user, struct store_head *ret)
{
	int r = check_key(s, c, key);

	return r < 0 ? r : s->driver->get(s->self, c, key, max, sink, user, ret);
}

int store_open_local(struct store *s, const char *key, int *ret_fd, struct store_head *ret)
{
	struct call c = {0};
	int r = check_key(s, &c, key);

	if (r < 0)
		return r;
	return s->driver->open_local ? s->driver->open_local(s->self, key, ret_fd, ret)
				     : -EOPNOTSUPP;
}

int store_head(struct store *s, struct call *c, const char *key, struct store_head *ret)
{
	int r = check_key(s, c, key);

	return r < 0 ? r : s->driver->head(s->self, c, key, ret);
}

int store_put(struct store *s, struct call *c, const char *key, int fd, uint64_t size,
	      const char *mime, const struct sha256 *sha, const uint8_t md5[16],
	      const struct store_meta *meta, struct store_head *ret)
{
	int r = check_key(s, c, key);

	return r < 0 ? r : s->driver->put(s->self, c, key, fd, size, mime, sha, md5, meta, ret);
}

int store_delete(struct store *s, struct call *c, const char *key)
{
	int r = check_key(s, c, key);

	return r < 0 ? r : s->driver->delete (s->self, c, key);
}

bool store_was_replaced(struct store *s)
{
	return s->driver->replaced && s->driver->replaced(s->self);
}
