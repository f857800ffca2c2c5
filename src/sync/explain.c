/* What a listed object is: by the store's layout, else by its name and LastModified. No I/O. */
#include "sync_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Keys come from anybody; what could not be a path is refused with a sentence and nothing else is believed of it. */
static const char *bad_key(const char *key)
{
	char part[NAME_LIMIT + 1];
	size_t n = strlen(key);

	if (n == 0 || n > KEY_MAX)
		return "its key is empty or longer than 1024 bytes";
	for (const char *p = key; *p;) {
		size_t len = strcspn(p, "/");

		if (len > NAME_LIMIT)
			return "a part of its key is longer than 255 bytes";
		memcpy(part, p, len);
		part[len] = '\0';
		if (!file_name_ok(part))
			return "its key has an empty part, \".\", \"..\", a control character or bad UTF-8";
		p += len + (p[len] == '/');
	}
	return key[n - 1] == '/' ? "is a directory marker" : NULL;
}

static const char *last_part(const char *key)
{
	const char *slash = strrchr(key, '/');

	return slash ? slash + 1 : key;
}

/* x.json, x.jpg.json -> x.jpg */
static bool picture_key_of(const char *key, char out[KEY_MAX + 1])
{
	size_t n = strlen(key) - strlen(".json");

	memcpy(out, key, n);
	out[n] = '\0';
	if (upload_kind_of(last_part(out)) == UPLOAD_PICTURE)
		return true;
	if (n + strlen(".jpg") > KEY_MAX)
		return false;
	memcpy(out + n, ".jpg", sizeof(".jpg"));
	return true;
}

static void set_time(struct listed *l, int64_t us, enum time_source source)
{
	struct civil c;

	civil_from_us(us, &c);
	l->taken_us = us;
	l->zone_min = c.zone_min;
	l->time_source = source;
}

/* A time in the name; else LastModified where no date speaks against it; else the beginning of the date that the key tells. */
static void explain_time(const char *key, const struct layout_match *m, struct listed *l)
{
	struct civil c = {0}, modified;
	bool has_time = false, dated = time_from_path(key, &c, &has_time) == 0;

	if (dated && has_time) {
		set_time(l, us_from_civil(&c, true), TIME_NAME);
		return;
	}
	if (m->year) {
		c = (struct civil){.year = m->year, .month = m->month, .day = m->day};
		dated = true;
	}
	civil_from_us(l->modified_us, &modified);
	if (!dated ||
	    (c.year == modified.year && c.month == modified.month && c.day == modified.day))
		set_time(l, l->modified_us, TIME_MTIME);
	else
		set_time(l,
			 us_from_civil(
				 &(struct civil){.year = c.year, .month = c.month, .day = c.day},
				 false),
			 TIME_NAME);
}

static void explain_picture(const struct store_config *conf, const char *key, struct explained *ret)
{
	struct listed *l = &ret->listed;
	struct layout_match *m = &ret->match;
	struct civil c;
	unsigned dup;

	if (layout_match(conf->layout, key, m) == 0 &&
	    stem_parse(m->stem, &c, &dup, l->camera) == 0) {
		l->stem = m->stem; /* ours: its name says all */
		set_time(l, us_from_civil(&c, false), TIME_SOURCE);
		return;
	}
	if (m->camera[0] ==
	    '\0') { /* outside the layout: its first directory, else the store, stands for the camera */
		size_t n = strcspn(key, "/");

		(void)snprintf(m->camera, sizeof(m->camera), "%.*s",
			       (int)(key[n] ? n : strlen(conf->name)), key[n] ? key : conf->name);
	}
	camera_name_from(m->camera, l->camera);
	l->title = m->camera;
	explain_time(key, m, l);
}

void explain(const struct store_config *conf, const char *key, const char *etag, uint64_t size,
	     int64_t modified_us, struct explained *ret)
{
	struct listed *l = &ret->listed;

	memset(ret, 0, sizeof(*ret));
	*l = (struct listed){.key = key, .etag = etag, .size = size, .modified_us = modified_us};
	l->error = bad_key(key);
	if (l->error)
		return;
	switch (upload_kind_of(last_part(key))) {
	case UPLOAD_SIDECAR:
		l->is_sidecar = picture_key_of(key, ret->picture_key);
		l->picture_key = ret->picture_key;
		if (!l->is_sidecar)
			l->error = "its key is too long for a sidecar";
		else if (size > SIDECAR_BYTES)
			l->error = "is larger than 1 MiB: not a sidecar";
		break;
	case UPLOAD_PICTURE:
		if (size == 0 || size > PICTURE_BYTES)
			l->error = size ? "is larger than 256 MiB: not a picture" : "is empty";
		else
			explain_picture(conf, key, ret);
		break;
	case UPLOAD_OTHER:
		l->error = "is neither a JPEG picture (.jpg) nor a sidecar (.json)";
		break;
	}
}
