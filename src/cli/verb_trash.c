/* verb_trash.c - `trash`: what is in it, what goes into it and what comes out of it again. */
#include "cli.h"

#include <errno.h>
#include <string.h>

struct list {
	struct io *io;
	uint64_t n;
};

static int say(void *user, const struct trash_row *row)
{
	struct list *l = user;
	struct civil due;

	civil_from_us(row->due_us, &due);
	io_out(l->io, "%s  until %04d-%02d-%02d %02d:%02d%s%s", row->snap.stem, due.year, due.month,
	       due.day, due.hour, due.min, row->who[0] ? "  by " : "", row->who);
	l->n++;
	return 0;
}

static int list(struct app *app, struct io *io)
{
	struct list l = {.io = io};
	int r = catalog_trash_due(app->catalog, INT64_MAX, UINT32_MAX, say, &l);

	if (r < 0) {
		io_err(io, "trash: %s", strerror(-r));
		return EXIT_FAILED;
	}
	if (l.n == 0)
		io_out(io, "the trash is empty");
	return EXIT_DONE;
}

/* "20201231T15-45-55-123456_front", also with its directory and extension. */
static void stem_of(const char *word, char out[STEM_MAX + 1])
{
	const char *slash = strrchr(word, '/'), *name = slash ? slash + 1 : word;
	size_t len = strcspn(name, ".");

	len = len < STEM_MAX ? len : STEM_MAX;
	memcpy(out, name, len);
	out[len] = '\0';
}

struct wanted {
	const char *stem;
	int64_t id;
};

static int match(void *user, const struct trash_row *row)
{
	struct wanted *w = user;

	if (strcmp(row->snap.stem, w->stem) != 0)
		return 0;
	w->id = row->snap.id;
	return 1;
}

static int restore(struct app *app, const char *stem)
{
	struct wanted w = {.stem = stem};
	int r = catalog_trash_due(app->catalog, INT64_MAX, UINT32_MAX, match, &w);

	if (r == 0)
		return -ENOENT;
	return r < 0 ? r : catalog_untrash(app->catalog, w.id);
}

static int throw_away(struct app *app, const char *stem)
{
	char camera[CAMERA_MAX + 1];
	struct civil c;
	struct snap s;
	unsigned dup;
	int r = stem_parse(stem, &c, &dup, camera);

	if (r == 0)
		r = catalog_find(app->catalog, (struct view){.kind = VIEW_ALL},
				 day_from_civil(c.year, c.month, c.day), stem, &s);
	if (r < 0)
		return -ENOENT;
	return catalog_trash(app->catalog, s.id, now_us() + app->conf->trash_us, "trash");
}

static const char *reason(int r, bool back)
{
	if (r == -ENOENT)
		return back ? "is not in the trash" : "there is no such picture";
	if (r == -EBUSY)
		return "a label, a label document or a star holds it: remove that first";
	return strerror(-r);
}

int verb_trash(struct app *app, struct io *io, const struct args *args)
{
	bool back = args->given & OPT_RESTORE;
	int status = EXIT_DONE;

	if (args->n_operands == 0 && back) {
		io_err(io, "trash: --restore needs the pictures to bring back");
		return EXIT_USAGE;
	}
	if (args->n_operands == 0)
		return list(app, io);
	for (size_t i = 0; i < args->n_operands && !io_cancelled(io); i++) {
		char stem[STEM_MAX + 1];
		int r;

		stem_of(args->operand[i], stem);
		r = back ? restore(app, stem) : throw_away(app, stem);
		if (r == 0)
			continue;
		io_err(io, "trash: %s: %s", args->operand[i], reason(r, back));
		status = EXIT_FAILED;
	}
	return status;
}
