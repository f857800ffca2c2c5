/* verb_search.c - `search QUERY`: the pictures that match, while they are found. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shutterfs/codec.h"
#include "shutterfs/query.h"

/* Files are read where the user is: the mount opens no path that it is told. */
int search_read_file(struct args *args, struct io *io)
{
	const char *name = args->n_operands == 1 ? args->operand[0] : "";
	size_t len = strlen(name);
	bool is_stdin = strcmp(name, "-") == 0;
	int r;

	if (!is_stdin && (len <= 5 || strcmp(name + len - 5, ".json") != 0))
		return 0;
	args->text = BUF(QUERY_BYTES);
	r = read_file(AT_FDCWD, is_stdin ? "/dev/stdin" : name, QUERY_BYTES, &args->text);
	if (r == 0 && !args->text.len)
		r = -ENODATA;
	if (r < 0) {
		io_err(io, "search: %s: %s", name,
		       r == -EFBIG     ? "is longer than 64 KiB"
		       : r == -ENODATA ? "is empty"
				       : strerror(-r));
		return r;
	}
	args->operand[0] = args->text.data;
	return 0;
}

int search_compile(const char *const *word, size_t n, struct query **ret, char *why)
{
	if (n == 1 && word[0][strspn(word[0], "\xef\xbb\xbf \t\r\n")] == '{')
		return query_parse(word[0], strlen(word[0]), ret, why);
	return query_words(word, n, ret, why);
}

struct search {
	struct app *app;
	struct io *io;
	bool json, paths;
};

static bool stopped(void *user)
{
	const struct search *s = user;

	return io_cancelled(s->io) || s->io->broken;
}

static void print_path(const struct search *s, const struct snap *snap)
{
	const char *mountpoint = s->paths ? s->app->mountpoint : NULL;
	int y, m, d;

	civil_from_day(snap->day, &y, &m, &d);
	io_out(s->io, "%s%scameras/%s/%04d-%02d-%02d/%s.jpg", mountpoint ? mountpoint : "",
	       mountpoint ? "/" : "", snap->stem + strcspn(snap->stem, "_") + 1, y, m, d,
	       snap->stem);
}

/* A sidecar in one line. */
static int print_sidecar(const struct search *s, const struct snap *snap)
{
	CLEANUP(buf_done) struct buf text = BUF(SIDECAR_BYTES);
	CLEANUP(sidecar_done) struct sidecar sidecar = {0};
	int r = catalog_sidecar(s->app->catalog, snap->id, &sidecar);

	if (r == 0 && sidecar.state == STATE_SYNCED && !fetch_is_local(s->app->fetch, snap))
		sidecar.state = STATE_REMOTE;
	if (r == 0)
		r = sidecar_render(&sidecar, &text);
	if (r < 0)
		return r == -ENOENT ? 0 : r; /* gone this moment */
	for (char *p = text.data; (p = strpbrk(p, "\r\n"));)
		*p++ = ' ';
	text.data[text.len - 1] = '\0';
	io_text(s->io, text.data);
	return 0;
}

static int found(void *user, const struct snap *snap)
{
	const struct search *s = user;

	if (stopped(user))
		return -ECANCELED;
	if (s->json)
		return print_sidecar(s, snap);
	print_path(s, snap);
	return 0;
}

static int print_piece(void *user, const void *data, size_t len)
{
	const struct search *s = user;
	CLEANUP(freep) char *text = strndup(data, len);

	if (!text)
		return -ENOMEM;
	io_text(s->io, text);
	return stopped(user) ? -ECANCELED : 0;
}

int verb_search(struct app *app, struct io *io, const struct args *args)
{
	struct search s = {.app = app,
			   .io = io,
			   .json = args->given & OPT_JSON,
			   .paths = args->given & OPT_PATHS};
	struct query *q = NULL;
	char why[WHY_MAX];
	int r = search_compile(args->operand, args->n_operands, &q, why);

	if (r == -EBADMSG) {
		io_err(io, "search: the query: %s", why);
		return EXIT_USAGE;
	}
	if (r == 0)
		r = args->given & OPT_LABELS
			    ? query_labels(q, app->catalog, QUERY_LABELS, stopped, print_piece, &s)
			    : query_each(q, app->catalog, 0, stopped, found, &s);
	(void)query_free(q);
	if (r < 0 && !io->broken)
		io_err(io, "search: %s", r == -ECANCELED ? "cancelled" : strerror(-r));
	return r < 0 || io->broken ? EXIT_FAILED : EXIT_DONE;
}
