/* lines.c - the members of a dataset as lines, in catalog notes: that is how they come to the stores and back.
 *
 *   datasets/<uid>/members-000000.jsonl ...   a line per picture, in the order of stems
 *   datasets/<uid>/dataset.json               name, moment, query, how many of those: written last, so it stands for a whole one */
#include "work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CHUNK_BYTES = 1024 * 1024,
	CHUNK_LIMIT = CHUNK_BYTES + SIDECAR_BYTES + 1,
	HEAD_LIMIT = 256 * 1024
};

static void head_key(const char *uid, char out[KEY_MAX + 1])
{
	(void)snprintf(out, KEY_MAX + 1, DATASET_NOTES "%s/dataset.json", uid);
}

static void chunk_key(const char *uid, uint64_t n, char out[KEY_MAX + 1])
{
	(void)snprintf(out, KEY_MAX + 1, DATASET_NOTES "%s/members-%06llu.jsonl", uid,
		       (unsigned long long)n);
}

void lines_writer_done(struct lines_writer *w)
{
	buf_done(&w->chunk);
}

void lines_begin(struct catalog *c, const char *uid, struct lines_writer *ret)
{
	*ret = (struct lines_writer){.catalog = c, .uid = uid, .chunk = BUF(CHUNK_LIMIT)};
}

static int put_chunk(struct lines_writer *w)
{
	char key[KEY_MAX + 1];
	int r = w->chunk.error;

	if (r < 0 || w->chunk.len == 0)
		return r;
	chunk_key(w->uid, w->n, key);
	r = catalog_note_put(w->catalog, key, w->chunk.data, w->chunk.len);
	w->n++;
	w->chunk.len = 0;
	return r;
}

/* JSON has no newline but between its words. */
int lines_add(struct lines_writer *w, char *line, size_t len)
{
	while (len > 0 && line[len - 1] == '\n')
		len--;
	for (size_t i = 0; i < len; i++)
		if (line[i] == '\n' || line[i] == '\r')
			line[i] = ' ';
	(void)buf_add(&w->chunk, line, len);
	(void)buf_add(&w->chunk, "\n", 1);
	return w->chunk.len >= CHUNK_BYTES ? put_chunk(w) : w->chunk.error;
}

static int put_head(struct catalog *c, const struct head *h)
{
	CLEANUP(buf_done) struct buf text = BUF(HEAD_LIMIT);
	struct json j = {.out = &text, .lines = true};
	char key[KEY_MAX + 1], when[ISO_MAX];

	iso_format(h->frozen_us, 0, when);
	json_object(&j, NULL);
	json_string(&j, "schema", "shutterfs-dataset/1");
	json_string(&j, "name", h->name);
	json_string(&j, "frozen", when);
	json_int(&j, "chunks", (int64_t)h->chunks);
	json_string(&j, "query", h->query);
	json_end(&j, '}');
	(void)buf_str(&text, "\n");
	head_key(h->uid, key);
	return text.error ? text.error : catalog_note_put(c, key, text.data, text.len);
}

int lines_end(struct lines_writer *w, const char *name, const char *query, int64_t frozen_us)
{
	struct head h = {.uid = (char *)w->uid,
			 .name = (char *)name,
			 .query = (char *)query,
			 .frozen_us = frozen_us};
	int r = put_chunk(w);

	h.chunks = w->n;
	return r < 0 ? r : put_head(w->catalog, &h);
}

void head_done(struct head *h)
{
	free(h->uid);
	free(h->name);
	free(h->query);
	*h = (struct head){0};
}

static int dup_text(struct json_text v, char **ret)
{
	CLEANUP(buf_done) struct buf text = BUF(HEAD_LIMIT);
	int r = json_type(v) == JSON_STRING ? json_plain(v, &text) : -EBADMSG;

	if (r < 0)
		return r;
	*ret = text.data ? TAKE(text.data) : strdup("");
	return *ret ? 0 : -ENOMEM;
}

int head_read(struct catalog *c, const char *uid, struct head *ret)
{
	CLEANUP(buf_done) struct buf text = BUF(HEAD_LIMIT);
	CLEANUP(head_done) struct head h = {0};
	CLEANUP(freep) char *when = NULL;
	struct json_text whole;
	char key[KEY_MAX + 1], why[WHY_MAX];
	long double chunks;
	int zone, r;

	head_key(uid, key);
	r = catalog_note_get(c, key, &text);
	if (r == 0)
		r = json_read(text.data ? text.data : "", text.len, &whole, why);
	if (r < 0)
		return r;
	if (!json_is(json_get(whole, "schema"), "shutterfs-dataset/1") ||
	    !json_number(json_get(whole, "chunks"), &chunks) || !(chunks >= 0 && chunks <= 1e6L))
		return -EBADMSG;
	h.chunks = (uint64_t)chunks;
	r = dup_text(json_get(whole, "name"), &h.name);
	if (r == 0)
		r = dup_text(json_get(whole, "query"), &h.query);
	if (r == 0)
		r = dup_text(json_get(whole, "frozen"), &when);
	if (r == 0)
		r = iso_parse(when, &h.frozen_us, &zone) < 0 ? -EBADMSG : 0;
	if (r == 0 && !(h.uid = strdup(uid)))
		r = -ENOMEM;
	if (r < 0)
		return r;
	*ret = h;
	h = (struct head){0};
	return 0;
}

int head_rename(struct catalog *c, const char *uid, const char *name)
{
	CLEANUP(head_done) struct head h = {0};
	int r = head_read(c, uid, &h);

	if (r < 0)
		return r == -ENOENT ? 0 : r; /* not frozen yet */
	free(h.name);
	h.name = strdup(name);
	return h.name ? put_head(c, &h) : -ENOMEM;
}

static int each_line(const struct buf *chunk, line_fn *fn, void *user)
{
	const char *p = chunk->data, *end = p + chunk->len;
	int r = 0;

	while (r == 0 && p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		stop = stop ? stop : end;
		r = stop > p ? fn(user, p, (size_t)(stop - p)) : 0;
		p = stop + 1;
	}
	return r;
}

int lines_there(struct catalog *c, const struct head *h)
{
	char key[KEY_MAX + 1];
	struct note_row row;
	int r = 0;

	for (uint64_t n = 0; r == 0 && n < h->chunks; n++) {
		chunk_key(h->uid, n, key);
		r = catalog_note_find(c, key, &row);
	}
	return r;
}

int lines_read(struct catalog *c, const struct head *h, line_fn *fn, void *user)
{
	CLEANUP(buf_done) struct buf chunk = BUF(CHUNK_LIMIT);
	char key[KEY_MAX + 1];
	int r = 0;

	for (uint64_t n = 0; r == 0 && n < h->chunks; n++) {
		chunk.len = 0;
		chunk_key(h->uid, n, key);
		r = catalog_note_get(c, key, &chunk);
		if (r == 0 && chunk.len > 0)
			r = each_line(&chunk, fn, user);
	}
	return r;
}

int lines_remove(struct catalog *c, const char *uid)
{
	char prefix[KEY_MAX + 1], key[KEY_MAX + 1] = "";
	int r, n;

	/* The head first: what is left then stands for nothing. */
	head_key(uid, key);
	r = catalog_note_remove(c, key);
	n = snprintf(prefix, sizeof(prefix), DATASET_NOTES "%s/", uid);
	if (n < 0 || (size_t)n >= sizeof(prefix))
		return -EINVAL;
	for (key[0] = '\0'; r == 0 || r == -ENOENT;) {
		r = catalog_note_next(c, prefix, key, key);
		if (r < 0)
			break;
		r = catalog_note_remove(c, key);
	}
	return r == -ENOENT ? 0 : r;
}
