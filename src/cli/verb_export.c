/* verb_export.c - `export`: labels for other programs, while they are found; `export es NAME`. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shutterfs/exchange.h"
#include "shutterfs/query.h"

static bool stopped(void *user)
{
	const struct io *io = user;

	return io_cancelled(io) || io->broken;
}

static int print_line(void *user, const char *line)
{
	io_json(user, line);
	return stopped(user) ? -ECANCELED : 0;
}

static int print_piece(void *user, const void *data, size_t len)
{
	CLEANUP(freep) char *text = strndup(data, len);

	return text ? print_line(user, text) : -ENOMEM;
}

/* What is left out of a format is said, and is no failure. */
static int write_out(struct app *app, struct io *io, enum exchange_format format,
		     const struct query *q)
{
	CLEANUP(buf_done) struct buf tmp = BUF(8192);
	struct exchange_export x = {
		.cat = app->catalog, .write = print_line, .stop = stopped, .user = io};
	int r = buf_printf(&tmp, "%s/tmp", app->conf->state);

	if (r < 0)
		return r;
	x.tmp = tmp.data;
	if (format == EXCHANGE_LABELS)
		return query_labels(q, app->catalog, QUERY_LABELS, stopped, print_piece, io);
	r = exchange_write(&x, format, q);
	if (r == 0 && (x.not_looked || x.no_box))
		io_err(io,
		       "export: left out: %" PRIu64 " pictures that nobody looked at, %" PRIu64
		       " labels without a box",
		       x.not_looked, x.no_box);
	return r;
}

static int to_elastic(struct app *app, struct io *io, const char *name, const struct query *q)
{
	struct exchange x = {.cat = app->catalog, .by = "export"};
	struct elastic_config own = {0};
	const struct elastic_config *conf = elastic_of(app->conf, name, &own, io);
	struct call c = io_call(io, 0);
	int r = conf ? exchange_elastic_export(&x, conf, q, &c) : -EINVAL;

	if (conf == &own)
		free(own.url);
	if (!conf)
		return r;
	io_out(io,
	       "%" PRIu64 " sent, %" PRIu64 " were there already, %" PRIu64 " refused by the index",
	       x.sent, x.known, x.taken[TAKEN_BAD]);
	if (r < 0)
		io_err(io, "export: %s", c.why);
	return r == 0 && x.taken[TAKEN_BAD] ? -EBADMSG : r;
}

static int format_of(const struct args *args, struct io *io, enum exchange_format *ret)
{
	static const enum exchange_format known[] = {EXCHANGE_LABELS, EXCHANGE_COCO, EXCHANGE_YOLO,
						     EXCHANGE_ELASTIC};

	*ret = EXCHANGE_LABELS;
	for (size_t i = 0; args->format && i < ARRAY_LEN(known); i++)
		if (strcmp(args->format, exchange_format_name[known[i]]) == 0) {
			*ret = known[i];
			return 0;
		}
	if (args->format)
		io_err(io, "export: there is no format \"%s\": labels, coco, yolo and es are there",
		       args->format);
	return args->format ? -EINVAL : 0;
}

int verb_export(struct app *app, struct io *io, const struct args *args)
{
	enum exchange_format format;
	struct query *q = NULL;
	char why[WHY_MAX];
	int r = format_of(args, io, &format);

	if (r < 0)
		return EXIT_USAGE;
	if (args->n_operands && !is_elastic(args)) {
		io_err(io, "export: \"%s\" is not understood; files are named by -o",
		       args->operand[0]);
		return EXIT_USAGE;
	}
	r = search_compile(args->query ? &args->query : NULL, args->query ? 1 : 0, &q, why);
	if (r == -EBADMSG) {
		io_err(io, "export: the query: %s", why);
		return EXIT_USAGE;
	}
	if (r == 0 && args->n_operands)
		r = to_elastic(app, io, args->operand[1], q);
	else if (r == 0)
		r = write_out(app, io, format, q);
	(void)query_free(q);
	if (r < 0 && !args->n_operands && !io->broken)
		io_err(io, "export: %s", r == -ECANCELED ? "cancelled" : strerror(-r));
	return r < 0 ? EXIT_FAILED : EXIT_DONE;
}
