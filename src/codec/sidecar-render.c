/* sidecar-render.c - struct sidecar to the JSON that the design shows, written straight into a buffer: it is called for each
 * sidecar that is listed, since a sidecar's size must be known before it is read. */
#include "shutterfs/codec.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void optional(struct json *j, const char *key, const char *value)
{
	if (value)
		json_string(j, key, value);
}

static void optional_raw(struct json *j, const char *key, const char *value)
{
	if (value)
		json_raw(j, key, value);
}

static void add_file(struct json *j, const struct sidecar *s)
{
	char name[STEM_MAX + 8];
	int n;

	if (!s->img_id || !s->camera)
		return;
	n = snprintf(name, sizeof(name), "%s_%s.jpg", s->img_id, s->camera);
	if (n > 0 && (size_t)n < sizeof(name))
		json_string(j, "file", name);
}

static void add_taken(struct json *j, const struct sidecar *s)
{
	char iso[ISO_MAX];

	if (!s->has_taken)
		return;
	iso_format(s->taken_us, s->zone_min, iso);
	json_string(j, "taken", iso);
	json_string(j, "time_source", time_source_name[s->time_source]);
}

static void add_picture(struct json *j, const struct sidecar *s)
{
	char hex[SHA256_HEX];

	optional(j, "mime", s->mime);
	if (s->size)
		json_int(j, "size", (int64_t)s->size);
	if (s->has_sha) {
		hex_encode(s->sha.b, sizeof(s->sha.b), hex);
		json_string(j, "sha256", hex);
	}
	if (s->width && s->height) {
		json_int(j, "width", s->width);
		json_int(j, "height", s->height);
	}
}

static void add_replicas(struct json *j, const struct sidecar *s)
{
	if (!s->n_replicas)
		return;
	json_array(j, "replicas");
	for (size_t i = 0; i < s->n_replicas; i++) {
		json_object(j, NULL);
		json_string(j, "store", s->replica[i].store);
		json_string(j, "key", s->replica[i].key);
		optional(j, "etag", s->replica[i].etag);
		json_end(j, '}');
	}
	json_end(j, ']');
}

void json_label(struct json *j, const struct label *l)
{
	json_object(j, NULL);
	json_string(j, "kind", l->kind);
	json_string(j, "value", l->value);
	if (!isnan(l->score))
		json_double(j, "score", l->score);
	if (l->has_box) {
		json_array(j, "box");
		for (int k = 0; k < 4; k++)
			json_double(j, NULL, l->box[k]);
		json_end(j, ']');
	}
	optional(j, "by", l->by);
	json_end(j, '}');
}

static void add_labels(struct json *j, const struct labels *l)
{
	if (!l->looked)
		return;
	json_array(j, "labels");
	for (size_t i = 0; i < l->n; i++)
		json_label(j, &l->item[i]);
	json_end(j, ']');
}

/* ---- unknown keys ---- */

struct unknown {
	struct json *json;
	const struct sidecar *s;
};

/* A key that was not understood when it was read may have a value of ours by now. */
static bool is_rendered(const struct sidecar *s, const char *key)
{
	static const char *const always[] = {
		"schema", "file",  "camera", "group",   "taken", "time_source", "mime",  "size",
		"sha256", "width", "height", "starred", "state", "replicas",    "labels"};

	for (size_t i = 0; i < ARRAY_LEN(always); i++)
		if (strcmp(key, always[i]) == 0)
			return true;
	return (s->img_id && strcmp(key, "img_id") == 0) ||
	       (s->comment && strcmp(key, "comment") == 0) ||
	       (s->rating && strcmp(key, "rating") == 0) ||
	       (s->history && strcmp(key, "history") == 0) ||
	       (s->documents && strcmp(key, "documents") == 0) ||
	       (s->event && strcmp(key, "event") == 0) ||
	       (s->origin && strcmp(key, "origin") == 0) || (s->extra && strcmp(key, "extra") == 0);
}

static int on_unknown(void *user, const char *key, const char *raw, size_t len)
{
	struct unknown *u = user;
	CLEANUP(freep) char *text = NULL;

	if (is_rendered(u->s, key))
		return 0;
	text = strndup(raw, len);
	if (!text)
		return -ENOMEM;
	json_raw(u->json, key, text);
	return u->json->out->error;
}

int sidecar_render(const struct sidecar *s, struct buf *out)
{
	struct json j = {.out = out, .lines = true};
	struct unknown unknown = {.json = &j, .s = s};
	char why[WHY_MAX];
	int r = 0;

	json_object(&j, NULL);
	json_string(&j, "schema", "shutterfs/1");
	optional(&j, "img_id", s->img_id);
	add_file(&j, s);
	optional(&j, "camera", s->camera);
	optional(&j, "group", s->group);
	add_taken(&j, s);
	add_picture(&j, s);
	if (s->has_starred)
		json_bool(&j, "starred", s->starred);
	if (s->img_id) /* only what is registered has a state */
		json_string(&j, "state", snap_state_name[s->state]);
	add_replicas(&j, s);
	add_labels(&j, &s->labels);
	optional(&j, "comment", s->comment);
	if (s->rating)
		json_int(&j, "rating", s->rating);
	optional_raw(&j, "documents", s->documents);
	optional_raw(&j, "event", s->event);
	optional_raw(&j, "origin", s->origin);
	optional_raw(&j, "extra", s->extra);
	if (s->unknown)
		r = json_scan(s->unknown, strlen(s->unknown), on_unknown, &unknown, why);
	optional_raw(&j, "history", s->history);
	json_end(&j, '}');
	(void)buf_add(out, "\n", 1);
	return r < 0 ? r : out->error;
}
