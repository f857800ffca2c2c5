/* Files that describe many pictures beside them: session_template.json and hardware_conf.json go into their label documents, a list
 * of YOLO's classes gives label files their meaning. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char session_name[] = "session_template.json", hardware_name[] = "hardware_conf.json";

bool is_template(const char *name)
{
	return strcmp(name, session_name) == 0 || strcmp(name, hardware_name) == 0;
}

/* ---- templates ---- */

static int note_member(void *user, const char *key, const char *raw, size_t len)
{
	bool *has = user;

	*has = *has || strcmp(key, "hardware_conf") == 0;
	return 0;
}

/* What it adds to a document, as one object; -ENOENT: it is not there. */
static int template_of(struct ingest *in, int64_t dir, const char *name, struct buf *ret,
		       char why[WHY_MAX])
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	struct upload_row row;
	bool named = false;
	int r = find_above(in, dir, name, &row);

	if (r == 0)
		r = read_entry(in, row.id, SIDECAR_BYTES, &text);
	if (r == 0)
		r = json_scan(text.data ? text.data : "", text.len, note_member, &named, why);
	if (r < 0)
		return r;
	if (name == session_name || named)
		return buf_add(ret, text.data, text.len);
	return buf_printf(ret, "{\"hardware_conf\":%s}", text.data);
}

int session_load(struct ingest *in, int64_t dir, struct session *ret)
{
	struct session s = {.session = BUF(SIDECAR_BYTES), .hardware = BUF(SIDECAR_BYTES + 64)};
	char why[WHY_MAX];
	int r = template_of(in, dir, session_name, &s.session, why);

	if (r == 0 || r == -ENOENT || r == -EBADMSG)
		r = template_of(in, dir, hardware_name, &s.hardware, why);
	if (r < 0 && r != -ENOENT && r != -EBADMSG) {
		session_done(&s);
		return r;
	}
	*ret = s; /* a broken one was told where it lies */
	return 0;
}

void session_done(struct session *s)
{
	buf_done(&s->session);
	buf_done(&s->hardware);
}

int session_add(const struct session *s, const char *document, size_t len, struct buf *out,
		char *why)
{
	CLEANUP(buf_done) struct buf half = BUF(2 * SIDECAR_BYTES);
	const char *session = s->session.len ? s->session.data : "{}";
	const char *hardware = s->hardware.len ? s->hardware.data : "{}";
	int r = json_merge(document, len, session, strlen(session), &half, why);

	if (r == 0)
		r = json_merge(half.data, half.len, hardware, strlen(hardware), out, why);
	return r;
}

/* ---- into the documents of a sidecar ---- */

struct adding {
	const struct session *session;
	struct buf *out;
	char *why;
};

static int add_one(void *user, const char *key, const char *raw, size_t len)
{
	struct adding *a = user;

	(void)buf_str(a->out, a->out->len > 1 ? "," : "");
	if (raw[0] != '{')
		return buf_add(a->out, raw, len);
	return session_add(a->session, raw, len, a->out, a->why);
}

int add_session(struct ingest *in, int64_t dir, struct sidecar *s, char *why)
{
	CLEANUP(session_done) struct session session = {0};
	CLEANUP(buf_done) struct buf out = BUF(4 * SIDECAR_BYTES);
	struct adding a = {&session, &out, why};
	int r;

	if (!s->documents)
		return 0;
	r = session_load(in, dir, &session);
	if (r < 0 || (!session.session.len && !session.hardware.len))
		return r;
	(void)buf_str(&out, "[");
	r = json_scan_array(s->documents, strlen(s->documents), add_one, &a, why);
	if (r == 0)
		r = buf_str(&out, "]");
	if (r < 0)
		return r;
	free(s->documents);
	s->documents = TAKE(out.data);
	return 0;
}

void consider_template(struct ingest *in, struct entry *e, const struct upload_row *row, bool final)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	char why[WHY_MAX] = "";
	bool named = false;
	int r = read_entry(in, e->id, SIDECAR_BYTES, &text);

	if (r == 0)
		r = json_scan(text.data ? text.data : "", text.len, note_member, &named, why);
	if (r == -EFBIG)
		(void)snprintf(why, sizeof(why), "is larger than %d KiB", SIDECAR_BYTES >> 10);
	if (r == 0)
		set_state(in, row, UPLOAD_KEPT, 0, NULL);
	else if (r != -EBADMSG && r != -EFBIG)
		try_later(in, row, r);
	else if (final)
		set_state(in, row, UPLOAD_REJECTED, 0, why);
	else
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
}

/* ---- lists of classes ---- */

enum { PAGE = 64 };
struct page {
	struct upload_row row[PAGE];
	size_t n;
};

static int collect(void *user, const struct upload_row *row)
{
	struct page *p = user;

	p->row[p->n++] = *row;
	return 0;
}

/* Label files that waited for their list, at and below its directory, whose depth is the catalog's to limit. */
static int wake_below(struct ingest *in, int64_t dir)
{
	CLEANUP(freep) struct page *p = calloc(1, sizeof(*p));
	char after[NAME_LIMIT + 1] = "";
	int r;

	if (!p)
		return -ENOMEM;
	do {
		p->n = 0;
		r = catalog_upload_list(in->cat, dir, after, PAGE, collect, p);
		for (size_t i = 0; r == 0 && i < p->n; i++) {
			const struct upload_row *row = &p->row[i];

			if (row->is_dir)
				r = wake_below(in, row->id);
			else if (row->state == UPLOAD_HELD && has_suffix(row->name, ".txt"))
				reschedule(in, row, UPLOAD_WAITING, 0);
		}
		if (p->n > 0)
			memcpy(after, p->row[p->n - 1].name, sizeof(after));
	} while (r == 0 && p->n == PAGE);
	return r;
}

void consider_class_list(struct ingest *in, const struct upload_row *row)
{
	set_state(in, row, UPLOAD_KEPT, 0, NULL);
	if (row->parent != 0 && wake_below(in, row->parent) < 0)
		look_at_all_later(in);
}
