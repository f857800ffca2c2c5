/* spec.c - what query.json asks for: a query alone, or one with its classes, split and seed. */
#include "private.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const dataset_split_name[DATASET_SPLITS] = {"train", "validation", "test"};

void spec_done(struct spec *s)
{
	free(s->query);
	free(s->kind);
	free(s->field);
	free(s->seed);
	*s = (struct spec){0};
}

static int bad(char why[WHY_MAX], const char *key, const char *what)
{
	(void)snprintf(why, WHY_MAX, "\"%s\" %s", key, what);
	return -EBADMSG;
}

static int dup_text(struct json_text v, char **ret)
{
	CLEANUP(buf_done) struct buf text = BUF(DATASET_QUERY_BYTES);
	int r = json_plain(v, &text);

	if (r < 0)
		return r;
	*ret = text.data ? TAKE(text.data) : strdup("");
	return *ret ? 0 : -ENOMEM;
}

static int on_query(struct spec *s, struct json_text v, char why[WHY_MAX])
{
	if (json_type(v) != JSON_OBJECT)
		return bad(why, "query", "is not an object");
	s->query = strndup(v.p, v.len);
	return s->query ? 0 : -ENOMEM;
}

static int on_classes(struct spec *s, struct json_text v, char why[WHY_MAX])
{
	struct json_text field = json_get(v, "field");
	char name[LABEL_MAX + 1];
	int r;

	if (json_type(v) == JSON_STRING && v.len > 2) {
		r = dup_text(v, &s->kind);
		if (r == 0) {
			label_name_from(s->kind, name);
			(void)snprintf(s->kind, strlen(s->kind) + 1, "%s", name);
		}
		return r;
	}
	if (json_type(field) == JSON_STRING && field.len > 2)
		return dup_text(field, &s->field);
	return bad(
		why, "classes",
		"is neither a kind of labels, like \"object\", nor a field of the documents, like "
		"{\"field\":\"label.label_direction\"}");
}

static int on_split(struct spec *s, struct json_text v, char why[WHY_MAX])
{
	struct json_text rest = json_inside(v), key, value;
	double sum = 0;

	if (json_type(v) != JSON_OBJECT)
		return bad(why, "split",
			   "is not an object like {\"train\":0.8,\"validation\":0.1,\"test\":0.1}");
	memset(s->share, 0, sizeof(s->share));
	while (json_next(&rest, &key, &value)) {
		long double n;
		int i = 0;

		while (i < DATASET_SPLITS && !json_is(key, dataset_split_name[i]))
			i++;
		if (i == DATASET_SPLITS)
			return bad(why, "split", "has another key than train, validation and test");
		if (!json_number(value, &n) || !(n >= 0 && n <= 1e6L))
			return bad(why, dataset_split_name[i], "is not a share, like 0.8");
		s->share[i] = (double)n;
		sum += s->share[i];
	}
	if (!(sum > 0))
		return bad(why, "split", "gives nothing to any of train, validation and test");
	for (int i = 0; i < DATASET_SPLITS; i++)
		s->share[i] /= sum;
	return 0;
}

static int on_seed(struct spec *s, struct json_text v, char why[WHY_MAX])
{
	if (json_type(v) != JSON_STRING && json_type(v) != JSON_NUMBER)
		return bad(why, "seed", "is neither a number nor a string");
	free(TAKE(s->seed));
	return dup_text(v, &s->seed);
}

static int on_member(struct spec *s, struct json_text key, struct json_text v, char why[WHY_MAX])
{
	static const struct {
		const char *key;
		int (*fn)(struct spec *s, struct json_text v, char why[WHY_MAX]);
	} known[] = {{"query", on_query},
		     {"classes", on_classes},
		     {"split", on_split},
		     {"seed", on_seed}};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (json_is(key, known[i].key))
			return known[i].fn(s, v, why);
	(void)snprintf(
		why, WHY_MAX,
		"%.*s is no key of a dataset: it has \"query\", \"classes\", \"split\" and \"seed\"",
		(int)(key.len < 40 ? key.len : 40), key.p);
	return -EBADMSG;
}

int spec_parse(const char *text, size_t len, struct spec *ret, char why[WHY_MAX])
{
	CLEANUP(spec_done) struct spec s = {.share = {0.8, 0.1, 0.1}};
	struct json_text whole, rest, key, v;
	int r;

	if (len > DATASET_QUERY_BYTES) {
		(void)snprintf(why, WHY_MAX, "query.json is larger than %d bytes",
			       DATASET_QUERY_BYTES);
		return -EFBIG;
	}
	r = json_read(text, len, &whole, why);
	if (r < 0)
		return r;
	s.seed = strdup("");
	if (!s.seed)
		return -ENOMEM;
	if (json_type(json_get(whole, "query")) == JSON_NONE) {
		s.query = strndup(whole.p, whole.len);
		r = s.query ? 0 : -ENOMEM;
	} else {
		rest = json_inside(whole);
		while (r == 0 && json_next(&rest, &key, &v))
			r = on_member(&s, key, v, why);
	}
	if (r < 0)
		return r;
	*ret = s;
	s = (struct spec){0};
	return 0;
}

enum dataset_split split_of(const struct spec *s, const char *camera, const char *day)
{
	CLEANUP(buf_done) struct buf text = BUF(DATASET_QUERY_BYTES + NAME_LIMIT);
	struct sha256 sha;
	double at;

	/* A camera has no '/', so nothing can be read two ways. */
	(void)buf_printf(&text, "%s/%s/%s", camera, day, s->seed);
	if (text.error || sha256_of(text.data, text.len, &sha) < 0)
		return DATASET_TRAIN;
	at = (double)(((uint32_t)sha.b[0] << 24) | ((uint32_t)sha.b[1] << 16) |
		      ((uint32_t)sha.b[2] << 8) | sha.b[3]) /
	     4294967296.0;
	if (at < s->share[DATASET_TRAIN])
		return DATASET_TRAIN;
	at -= s->share[DATASET_TRAIN];
	if (at < s->share[DATASET_VALIDATION] || s->share[DATASET_TEST] <= 0)
		return s->share[DATASET_VALIDATION] > 0 ? DATASET_VALIDATION : DATASET_TRAIN;
	return DATASET_TEST;
}
