/* document.c - label documents: their fingerprints, as the system that they come from computes the first, and the second that
 * tells duplicates. */
#include "shutterfs/codec.h"
#include "text.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMG_ID, CREATED_BY, DIRECTION, SPEED, DIRECTIONS, SPEEDS, VALUES };

struct slice { /* of the text; p NULL: absent */
	const char *p;
	size_t len;
};

struct parse {
	struct slice value[VALUES], label, created_by;
	bool has_fingerprint;
};

/* ---- reading ---- */
static int on_label(void *user, const char *key, const char *raw, size_t len)
{
	static const char *const name[VALUES] = {
		[IMG_ID] = "",
		[CREATED_BY] = "created_by",
		[DIRECTION] = "label_direction",
		[SPEED] = "label_speed",
		[DIRECTIONS] = "nb_of_direction",
		[SPEEDS] = "nb_of_speed",
	};
	struct parse *p = user;

	for (int i = CREATED_BY; i < VALUES; i++)
		if (strcmp(key, name[i]) == 0)
			p->value[i] = (struct slice){raw, len};
	return 0;
}

static int on_member(void *user, const char *key, const char *raw, size_t len)
{
	struct parse *p = user;

	if (strcmp(key, "img_id") == 0)
		p->value[IMG_ID] = (struct slice){raw, len};
	else if (strcmp(key, "created_by") == 0)
		p->created_by = (struct slice){raw, len};
	else if (strcmp(key, "label") == 0 && raw[0] == '{')
		p->label = (struct slice){raw, len};
	else if (strcmp(key, "label_fingerprint") == 0)
		p->has_fingerprint = true;
	return 0;
}

/* ---- what the values are ---- */
/* A float as Python's repr prints it: the shortest text that reads back the same. */
static void add_float(struct buf *out, double d)
{
	char digits[40], *e;
	int precision = 0, exponent;

	do
		(void)snprintf(digits, sizeof(digits), "%.*e", precision, d);
	while (strtod(digits, NULL) != d && ++precision < 17);
	e = strchr(digits, 'e');
	exponent = e ? (int)strtol(e + 1, NULL, 10) : 0;
	if (exponent >= 16 || exponent < -4) {
		(void)buf_add(out, digits, (size_t)(e - digits));
		(void)buf_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
	} else {
		int behind = precision - exponent;

		(void)buf_printf(out, "%.*f", behind > 1 ? behind : 1, d);
	}
}

/* `same`: numbers that are equal have one text. */
static void add_number(struct buf *out, const char *text, bool same)
{
	double d;

	if (strcspn(text, ".eE") == strlen(text)) { /* an int, of any size */
		(void)buf_str(out, strcmp(text, "-0") == 0 ? "0" : text);
		return;
	}
	d = strtod(text, NULL);
	if (!isfinite(d))
		(void)buf_str(out, d < 0 ? "-inf" : "inf");
	else if (same && d == floor(d) && fabs(d) < 9007199254740992.0)
		(void)buf_printf(out, "%.0f", d == 0 ? 0.0 : d);
	else
		add_float(out, d);
}

static void cjson_freep(cJSON **j)
{
	cJSON_Delete(*j);
}

static int add_string(struct buf *out, const struct slice *v)
{
	CLEANUP(cjson_freep) cJSON *j = cJSON_ParseWithLength(v->p, v->len);

	if (!cJSON_IsString(j))
		return -ENOMEM; /* it is a valid string already */
	return buf_str(out, j->valuestring);
}

/* Valid JSON without the blanks between its tokens. */
static int compact(const char *raw, size_t len, struct buf *out)
{
	bool text = false;

	for (size_t i = 0, from = 0; i <= len; i++) {
		bool blank = i < len && !text && strchr(" \t\r\n", raw[i]);

		if (blank || i == len) {
			(void)buf_add(out, raw + from, i - from);
			from = i + 1;
		} else if (text && raw[i] == '\\') {
			i++;
		} else if (raw[i] == '"') {
			text = !text;
		}
	}
	return out->error;
}

/* As Python's str() prints it; of an object or array, in which nobody keeps such a thing, the text as the body has it. */
static int add_value(struct buf *out, const struct slice *v, bool same)
{
	if (!v->p || v->p[0] == 'n')
		return buf_str(out, "None");
	if (v->p[0] == 't' || v->p[0] == 'f')
		return buf_str(out, v->p[0] == 't' ? "True" : "False");
	if (v->p[0] == '"')
		return add_string(out, v);
	if (v->p[0] == '-' || (v->p[0] >= '0' && v->p[0] <= '9')) {
		CLEANUP(freep) char *text = strndup(v->p, v->len);

		if (!text)
			return -ENOMEM;
		add_number(out, text, same);
		return out->error;
	}
	return compact(v->p, v->len, out);
}

static bool is_none(const struct slice *v)
{
	return !v->p || v->p[0] == 'n';
}

/* ---- fingerprints ---- */
static int fingerprint_1(const struct parse *p, char out[33])
{
	CLEANUP(buf_done) struct buf text = BUF(2 * SIDECAR_BYTES);
	struct hash *hash;
	struct hashes h;
	int r = 0;

	for (int i = 0; r == 0 && i < VALUES; i++)
		r = add_value(&text, &p->value[i], false);
	if (r == 0)
		r = hash_new(&hash);
	if (r < 0)
		return r;
	r = hash_add(hash, text.data, text.len);
	if (r == 0)
		r = hash_end(hash, &h);
	(void)hash_free(hash);
	if (r == 0)
		hex_encode(h.md5, sizeof(h.md5), out);
	return r;
}

/* Each value behind its length, big-endian in four bytes; none at all has the length of no text. */
static int fingerprint_2(const struct parse *p, struct sha256 *ret)
{
	CLEANUP(buf_done) struct buf text = BUF(2 * SIDECAR_BYTES), all = BUF(2 * SIDECAR_BYTES);
	int r = 0;

	for (int i = 0; r == 0 && i < VALUES; i++) {
		uint32_t n;

		text.len = 0;
		r = add_value(&text, &p->value[i], true);
		if (r < 0)
			return r;
		n = is_none(&p->value[i]) ? UINT32_MAX : (uint32_t)text.len;
		(void)buf_add(&all,
			      (uint8_t[]){(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
					  (uint8_t)n},
			      4);
		r = n == UINT32_MAX ? all.error : buf_add(&all, text.data, text.len);
	}
	return r < 0 ? r : sha256_of(all.data, all.len, ret);
}

/* ---- the whole ---- */
static int set_created_by(const struct parse *p, char **ret)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	int r;

	if (is_none(&p->value[CREATED_BY]))
		return 0;
	r = add_value(&text, &p->value[CREATED_BY], false);
	if (r == 0)
		r = buf_add(&text, "", 0);
	if (r < 0)
		return r;
	*ret = text.data ? TAKE(text.data) : strdup("");
	return *ret ? 0 : -ENOMEM;
}

struct copy {
	struct json body;
	const char *fp1;
};

static int copy_member(void *user, const char *key, const char *raw, size_t len)
{
	struct copy *c = user;
	CLEANUP(buf_done) struct buf value = BUF(len + 1);
	int r;

	if (strcmp(key, "label_fingerprint") == 0) {
		json_string(&c->body, key, c->fp1);
		return c->body.out->error;
	}
	r = compact(raw, len, &value);
	if (r < 0)
		return r;
	json_raw(&c->body, key, value.data);
	return c->body.out->error;
}

/* On one line, numbers as given; the fingerprint where the document had one, else at its end. */
static int make_body(const struct parse *p, const char *text, size_t len, const char *fp1,
		     char **ret)
{
	CLEANUP(buf_done) struct buf out = BUF(2 * SIDECAR_BYTES);
	struct copy c = {.body = {.out = &out}, .fp1 = fp1};
	char why[WHY_MAX];
	int r;

	json_object(&c.body, NULL);
	r = json_scan(text, len, copy_member, &c, why);
	if (r < 0)
		return r;
	if (!p->has_fingerprint)
		json_string(&c.body, "label_fingerprint", fp1);
	json_end(&c.body, '}');
	if (out.error < 0)
		return out.error;
	*ret = TAKE(out.data);
	return 0;
}

void label_document_done(struct label_document *d)
{
	free(d->created_by);
	free(d->body);
	*d = (struct label_document){0};
}

int label_document_parse(const char *text, size_t len, const char *img_id,
			 struct label_document *ret, char why[WHY_MAX])
{
	CLEANUP(label_document_done) struct label_document d = {0};
	CLEANUP(buf_done) struct buf id = BUF(256);
	struct json id_json = {.out = &id};
	struct parse p = {0};
	int r = json_scan(text, len, on_member, &p, why);

	if (r == 0 && p.label.p)
		r = json_scan(p.label.p, p.label.len, on_label, &p, why);
	if (r < 0)
		return r;
	if (is_none(&p.value[CREATED_BY]))
		p.value[CREATED_BY] = p.created_by;
	if (is_none(&p.value[IMG_ID]) && img_id) {
		json_string(&id_json, NULL, img_id);
		p.value[IMG_ID] = (struct slice){id.data, id.len};
	}
	r = id.error;
	if (r == 0)
		r = fingerprint_1(&p, d.fp1);
	if (r == 0)
		r = fingerprint_2(&p, &d.fp2);
	if (r == 0)
		r = set_created_by(&p, &d.created_by);
	if (r == 0)
		r = make_body(&p, text, len, d.fp1, &d.body);
	if (r < 0)
		return r;
	*ret = d;
	d = (struct label_document){0};
	return 0;
}
