/* layout.c - where a store keeps a snapshot: a key from a layout, and back.  Keys of a listing are
 * whatever others put into the bucket: one that could leave its place in the tree does not fit. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shutterfs/model.h"

enum field { F_CAMERA, F_YYYY, F_MM, F_DD, F_STEM, F_IMG_ID, FIELDS, F_LITERAL = FIELDS };

static const struct {
	const char *name;
	size_t digits; /* 0: any text without '/' */
} fields[FIELDS] = {
	[F_CAMERA] = {"{camera}", 0}, [F_YYYY] = {"{yyyy}", 4}, [F_MM] = {"{mm}", 2},
	[F_DD] = {"{dd}", 2},         [F_STEM] = {"{stem}", 0}, [F_IMG_ID] = {"{img_id}", 0},
};

/* More steps than any sensible key needs; a hostile one ends here. */
enum { MATCH_STEPS = 20000 };

/* The field that *layout begins with (moved past it), or F_LITERAL for one byte (not moved). */
static enum field next_field(const char **layout)
{
	enum field f;

	for (f = 0; **layout == '{' && f < FIELDS; f++) {
		size_t len = strlen(fields[f].name);

		if (strncmp(*layout, fields[f].name, len) == 0) {
			*layout += len;
			return f;
		}
	}
	return F_LITERAL;
}

/* Every component safe, none empty: neither "../" nor "//" nor control bytes. */
static bool path_ok(const char *path, size_t max)
{
	char name[NAME_LIMIT + 1];

	if (strnlen(path, max + 1) > max)
		return false;
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len > NAME_LIMIT)
			return false;
		memcpy(name, path, len);
		name[len] = '\0';
		if (!file_name_ok(name))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
}

int layout_check(const char *layout, const char **ret_why)
{
	bool has[FIELDS] = {false}, open_end = false;
	size_t len = strlen(layout);
	const char *p;

	if (len < 4 || strcmp(layout + len - 4, ".jpg") != 0) {
		*ret_why = "a layout must end in .jpg";
		return -EINVAL;
	}
	if (!path_ok(layout, KEY_MAX)) {
		*ret_why = "a layout is a relative path without empty, \".\" or \"..\" components";
		return -EINVAL;
	}
	for (p = layout; *p;) {
		enum field f = next_field(&p);

		if (f == F_LITERAL && (*p == '{' || *p == '}')) {
			*ret_why = "placeholders are {camera} {yyyy} {mm} {dd} {stem} {img_id}";
			return -EINVAL;
		}
		if (f == F_LITERAL) {
			open_end = false;
			p++;
			continue;
		}
		if (open_end && fields[f].digits == 0) {
			*ret_why = "put something between two placeholders of any length";
			return -EINVAL;
		}
		open_end = fields[f].digits == 0;
		has[f] = true;
	}
	if (!has[F_STEM] && !(has[F_IMG_ID] && has[F_CAMERA])) {
		*ret_why = "a layout needs {stem}, or both {img_id} and {camera}";
		return -EINVAL;
	}
	return 0;
}

int layout_key(const char *layout, const char *camera, const char *img_id, char out[KEY_MAX + 1])
{
	CLEANUP(buf_done) struct buf key = BUF(KEY_MAX);
	struct civil c;
	unsigned dup;

	if (!camera_name_ok(camera) || img_id_parse(img_id, strlen(img_id), &c, &dup) < 0)
		return -EINVAL;
	while (*layout && key.error == 0) {
		switch (next_field(&layout)) {
		case F_CAMERA:
			(void)buf_str(&key, camera);
			break;
		case F_YYYY:
			(void)buf_printf(&key, "%04d", c.year);
			break;
		case F_MM:
			(void)buf_printf(&key, "%02d", c.month);
			break;
		case F_DD:
			(void)buf_printf(&key, "%02d", c.day);
			break;
		case F_STEM:
			(void)buf_printf(&key, "%s_%s", img_id, camera);
			break;
		case F_IMG_ID:
			(void)buf_str(&key, img_id);
			break;
		case F_LITERAL:
			(void)buf_add(&key, layout++, 1);
			break;
		}
	}
	if (key.error < 0)
		return key.error == -EFBIG ? -ENAMETOOLONG : key.error;
	if (!key.data || !path_ok(key.data, KEY_MAX))
		return -ENAMETOOLONG;
	memcpy(out, key.data, key.len + 1);
	return 0;
}

/* What each field was bound to so far: a piece of the key. */
struct span {
	const char *at;
	size_t len;
};
struct matcher {
	struct span value[FIELDS];
	struct layout_match best;
	bool found;
	unsigned steps;
};

static int span_number(const struct span *s)
{
	int value = 0;
	size_t i;

	for (i = 0; i < s->len; i++)
		value = value * 10 + (s->at[i] - '0');
	return value;
}

static void span_copy(const struct span *s, char out[NAME_LIMIT + 1])
{
	memcpy(out, s->at, s->len);
	out[s->len] = '\0';
}

static bool date_ok(const struct layout_match *m)
{
	struct civil c = {.year = m->year ? m->year : 2000,
			  .month = m->month ? m->month : 1,
			  .day = m->day ? m->day : 1};

	return civil_valid(&c);
}

/* The whole key fits: true when it is a key of ours, which ends the search; of the others the first
 * is kept. */
static bool accept(struct matcher *m)
{
	const struct span *v = m->value;
	struct layout_match hit = {.camera = ""};
	char camera[CAMERA_MAX + 1];
	struct civil c;
	unsigned dup;
	bool ours;

	hit.year = span_number(&v[F_YYYY]);
	hit.month = span_number(&v[F_MM]);
	hit.day = span_number(&v[F_DD]);
	if ((v[F_YYYY].at && !hit.year) || (v[F_MM].at && !hit.month) || (v[F_DD].at && !hit.day) ||
	    !date_ok(&hit))
		return false;
	if (v[F_CAMERA].at)
		span_copy(&v[F_CAMERA], hit.camera);
	if (v[F_STEM].at) {
		span_copy(&v[F_STEM], hit.stem);
		ours = stem_parse(hit.stem, &c, &dup, camera) == 0 &&
		       (!v[F_CAMERA].at || strcmp(camera, hit.camera) == 0);
	} else {
		span_copy(&v[F_IMG_ID], hit.stem);
		ours = img_id_parse(v[F_IMG_ID].at, v[F_IMG_ID].len, &c, &dup) == 0;
		if (ours) {
			camera_name_from(hit.camera, camera);
			(void)snprintf(hit.stem + v[F_IMG_ID].len,
				       sizeof(hit.stem) - v[F_IMG_ID].len, "_%s", camera);
		}
	}
	if (ours || !m->found)
		m->best = hit;
	m->found = true;
	return ours;
}

static bool match_from(struct matcher *m, const char *layout, const char *key);

/* Field `f` takes the first `len` bytes of key, the rest follows; where it comes twice it must say
 * the same twice. */
static bool match_value(struct matcher *m, enum field f, const char *layout, const char *key,
			size_t len)
{
	struct span before = m->value[f];
	bool done;

	if (before.at && (before.len != len || memcmp(before.at, key, len) != 0))
		return false;
	m->value[f] = (struct span){key, len};
	done = match_from(m, layout, key + len);
	m->value[f] = before;
	return done;
}

static bool match_from(struct matcher *m, const char *layout, const char *key)
{
	enum field f;
	size_t len;

	for (f = next_field(&layout); f == F_LITERAL; f = next_field(&layout)) {
		if (++m->steps > MATCH_STEPS)
			return true;
		if (*layout != *key)
			return false;
		if (!*layout)
			return accept(m);
		layout++;
		key++;
	}
	if (fields[f].digits > 0)
		return strspn(key, "0123456789") >= fields[f].digits &&
		       match_value(m, f, layout, key, fields[f].digits);
	for (len = 1; len <= NAME_LIMIT && key[len - 1] && key[len - 1] != '/'; len++) {
		if (match_value(m, f, layout, key, len))
			return true;
	}
	return false;
}

int layout_match(const char *layout, const char *key, struct layout_match *ret)
{
	struct matcher m = {.found = false};

	if (!path_ok(key, KEY_MAX))
		return -ENOENT;
	(void)match_from(&m, layout, key);
	if (!m.found)
		return -ENOENT;
	*ret = m.best;
	return 0;
}

int sidecar_key(const char *key, char out[KEY_MAX + 1])
{
	const char *dot = strrchr(key, '.');
	size_t len;

	if (!dot || upload_kind_of(key) != UPLOAD_PICTURE)
		return -EINVAL;
	len = (size_t)(dot - key);
	if (len + strlen(".json") > KEY_MAX)
		return -ENAMETOOLONG;
	memcpy(out, key, len);
	memcpy(out + len, ".json", sizeof(".json"));
	return 0;
}
