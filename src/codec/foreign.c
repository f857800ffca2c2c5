/* foreign.c - sidecars that other programs wrote: told apart by their shape, and read as ours.
 *
 * json_scan has judged the text before cJSON sees it. */
#include "foreign.h"
#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- what the readers share ---- */

static bool is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

int foreign_label(struct sidecar *s, const char *kind, const char *value, double score,
		  const double *box, const char *by, char *why)
{
	struct label l = {
		/* labels_add copies */
		.kind = (char *)kind, .value = (char *)value, .by = (char *)by,
		.score = score,       .has_box = box != NULL,
	};
	int r;

	s->labels.looked = true;
	if (is_blank(kind) || is_blank(value))
		return 0;
	if (box)
		memcpy(l.box, box, sizeof(l.box));
	r = labels_add(&s->labels, &l);
	if (r == -E2BIG) {
		why_set(why, "has more than 10,000 labels");
		r = -EBADMSG;
	}
	return r;
}

int foreign_tag(struct sidecar *s, const char *text, char *why)
{
	const char *slash = strchr(text, '/');
	CLEANUP(freep) char *kind = NULL;

	if (!slash || slash == text || !slash[1])
		return foreign_label(s, "label", text, NAN, NULL, NULL, why);
	kind = strndup(text, (size_t)(slash - text));
	return kind ? foreign_label(s, kind, slash + 1, NAN, NULL, NULL, why) : -ENOMEM;
}

int foreign_copy(const char *text, char **field)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

int foreign_comment(struct sidecar *s, const char *text, char *why)
{
	if (strlen(text) > COMMENT_MAX) {
		why_set(why, "has a description of more than %d bytes", COMMENT_MAX);
		return -EBADMSG;
	}
	return foreign_copy(text, &s->comment);
}

bool foreign_box_ok(const double box[4])
{
	for (int i = 0; i < 4; i++)
		if (!(box[i] >= -1 && box[i] <= 2))
			return false;
	return box[2] >= 0 && box[3] >= 0;
}

bool foreign_box_pixels(const double px[4], double width, double height, double ret[4])
{
	if (!(width > 0) || !(height > 0))
		return false;
	for (int i = 0; i < 4; i++)
		ret[i] = px[i] / (i % 2 ? height : width);
	return foreign_box_ok(ret);
}

bool foreign_numbers(const cJSON *v, double *ret, int n)
{
	const cJSON *item;
	int i = 0;

	if (!cJSON_IsArray(v) || cJSON_GetArraySize(v) != n)
		return false;
	cJSON_ArrayForEach (item, v) {
		if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
			return false;
		ret[i++] = item->valuedouble;
	}
	return true;
}

const char *foreign_string(const cJSON *object, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsString(v) ? v->valuestring : NULL;
}

double foreign_number(const cJSON *object, const char *key)
{
	const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);

	return cJSON_IsNumber(v) && isfinite(v->valuedouble) ? v->valuedouble : NAN;
}

static const char *base_of(const char *path)
{
	const char *slash = strrchr(path, '/'), *back = strrchr(path, '\\');

	slash = slash && (!back || slash > back) ? slash : back;
	return slash ? slash + 1 : path;
}

bool foreign_same_file(const char *a, const char *b)
{
	const char *dot_a, *dot_b;
	size_t n;

	a = base_of(a);
	b = base_of(b);
	if (strcmp(a, b) == 0)
		return true;
	dot_a = strrchr(a, '.');
	dot_b = strrchr(b, '.');
	n = dot_a ? (size_t)(dot_a - a) : strlen(a);
	return n == (dot_b ? (size_t)(dot_b - b) : strlen(b)) && n > 0 && memcmp(a, b, n) == 0;
}

/* ---- Google Takeout ---- */

/* "1607426155" or 1607426155, in UTC; no zone comes with it. */
static bool take_epoch(struct sidecar *s, double seconds)
{
	struct civil local;

	if (!(seconds > 0 && seconds < 253402300800.0))
		return false;
	s->taken_us = (int64_t)llround(seconds * 1e6);
	civil_from_us(s->taken_us, &local);
	s->zone_min = local.zone_min;
	s->has_taken = true;
	s->time_source = TIME_SOURCE;
	return true;
}

static bool take_timestamp(struct sidecar *s, const cJSON *doc, const char *key)
{
	const cJSON *time = cJSON_GetObjectItemCaseSensitive(doc, key);
	const char *text = foreign_string(time, "timestamp");
	uint64_t seconds;

	if (text && parse_u64(text, &seconds) == 0)
		return take_epoch(s, (double)seconds);
	return take_epoch(s, foreign_number(time, "timestamp"));
}

static int keep_as(struct sidecar *s, const char *key, const char *raw)
{
	CLEANUP(buf_done) struct buf out = BUF(SIDECAR_BYTES + 64);
	struct json j = {.out = &out};

	json_object(&j, NULL);
	json_raw(&j, key, raw);
	json_end(&j, '}');
	return out.error ? out.error : foreign_copy(out.data, &s->extra);
}

static int takeout(const cJSON *doc, const char *raw, struct sidecar *s, char *why)
{
	const cJSON *person, *favorite = cJSON_GetObjectItemCaseSensitive(doc, "favorited");
	const char *text = foreign_string(doc, "description");
	int r = 0;

	if (!take_timestamp(s, doc, "photoTakenTime"))
		(void)take_timestamp(s, doc, "creationTime");
	if (text && !is_blank(text))
		r = foreign_comment(s, text, why);
	if (cJSON_IsBool(favorite)) {
		s->has_starred = true;
		s->starred = cJSON_IsTrue(favorite);
	}
	cJSON_ArrayForEach (person, cJSON_GetObjectItemCaseSensitive(doc, "people")) {
		const char *name = foreign_string(person, "name");

		if (r == 0 && name)
			r = foreign_label(s, "person", name, NAN, NULL, NULL, why);
	}
	return r < 0 ? r : keep_as(s, "takeout", raw);
}

/* ---- Frigate ---- */

/* data.box is x, y, width, height as parts; box is two corners in pixels of the stream that was looked at. */
static bool frigate_box(const cJSON *event, const struct beside *pic, double ret[4])
{
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data");
	const cJSON *box = cJSON_GetObjectItemCaseSensitive(event, "box");
	double n[4];

	if (foreign_numbers(cJSON_GetObjectItemCaseSensitive(data, "box"), n, 4)) {
		memcpy(ret, n, sizeof(n));
		return foreign_box_ok(ret);
	}
	if (!foreign_numbers(box, n, 4))
		return false;
	n[2] -= n[0];
	n[3] -= n[1];
	return foreign_box_pixels(n, pic->width, pic->height, ret) && ret[0] + ret[2] <= 1.01 &&
	       ret[1] + ret[3] <= 1.01;
}

static double frigate_score(const cJSON *event)
{
	const cJSON *data = cJSON_GetObjectItemCaseSensitive(event, "data");
	const char *const key[] = {"top_score", "score"};
	double n = NAN;

	for (size_t i = 0; i < 2 && isnan(n); i++)
		n = foreign_number(event, key[i]);
	for (size_t i = 0; i < 2 && isnan(n); i++)
		n = foreign_number(data, key[i]);
	return n;
}

static int frigate(const cJSON *event, const char *raw, const struct beside *pic, struct sidecar *s,
		   char *why)
{
	const cJSON *sub = cJSON_GetObjectItemCaseSensitive(event, "sub_label"), *zone;
	const cJSON *zones = cJSON_GetObjectItemCaseSensitive(event, "zones");
	const char *label = foreign_string(event, "label");
	double box[4];
	bool has_box = frigate_box(event, pic, box);
	int r = foreign_label(s, "object", label, frigate_score(event), has_box ? box : NULL,
			      "frigate", why);

	if (cJSON_IsArray(sub)) /* ["bob", 0.9] */
		sub = cJSON_GetArrayItem(sub, 0);
	if (r == 0 && cJSON_IsString(sub))
		r = foreign_label(s, label, sub->valuestring, NAN, NULL, "frigate", why);
	if (!cJSON_IsArray(zones))
		zones = cJSON_GetObjectItemCaseSensitive(event, "entered_zones");
	cJSON_ArrayForEach (zone, zones) {
		if (r == 0 && cJSON_IsString(zone))
			r = foreign_label(s, "zone", zone->valuestring, NAN, NULL, "frigate", why);
	}
	if (!take_epoch(s, foreign_number(event, "frame_time")))
		(void)take_epoch(s, foreign_number(event, "start_time"));
	return r < 0 ? r : foreign_copy(raw, &s->event);
}

/* ---- which is it ---- */

struct shape {
	bool images, annotations, categories, detection_categories;
	bool title, google, label, label_object, fingerprint, img_id, camera, times, before, after;
	bool ours;
	unsigned by_img_id;
};

static int look(void *user, const char *key, const char *raw, size_t len)
{
	struct shape *s = user;
	const struct {
		const char *key, *first; /* kinds of its value by their first bytes */
		bool *found;
	} known[] = {
		{"images", "[", &s->images},
		{"annotations", "[", &s->annotations},
		{"categories", "[", &s->categories},
		{"detection_categories", "{", &s->detection_categories},
		{"title", "\"", &s->title},
		{"photoTakenTime", "{", &s->google},
		{"creationTime", "{", &s->google},
		{"geoData", "{", &s->google},
		{"label", "\"", &s->label},
		{"label", "{", &s->label_object},
		{"label_fingerprint", "\"", &s->fingerprint},
		{"img_id", "\"", &s->img_id},
		{"camera", "\"", &s->camera},
		{"start_time", "0123456789", &s->times},
		{"frame_time", "0123456789", &s->times},
		{"before", "{n", &s->before},
		{"after", "{", &s->after},
		{"schema", "\"", &s->ours},
		{"sha256", "\"", &s->ours},
	};
	struct civil c;
	unsigned dup;

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(key, known[i].key) == 0 && strchr(known[i].first, raw[0]))
			*known[i].found = true;
	if (strchr("{[", raw[0]) && img_id_parse(key, strlen(key), &c, &dup) == 0)
		s->by_img_id++;
	return 0;
}

static void cjson_freep(cJSON **j)
{
	cJSON_Delete(*j);
}

/* A label document of the seed's database: kept whole. */
static int document(const char *raw, struct sidecar *s)
{
	CLEANUP(buf_done) struct buf out = BUF(SIDECAR_BYTES + 64);

	if (raw[0] == '[')
		return foreign_copy(raw, &s->documents);
	(void)buf_printf(&out, "[%s]", raw);
	return out.error ? out.error : foreign_copy(out.data, &s->documents);
}

static int read_shape(const struct shape *k, const char *raw, size_t len, const struct beside *pic,
		      struct sidecar *s, char *why)
{
	CLEANUP(cjson_freep) cJSON *doc = NULL;

	if (k->ours)
		return sidecar_parse(raw, len, s, why);
	if (k->by_img_id) {
		why_set(why, "has labels by img_id: name it labels.json to have them all taken in");
		return -EBADMSG;
	}
	if (k->label_object && (k->img_id || k->fingerprint))
		return document(raw, s);
	doc = cJSON_ParseWithLength(raw, len);
	if (!doc)
		return -ENOMEM; /* it is valid JSON already */
	if (k->images && k->detection_categories)
		return megadetector_one(doc, pic, s, why);
	if (k->images && (k->annotations || k->categories))
		return coco_one(doc, pic, s, why);
	if (k->google && (k->title || !k->camera))
		return takeout(doc, raw, s, why);
	if (k->label && k->camera && k->times)
		return frigate(doc, raw, pic, s, why);
	if (k->before && k->after &&
	    foreign_string(cJSON_GetObjectItemCaseSensitive(doc, "after"), "label"))
		return frigate(cJSON_GetObjectItemCaseSensitive(doc, "after"), raw, pic, s, why);
	return sidecar_parse(raw, len, s, why);
}

/* An array of label documents. */
static int read_array(const char *raw, size_t len, struct sidecar *s, char *why)
{
	int r = json_check(raw, len, 1, 1, why);
	size_t inner = 1 + strspn(raw + 1, " \t\r\n");

	if (r < 0)
		return r;
	if (raw[inner] != '{') {
		why_set(why, "is an array, but not one of label documents");
		return -EBADMSG;
	}
	return document(raw, s);
}

static int read_json(const char *text, size_t len, const struct beside *pic, struct sidecar *s,
		     char *why)
{
	CLEANUP(freep) char *raw = NULL;
	size_t from = len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0, to = len;
	struct shape k = {0};
	int r;

	while (from < to && isspace((unsigned char)text[from]))
		from++;
	while (to > from && isspace((unsigned char)text[to - 1]))
		to--;
	/* What is broken is told with its place by who reads our own. */
	if (memchr(text, '\0', len))
		return sidecar_parse(text, len, s, why);
	if (from < to && text[from] == '[') {
		raw = strndup(text + from, to - from);
		return raw ? read_array(raw, to - from, s, why) : -ENOMEM;
	}
	r = json_scan(text + from, to - from, look, &k, why);
	if (r < 0)
		return r == -EBADMSG ? sidecar_parse(text, len, s, why) : r;
	raw = strndup(text + from, to - from);
	return raw ? read_shape(&k, raw, to - from, pic, s, why) : -ENOMEM;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return n > s && strcasecmp(name + n - s, suffix) == 0;
}

int foreign_parse(const char *name, const char *text, size_t len, const struct beside *pic,
		  const struct classes *classes, struct sidecar *ret, char why[WHY_MAX])
{
	struct sidecar s = {0};
	int r;

	why[0] = '\0';
	if (len > SIDECAR_BYTES) {
		why_set(why, "is larger than %d KiB: not a sidecar", SIDECAR_BYTES / 1024);
		return -EFBIG;
	}
	if (has_suffix(name, ".xmp"))
		r = xmp_parse(text, len, &s, why);
	else if (has_suffix(name, ".txt"))
		r = yolo_parse(text, len, classes, &s, why);
	else
		r = read_json(text, len, pic, &s, why);
	if (r < 0) {
		sidecar_done(&s);
		return r;
	}
	*ret = s;
	return 0;
}
