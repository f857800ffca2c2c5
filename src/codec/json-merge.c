/* json-merge.c - an object with the members of another one that it lacks. */
#include "shutterfs/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct merge {
	struct buf keys; /* of the object, each with its NUL */
	struct buf *out;
	bool any; /* the object has members */
};

static int note_key(void *user, const char *key, const char *raw, size_t len)
{
	struct merge *m = user;

	m->any = true;
	return buf_add(&m->keys, key, strlen(key) + 1);
}

static bool has_key(const struct merge *m, const char *key)
{
	for (size_t at = 0; at < m->keys.len; at += strlen(m->keys.data + at) + 1)
		if (strcmp(m->keys.data + at, key) == 0)
			return true;
	return false;
}

static int add_missing(void *user, const char *key, const char *raw, size_t len)
{
	struct merge *m = user;
	CLEANUP(freep) char *text = NULL;
	struct json j = {.out = m->out, .comma = m->any};

	if (has_key(m, key))
		return 0;
	text = strndup(raw, len);
	if (!text)
		return -ENOMEM;
	json_raw(&j, key, text);
	m->any = true;
	return m->out->error;
}

int json_merge(const char *object, size_t len, const char *more, size_t more_len, struct buf *out,
	       char why[WHY_MAX])
{
	struct merge m = {.keys = BUF(len + 1), .out = out};
	int r = json_scan(object, len, note_key, &m, why);

	while (r == 0 && object[len - 1] != '}')
		len--;
	if (r == 0)
		r = buf_add(out, object, len - 1);
	if (r == 0)
		r = json_scan(more, more_len, add_missing, &m, why);
	if (r == 0)
		r = buf_str(out, "}");
	buf_done(&m.keys);
	return r;
}
