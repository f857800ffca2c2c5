/* member.c - one member of a JSON object. */
#include "member.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct find {
	const char *key, *raw;
	size_t len;
};

static int look(void *user, const char *key, const char *raw, size_t len)
{
	struct find *f = user;

	if (strcmp(key, f->key) == 0) {
		f->raw = raw;
		f->len = len;
	}
	return 0;
}

int member_of(const char *text, size_t len, const char *key, char **ret)
{
	struct find f = {.key = key};
	char why[WHY_MAX];
	int r = json_scan(text, len, look, &f, why);

	if (r == 0 && !f.raw)
		r = -ENOENT;
	if (r < 0)
		return r;
	*ret = strndup(f.raw, f.len);
	return *ret ? 0 : -ENOMEM;
}

int member_text(const char *text, size_t len, const char *key, struct buf *out)
{
	CLEANUP(freep) char *raw = NULL;
	int r = member_of(text, len, key, &raw);

	return r < 0 ? r : json_decode(raw, strlen(raw), out);
}
