/* labels.c - labels.json and duplicates.json: what is written about each match, a line per img_id.
 *
 * Pictures of several cameras may have one img_id: they come one after the other, so only the line under way is in memory. */
#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 64 * SIDECAR_BYTES };

struct labels_file {
	struct catalog *c;
	enum query_labels what;
	query_stop_fn *stop;
	query_write_fn *write;
	void *user;
	struct buf out;
	struct buf line; /* documents of img_id, commas between */
	unsigned n;      /* in line */
	bool any;        /* a line was written */
	char img_id[IMG_ID_MAX + 1];
};

static int end_line(struct labels_file *f)
{
	int r = f->line.error;

	if (r == 0 && (f->n > 1 || (f->n == 1 && f->what == QUERY_LABELS))) {
		f->out.len = 0;
		(void)buf_printf(&f->out, "%s\"%s\":%s", f->any ? "," : "{", f->img_id,
				 f->n > 1 ? "[" : "");
		(void)buf_add(&f->out, f->line.data, f->line.len);
		(void)buf_str(&f->out, f->n > 1 ? "]\n" : "\n");
		f->any = true;
		r = f->out.error ? f->out.error : f->write(f->user, f->out.data, f->out.len);
	}
	f->line.len = 0;
	f->n = 0;
	return r;
}

/* Line breaks between JSON's words are blanks, too: each img_id keeps its line. */
static int add_body(struct labels_file *f, const char *body, size_t len)
{
	size_t at;

	if (f->n++)
		(void)buf_str(&f->line, ",");
	at = f->line.len;
	if (buf_add(&f->line, body, len) < 0)
		return f->line.error;
	for (char *p = f->line.data + at; (p = strpbrk(p, "\r\n")); p++)
		*p = ' ';
	return 0;
}

static int on_document(void *user, const struct document *d)
{
	return add_body(user, d->body, strlen(d->body));
}

static int add_sidecar(struct labels_file *f, int64_t snapshot)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	CLEANUP(sidecar_done) struct sidecar s = {0};
	int r = catalog_sidecar(f->c, snapshot, &s);

	if (r == 0)
		r = sidecar_render(&s, &text);
	if (r == 0) /* without its last line break */
		r = add_body(f, text.data, text.len - 1);
	return r == -ENOENT ? 0 : r; /* gone this moment */
}

static int add_picture(void *user, const struct snap *s)
{
	struct labels_file *f = user;
	size_t len = strcspn(s->stem, "_");
	unsigned before;
	int r = 0;

	if (strlen(f->img_id) != len || memcmp(f->img_id, s->stem, len) != 0) {
		r = end_line(f);
		memcpy(f->img_id, s->stem, len);
		f->img_id[len] = '\0';
	}
	before = f->n;
	if (r == 0)
		r = catalog_documents(f->c, s->id, on_document, f);
	if (r == 0 && f->n == before)
		r = add_sidecar(f, s->id);
	return r;
}

static bool stop(void *user)
{
	struct labels_file *f = user;

	return f->stop && f->stop(f->user);
}

int query_labels(const struct query *q, struct catalog *c, enum query_labels what,
		 query_stop_fn *stop_fn, query_write_fn *write, void *user)
{
	struct labels_file f = {.c = c,
				.what = what,
				.stop = stop_fn,
				.write = write,
				.user = user,
				.out = BUF(2 * LINE_BYTES),
				.line = BUF(LINE_BYTES)};
	int r = query_each(q, c, 0, stop, add_picture, &f);

	if (r == 0)
		r = end_line(&f);
	if (r == 0)
		r = f.any ? write(user, "}\n", 2) : write(user, "{}\n", 3);
	buf_done(&f.out);
	buf_done(&f.line);
	return r;
}
