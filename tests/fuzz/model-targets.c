/* model-targets.c - names, times, layouts and digits: what cameras, clouds and people write. */
#include "target.h"

#include "shutterfs/model.h"

#include <errno.h>
#include <string.h>

static void holds_civil(const struct civil *c)
{
	HOLDS(civil_valid(c) && c->us >= 0 && c->us < 1000000);
	HOLDS(c->zone_min > -24 * 60 && c->zone_min < 24 * 60);
}

static int run_time_path(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *path = text_of(data, len);
	struct civil c = {0};
	bool has_time = false;
	int r = time_from_path(path, &c, &has_time);

	if (r < 0)
		return r;
	holds_civil(&c);
	(void)snprintf(why, TARGET_WHY, "%04d-%02d-%02d", c.year, c.month, c.day);
	if (has_time)
		(void)snprintf(why + 10, TARGET_WHY - 10, " %02d:%02d:%02d.%06d", c.hour, c.min,
			       c.sec, c.us);
	return r;
}

/* The layout, a new line, the key. */
static int run_layout(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *layout = text_of(data, len);
	char *key = strchr(layout, '\n'), made[KEY_MAX + 1], camera[CAMERA_MAX + 1];
	const char *said = NULL;
	struct layout_match m;
	struct civil c;
	unsigned dup;
	int r;

	if (!key)
		return -EINVAL;
	*key++ = '\0';
	r = layout_check(layout, &said);
	if (r < 0) {
		HOLDS(said && *said);
		(void)snprintf(why, TARGET_WHY, "%s", said);
		return r;
	}
	r = layout_match(layout, key, &m);
	if (r < 0)
		return r;
	HOLDS(!strchr(m.camera, '/') && !strchr(m.stem, '/'));
	/* One of ours is found under the key that it would get. */
	if (stem_parse(m.stem, &c, &dup, camera) == 0) {
		*strchr(m.stem, '_') = '\0';
		(void)!layout_key(layout, camera, m.stem, made);
	}
	(void)snprintf(why, TARGET_WHY, "camera \"%s\" stem \"%s\"", m.camera, m.stem);
	return r;
}

static int run_name(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *name = text_of(data, len);
	char camera[CAMERA_MAX + 1], key[KEY_MAX + 1];
	enum upload_kind kind = upload_kind_of(name);

	camera_name_from(name, camera);
	HOLDS(camera_name_ok(camera));
	if (camera_name_ok(name)) /* it is not changed */
		HOLDS(strcmp(camera, name) == 0 && file_name_ok(name));
	if (sidecar_key(name, key) == 0)
		HOLDS(kind == UPLOAD_PICTURE && upload_kind_of(key) == UPLOAD_SIDECAR);
	(void)snprintf(why, TARGET_WHY, "%s%s",
		       kind == UPLOAD_PICTURE   ? "picture"
		       : kind == UPLOAD_SIDECAR ? "sidecar"
						: "other",
		       upload_name_is_temporary(name) ? " temporary" : "");
	if (!file_name_ok(name))
		return -EINVAL;
	HOLDS(*name && strlen(name) <= NAME_LIMIT && !strchr(name, '/'));
	return 0;
}

static int run_label(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	char name[LABEL_MAX + 1], again[LABEL_MAX + 1];

	label_name_from(text, name);
	HOLDS(file_name_ok(name) && name[0] != '.');
	label_name_from(name, again);
	HOLDS(strcmp(name, again) == 0);
	(void)snprintf(why, TARGET_WHY, "[%s]", name);
	return strcmp(name, text) == 0 ? 0 : 1;
}

static int run_stem(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	char camera[CAMERA_MAX + 1], id[IMG_ID_MAX + 1];
	struct civil c;
	unsigned dup;
	int r = stem_parse(text, &c, &dup, camera);

	if (r < 0)
		return r;
	holds_civil(&c);
	HOLDS(camera_name_ok(camera) && strlen(text) <= STEM_MAX);
	/* It has one spelling; an hour that does not exist here is written otherwise. */
	(void)img_id_format(us_from_civil(&c, false), dup, id);
	(void)snprintf(why, TARGET_WHY, "%s", camera);
	return strncmp(id, text, strlen(id)) == 0 ? 0 : 1;
}

static int run_iso(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	int64_t us = 0, back = 0;
	int zone = 0, zone_back = 0, r = iso_parse(text, &us, &zone);

	if (r < 0)
		return r;
	iso_format(us, zone, why);
	HOLDS(strlen(why) < ISO_MAX);
	HOLDS(iso_parse(why, &back, &zone_back) == 0 && back == us && zone_back == zone);
	return r;
}

static int run_hex(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	struct sha256 sha;
	int r = hex_decode(text, sha.b, sizeof(sha.b));

	if (r < 0)
		return r;
	hex_encode(sha.b, sizeof(sha.b), why);
	HOLDS(strcasecmp(why, text) == 0);
	return r;
}

/* A picture's name, a new line, what may be its sidecar's. */
static int run_pair(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *picture = text_of(data, len);
	char *name = strchr(picture, '\n'), other[NAME_LIMIT + 1];
	const char *dot;
	unsigned n = 0;

	if (!name)
		return -EINVAL;
	*name++ = '\0';
	if (!file_name_ok(name)) /* as those that a directory has */
		return -EINVAL;
	dot = strrchr(name, '.');
	for (; n < 100 && sidecar_picture(name, n, other) == 0; n++) {
		HOLDS(strlen(other) <= NAME_LIMIT && upload_kind_of(other) == UPLOAD_PICTURE);
		/* it belongs to each that it may belong to */
		if (dot > name && (strcmp(dot, ".json") == 0 || strcmp(dot, ".xmp") == 0))
			HOLDS(sidecar_rank(other, name) >= 0);
	}
	HOLDS(n < 100 && sidecar_cut(name) <= SIDECAR_CUT);
	(void)snprintf(why, TARGET_WHY, "pictures %u", n);
	return sidecar_rank(picture, name);
}

const struct parser model_targets[] = {
	{"time-path", run_time_path}, {"layout", run_layout}, {"name", run_name},
	{"label", run_label},         {"stem", run_stem},     {"iso-time", run_iso},
	{"sha256-hex", run_hex},      {"pair", run_pair},     {0},
};
