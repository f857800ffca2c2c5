/* Sidecars and their pictures, whichever comes first.  Of several beside one picture the better one counts, and each further one
 * for what those before it do not say. */
#include "ingest_private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return n > s && strcasecmp(name + n - s, suffix) == 0;
}

bool is_sidecar_name(const char *name)
{
	return has_suffix(name, ".json") || has_suffix(name, ".xmp") ||
	       (has_suffix(name, ".txt") && !is_class_list(name));
}

/* ---- reading one ---- */

/* Lines of at least five numbers: else it is any text file. */
static bool may_be_yolo(const struct buf *text)
{
	const char *p = text->data ? text->data : "";
	int numbers = 0;

	if (strspn(p, "0123456789.eE+- \t\r\n") < text->len)
		return false;
	while (*(p += strspn(p, " \t")) && *p != '\r' && *p != '\n') {
		p += strcspn(p, " \t\r\n");
		numbers++;
	}
	return text->len == 0 || numbers >= 5;
}

/* -ENOENT: YOLO's, and there is no list of classes (yet). */
static int parse_text(struct ingest *in, const struct upload_row *row, const struct buf *text,
		      const struct beside *pic, struct sidecar *ret, char why[WHY_MAX])
{
	CLEANUP(classes_done) struct classes classes = {0};
	int r = 0;

	if (has_suffix(row->name, ".txt"))
		r = classes_above(in, row->parent, &classes);
	if (r == 0)
		r = foreign_parse(row->name, text->data ? text->data : "", text->len, pic, &classes,
				  ret, why);
	if (r == 0)
		r = add_session(in, row->parent, ret, why);
	return r;
}

static int parse_entry(struct ingest *in, const struct upload_row *row, const struct beside *pic,
		       struct sidecar *ret)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	char why[WHY_MAX];
	int r = read_entry(in, row->id, SIDECAR_BYTES, &text);

	if (r == 0 && has_suffix(row->name, ".txt") && !may_be_yolo(&text))
		return -EBADMSG;
	return r < 0 ? r : parse_text(in, row, &text, pic, ret, why);
}

/* ---- several of one picture ---- */

static void take_text(char **to, char **from)
{
	if (!*to)
		*to = TAKE(*from);
}

/* What `s` does not say is taken from `more`, which is used up. */
static void fill_in(struct sidecar *s, struct sidecar *more)
{
	if (!s->labels.looked) {
		s->labels = more->labels;
		more->labels = (struct labels){0};
	}
	if (!s->has_starred && more->has_starred) {
		s->has_starred = true;
		s->starred = more->starred;
	}
	if (!s->has_taken && more->has_taken) {
		s->has_taken = true;
		s->taken_us = more->taken_us;
		s->zone_min = more->zone_min;
		s->time_source = more->time_source;
	}
	if (!s->has_rating && more->has_rating) {
		s->has_rating = true;
		s->rating = more->rating;
	}
	take_text(&s->comment, &more->comment);
	take_text(&s->documents, &more->documents);
	take_text(&s->event, &more->event);
	take_text(&s->origin, &more->origin);
	take_text(&s->extra, &more->extra);
	take_text(&s->unknown, &more->unknown);
	sidecar_done(more);
	*more = (struct sidecar){0};
}

static void drop_text(char **text, const char *better)
{
	if (!better)
		return;
	free(*text);
	*text = NULL;
}

/* Leaves of `s` what a better one does not say. */
static void leave(struct sidecar *s, const struct sidecar *better)
{
	if (better->labels.looked) {
		labels_done(&s->labels);
		s->labels = (struct labels){0};
	}
	if (better->has_starred)
		s->has_starred = false;
	if (better->has_rating)
		s->has_rating = false;
	drop_text(&s->comment, better->comment);
	drop_text(&s->documents, better->documents);
	drop_text(&s->event, better->event);
	drop_text(&s->origin, better->origin);
	drop_text(&s->extra, better->extra);
	drop_text(&s->unknown, better->unknown);
}

int sidecar_beside(struct ingest *in, const struct upload_row *picture, unsigned width,
		   unsigned height, struct sidecar *ret, struct companions *ret_list)
{
	const struct beside pic = {picture->name, width, height};
	CLEANUP(sidecar_done) struct sidecar all = {0};
	bool found = false;
	int r = sidecars_of(in, picture, ret_list);

	for (size_t i = 0; r == 0 && i < ret_list->n; i++) {
		struct sidecar one = {0};

		if (parse_entry(in, &ret_list->item[i].row, &pic, &one) < 0)
			continue;
		if (!found)
			all = one;
		else
			fill_in(&all, &one);
		found = true;
	}
	if (r < 0 || !found)
		return r < 0 ? r : -ENOENT;
	*ret = all;
	all = (struct sidecar){0};
	return 0;
}

/* ---- one that comes by itself ---- */

static void leave_to_better(struct ingest *in, const struct upload_row *row,
			    const struct upload_row *picture, const struct beside *pic,
			    struct sidecar *s)
{
	int rank = sidecar_rank(picture->name, row->name);
	struct companions list;

	if (sidecars_of(in, picture, &list) < 0)
		return;
	for (size_t i = 0; i < list.n && list.item[i].rank < rank; i++) {
		CLEANUP(sidecar_done) struct sidecar better = {0};

		if (parse_entry(in, &list.item[i].row, pic, &better) == 0)
			leave(s, &better);
	}
}

/* -ENOENT: its picture is not registered (yet), or its list of classes is not there. */
static int take_in(struct ingest *in, const struct upload_row *row, const struct buf *text,
		   char why[WHY_MAX])
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct upload_row picture;
	struct snap snap;
	int r = picture_beside(in, row, &picture);

	if (r == 0)
		r = catalog_snap(in->cat, picture.snapshot, &snap);
	if (r < 0)
		return r;
	const struct beside pic = {picture.name, snap.width, snap.height};

	r = parse_text(in, row, text, &pic, &s, why);
	if (r < 0)
		return r;
	leave_to_better(in, row, &picture, &pic, &s);
	in->active = true;
	r = catalog_merge_sidecar(in->cat, picture.snapshot, &s);
	if (r == 0)
		set_state(in, row, UPLOAD_KEPT, picture.snapshot, NULL);
	return r;
}

/* What is broken is told before its picture comes. */
static int judge(struct ingest *in, const struct upload_row *row, const struct buf *text,
		 char why[WHY_MAX])
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	char name[NAME_LIMIT + 1] = "";
	const struct beside pic = {.file = name};

	if (sidecar_picture(row->name, 0, name) < 0)
		name[0] = '\0';
	return parse_text(in, row, text, &pic, &s, why);
}

static int hold(struct ingest *in, const struct upload_row *row, const struct buf *text, bool final,
		char why[WHY_MAX])
{
	bool ours = has_suffix(row->name, ".json");
	int r = judge(in, row, text, why);

	if (r < 0 && r != -ENOENT)
		return r;
	if (final && row->state == UPLOAD_HELD) {
		/* any program may have left the others */
		set_state(in, row, ours ? UPLOAD_REJECTED : UPLOAD_KEPT, 0,
			  ours ? "its picture did not come within a day" : NULL);
		return 0;
	}
	look_later(in, row, UPLOAD_HELD, HELD_US);
	/* A picture that was registered just before did not see it held. */
	r = take_in(in, row, text, why);
	return r == -ENOENT ? 0 : r;
}

void consider_sidecar(struct ingest *in, struct entry *e, const struct upload_row *row, bool final)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	char why[WHY_MAX] = "";
	int r = read_entry(in, e->id, SIDECAR_BYTES, &text);
	bool txt = has_suffix(row->name, ".txt"), broken;

	if (r == -EFBIG)
		(void)snprintf(why, sizeof(why), "is larger than %d KiB: not a sidecar",
			       SIDECAR_BYTES >> 10);
	if (txt && (r == -EFBIG || (r == 0 && !may_be_yolo(&text)))) {
		set_state(in, row, UPLOAD_KEPT, 0, NULL);
		return;
	}
	if (r == 0)
		r = take_in(in, row, &text, why);
	if (r == -ENOENT)
		r = hold(in, row, &text, final, why);
	broken = r == -EBADMSG || r == -EFBIG;
	if (r == -EEXIST)
		set_state(in, row, UPLOAD_REJECTED, 0,
			  "has a document twice (\"documents\": one created_by, direction and "
			  "speed): remove one of the two");
	else if (r == -EINVAL || r == -E2BIG)
		set_state(in, row, UPLOAD_REJECTED, 0, SIDECAR_FULL);
	else if (broken && final)
		set_state(in, row, UPLOAD_REJECTED, 0, why);
	else if (broken)
		look_later(in, row, UPLOAD_WAITING, QUIET_US);
	else if (r < 0)
		try_later(in, row, r);
}
