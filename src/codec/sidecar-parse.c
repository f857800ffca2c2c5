/* sidecar-parse.c - a sidecar's JSON to struct sidecar.
 *
 * json_scan checks everything and cuts the text into members; cJSON sees the small known members one by one.  What is only
 * kept (documents, event, origin, extra, unknown keys) stays the text that was given, so ids over 2^53 survive. */
#include "shutterfs/codec.h"
#include "text.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { REPLICAS = 64, SIDE = 1000000 /* pixels along one side */ };

struct parse {
	struct sidecar s;
	struct json unknown;
	char *why;
};

static int bad(struct parse *p, const char *key, const char *what)
{
	why_set(p->why, "\"%s\" %s", key, what);
	return -EBADMSG;
}

static void cjson_freep(cJSON **j)
{
	cJSON_Delete(*j);
}

/* ---- values ---- */

static int set_string(struct parse *p, const char *key, const cJSON *v, size_t max, char **ret)
{
	if (!cJSON_IsString(v))
		return bad(p, key, "is not a string");
	if (strlen(v->valuestring) > max)
		return bad(p, key, "is too long");
	*ret = strdup(v->valuestring);
	return *ret ? 0 : -ENOMEM;
}

static int get_integer(struct parse *p, const char *key, const cJSON *v, double max, double *ret)
{
	if (!cJSON_IsNumber(v))
		return bad(p, key, "is not a number");
	if (!(v->valuedouble >= 0 && v->valuedouble <= max) ||
	    v->valuedouble != floor(v->valuedouble))
		return bad(p, key, "is out of range");
	*ret = v->valuedouble;
	return 0;
}

static int get_choice(struct parse *p, const char *key, const cJSON *v, const char *const *names,
		      unsigned n)
{
	if (!cJSON_IsString(v))
		return bad(p, key, "is not a string");
	for (unsigned i = 0; i < n; i++)
		if (strcmp(v->valuestring, names[i]) == 0)
			return (int)i;
	return bad(p, key, "has a value that is not known");
}

/* ---- members ---- */

static int on_schema(struct parse *p, const char *key, const cJSON *v)
{
	if (cJSON_IsString(v) && strncmp(v->valuestring, "shutterfs/", 10) == 0 &&
	    strcmp(v->valuestring, "shutterfs/1") != 0)
		return bad(p, key, "is not \"shutterfs/1\": a newer program wrote this");
	p->s.whole = cJSON_IsString(v) && strcmp(v->valuestring, "shutterfs/1") == 0;
	return 0;
}

static int on_file(struct parse *p, const char *key, const cJSON *v)
{
	return 0; /* made from img_id and camera */
}

static int on_camera(struct parse *p, const char *key, const cJSON *v)
{
	return set_string(p, key, v, NAME_LIMIT, &p->s.camera);
}

static int on_group(struct parse *p, const char *key, const cJSON *v)
{
	return set_string(p, key, v, NAME_LIMIT, &p->s.group);
}

static int on_mime(struct parse *p, const char *key, const cJSON *v)
{
	return set_string(p, key, v, NAME_LIMIT, &p->s.mime);
}

static int on_taken(struct parse *p, const char *key, const cJSON *v)
{
	if (!cJSON_IsString(v))
		return bad(p, key, "is not a string");
	if (iso_parse(v->valuestring, &p->s.taken_us, &p->s.zone_min) < 0)
		return bad(p, key, "is not a time like 2020-12-31T15:45:55.123456+01:00");
	p->s.has_taken = true;
	return 0;
}

static int on_time_source(struct parse *p, const char *key, const cJSON *v)
{
	int r = get_choice(p, key, v, time_source_name, TIME_SOURCES);

	if (r < 0)
		return r;
	p->s.time_source = (enum time_source)r;
	return 0;
}

static int on_size(struct parse *p, const char *key, const cJSON *v)
{
	double n = 0;
	int r = get_integer(p, key, v, 9007199254740992.0, &n);

	p->s.size = (uint64_t)n;
	return r;
}

static int on_sha256(struct parse *p, const char *key, const cJSON *v)
{
	if (!cJSON_IsString(v) || strlen(v->valuestring) != SHA256_HEX - 1 ||
	    hex_decode(v->valuestring, p->s.sha.b, sizeof(p->s.sha.b)) < 0)
		return bad(p, key, "is not 64 hexadecimal digits");
	p->s.has_sha = true;
	return 0;
}

static int on_width(struct parse *p, const char *key, const cJSON *v)
{
	double n = 0;
	int r = get_integer(p, key, v, SIDE, &n);

	p->s.width = (unsigned)n;
	return r;
}

static int on_height(struct parse *p, const char *key, const cJSON *v)
{
	double n = 0;
	int r = get_integer(p, key, v, SIDE, &n);

	p->s.height = (unsigned)n;
	return r;
}

static int on_starred(struct parse *p, const char *key, const cJSON *v)
{
	if (!cJSON_IsBool(v))
		return bad(p, key, "is not true or false");
	p->s.starred = cJSON_IsTrue(v);
	p->s.has_starred = true;
	return 0;
}

static int on_comment(struct parse *p, const char *key, const cJSON *v)
{
	return set_string(p, key, v, COMMENT_MAX, &p->s.comment);
}

static int on_state(struct parse *p, const char *key, const cJSON *v)
{
	int r = get_choice(p, key, v, snap_state_name, SNAP_STATES);

	if (r < 0)
		return r;
	p->s.state = (enum snap_state)r;
	return 0;
}

static int add_replica(struct parse *p, const cJSON *v)
{
	const cJSON *store = cJSON_GetObjectItemCaseSensitive(v, "store");
	const cJSON *key = cJSON_GetObjectItemCaseSensitive(v, "key");
	const cJSON *etag = cJSON_GetObjectItemCaseSensitive(v, "etag");
	struct replica *r = &p->s.replica[p->s.n_replicas];
	int err;

	if (!cJSON_IsObject(v))
		return bad(p, "replicas", "has an element that is not an object");
	p->s.n_replicas++;
	err = set_string(p, "replicas: store", store, NAME_LIMIT, &r->store);
	if (err < 0)
		return err;
	err = set_string(p, "replicas: key", key, KEY_MAX, &r->key);
	if (err < 0 || !etag || cJSON_IsNull(etag))
		return err;
	return set_string(p, "replicas: etag", etag, NAME_LIMIT, &r->etag);
}

static int on_replicas(struct parse *p, const char *key, const cJSON *v)
{
	const cJSON *item;

	if (!cJSON_IsArray(v))
		return bad(p, key, "is not an array");
	if (cJSON_GetArraySize(v) > REPLICAS)
		return bad(p, key, "has more than 64 elements");
	p->s.replica = calloc((size_t)cJSON_GetArraySize(v) + 1, sizeof(*p->s.replica));
	if (!p->s.replica)
		return -ENOMEM;
	cJSON_ArrayForEach (item, v) {
		int r = add_replica(p, item);

		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- labels ---- */

static int add_label(struct parse *p, const char *key, const struct label *l)
{
	int r;

	if (!l->value[0] || !l->kind[0])
		return bad(p, key, "has a label without text");
	r = labels_add(&p->s.labels, l);
	return r == -E2BIG ? bad(p, key, "has more than 10,000 labels") : r;
}

static int add_text_label(struct parse *p, const char *key, const char *text)
{
	int r = labels_add_tag(&p->s.labels, text);

	if (r == -EINVAL)
		return bad(p, key, "has a label without text");
	return r == -E2BIG ? bad(p, key, "has more than 10,000 labels") : r;
}

static int get_box(struct parse *p, const cJSON *v, double box[4])
{
	const cJSON *item;
	int n = 0;

	if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != 4)
		return bad(p, "labels", "has a box that is not 4 numbers");
	cJSON_ArrayForEach (item, v) {
		/* Detectors report boxes that reach a little over the edge; pixels are something else. */
		if (!cJSON_IsNumber(item) || !(item->valuedouble >= -1 && item->valuedouble <= 2))
			return bad(p, "labels",
				   "has a box that is not x, y, width, height between 0 and 1");
		box[n++] = item->valuedouble;
	}
	return 0;
}

static int add_object_label(struct parse *p, const cJSON *v)
{
	const cJSON *kind = cJSON_GetObjectItemCaseSensitive(v, "kind");
	const cJSON *value = cJSON_GetObjectItemCaseSensitive(v, "value");
	const cJSON *score = cJSON_GetObjectItemCaseSensitive(v, "score");
	const cJSON *box = cJSON_GetObjectItemCaseSensitive(v, "box");
	const cJSON *by = cJSON_GetObjectItemCaseSensitive(v, "by");
	char plain[] = "label";
	struct label l = {.kind = plain, .score = NAN};

	if (!cJSON_IsString(value) || (kind && !cJSON_IsString(kind)))
		return bad(p, "labels", "has an object whose kind or value is not a string");
	l.value = value->valuestring;
	if (kind)
		l.kind = kind->valuestring;
	if (score && !cJSON_IsNull(score)) {
		if (!cJSON_IsNumber(score) || !isfinite(score->valuedouble))
			return bad(p, "labels", "has a score that is not a number");
		l.score = score->valuedouble;
	}
	if (by && !cJSON_IsNull(by)) {
		if (!cJSON_IsString(by))
			return bad(p, "labels", "has a \"by\" that is not a string");
		l.by = by->valuestring;
	}
	if (box && !cJSON_IsNull(box)) {
		int r = get_box(p, box, l.box);

		if (r < 0)
			return r;
		l.has_box = true;
	}
	return add_label(p, "labels", &l);
}

static int on_labels(struct parse *p, const char *key, const cJSON *v)
{
	const cJSON *item;

	if (!cJSON_IsArray(v))
		return bad(p, key, "is not an array");
	p->s.labels.looked = true;
	cJSON_ArrayForEach (item, v) {
		int r;

		if (cJSON_IsString(item))
			r = add_text_label(p, key, item->valuestring);
		else if (cJSON_IsObject(item))
			r = add_object_label(p, item);
		else
			r = bad(p, key, "has an element that is neither an object nor a string");
		if (r < 0)
			return r;
	}
	return 0;
}

/* "label" and "tags": a string, or an array of them. */
static int on_tags(struct parse *p, const char *key, const cJSON *v)
{
	const cJSON *item;

	p->s.labels.looked = true;
	if (cJSON_IsString(v))
		return add_text_label(p, key, v->valuestring);
	cJSON_ArrayForEach (item, v) {
		int r;

		if (!cJSON_IsString(item))
			return bad(p, key, "has an element that is not a string");
		r = add_text_label(p, key, item->valuestring);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- dispatch ---- */

static const struct member {
	const char *key;
	int (*set)(struct parse *p, const char *key, const cJSON *v);
	const char *first; /* only values that begin so; others are kept as unknown */
} members[] = {
	{"schema", on_schema, "\""}, {"file", on_file, NULL},
	{"camera", on_camera, NULL}, {"group", on_group, NULL},
	{"taken", on_taken, NULL},   {"time_source", on_time_source, NULL},
	{"mime", on_mime, NULL},     {"size", on_size, NULL},
	{"sha256", on_sha256, NULL}, {"width", on_width, NULL},
	{"height", on_height, NULL}, {"starred", on_starred, NULL},
	{"state", on_state, NULL},   {"replicas", on_replicas, NULL},
	{"labels", on_labels, NULL}, {"label", on_tags, "\""},
	{"tags", on_tags, "\"["},    {"comment", on_comment, "\""},
};

static int is_object(void *user, const char *key, const char *raw, size_t len)
{
	return raw[0] == '{' ? 0 : 1;
}

static bool all_objects(const char *array)
{
	char why[WHY_MAX];

	return json_scan_array(array, strlen(array), is_object, NULL, why) == 0;
}

static char **raw_member(struct sidecar *s, const char *key, const char *text)
{
	char first = text[0];

	if (first == '[' && strcmp(key, "documents") == 0 && all_objects(text))
		return &s->documents;
	if (first == '[' && s->whole && strcmp(key, "history") == 0 && all_objects(text))
		return &s->history;
	if (first != '{')
		return NULL;
	if (strcmp(key, "event") == 0)
		return &s->event;
	if (strcmp(key, "origin") == 0)
		return &s->origin;
	return strcmp(key, "extra") == 0 ? &s->extra : NULL;
}

/* An img_id of another system is none of ours: it stays unknown. */
static int take_img_id(struct parse *p, const char *raw, size_t len)
{
	struct civil c;
	unsigned dup;

	if (len < 2 || img_id_parse(raw + 1, len - 2, &c, &dup) < 0)
		return 0;
	p->s.img_id = strndup(raw + 1, len - 2);
	return p->s.img_id ? 1 : -ENOMEM;
}

/* Other scales than ours, with halves or negative, are none of ours either. */
static bool take_rating(struct parse *p, const char *raw, size_t len)
{
	unsigned n = 0;

	if (len < 1 || len > 2)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (raw[i] < '0' || raw[i] > '9')
			return false;
		n = 10 * n + (unsigned)(raw[i] - '0');
	}
	if (n > RATING_MAX)
		return false;
	p->s.rating = n;
	p->s.has_rating = true;
	return true;
}

static int take_known(struct parse *p, const struct member *m, const char *raw, size_t len)
{
	CLEANUP(cjson_freep) cJSON *v = cJSON_ParseWithLength(raw, len);

	if (!v)
		return -ENOMEM; /* it is valid JSON already */
	return cJSON_IsNull(v) ? 0 : m->set(p, m->key, v);
}

static int on_member(void *user, const char *key, const char *raw, size_t len)
{
	struct parse *p = user;
	CLEANUP(freep) char *text = NULL;
	char **slot;
	int r;

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		const struct member *m = &members[i];

		if (strcmp(key, m->key) == 0 && (!m->first || strchr(m->first, raw[0])))
			return take_known(p, m, raw, len);
	}
	if (strcmp(key, "img_id") == 0) {
		r = take_img_id(p, raw, len);
		if (r)
			return r < 0 ? r : 0;
	}
	if (strcmp(key, "rating") == 0 && take_rating(p, raw, len))
		return 0;
	text = strndup(raw, len);
	if (!text)
		return -ENOMEM;
	slot = raw_member(&p->s, key, text);
	if (slot && strcmp(key, "documents") == 0 && len > DOCUMENTS_BYTES) {
		why_set(p->why, "\"documents\" are larger than %d KiB together",
			DOCUMENTS_BYTES / 1024);
		return -EBADMSG;
	}
	if (slot) {
		*slot = TAKE(text);
		return 0;
	}
	if (p->unknown.depth == 0)
		json_object(&p->unknown, NULL);
	json_raw(&p->unknown, key, text);
	return p->unknown.out->error;
}

int sidecar_parse(const char *text, size_t len, struct sidecar *ret, char why[WHY_MAX])
{
	CLEANUP(buf_done) struct buf unknown = BUF(2 * SIDECAR_BYTES);
	struct parse p = {.unknown = {.out = &unknown}, .why = why};
	int r = -EFBIG;

	why[0] = '\0';
	if (len <= SIDECAR_BYTES) {
		size_t bom = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;

		r = json_scan(text + bom, len - bom, on_member, &p, why);
	}
	if (r == 0 && p.unknown.depth > 0) {
		json_end(&p.unknown, '}');
		r = unknown.error;
	}
	if (r == -EFBIG)
		why_set(why, "is larger than %d KiB", SIDECAR_BYTES / 1024);
	if (r < 0) {
		sidecar_done(&p.s);
		return r;
	}
	p.s.unknown = TAKE(unknown.data);
	*ret = p.s;
	return 0;
}
