/* verb_import.c - `import FILE...`: read where the user is, taken in where the catalog is; `import es NAME`. */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shutterfs/exchange.h"
#include "shutterfs/net.h"

enum { REFUSALS_SAID = 20 };

bool is_elastic(const struct args *args)
{
	return args->n_operands == 2 && strcmp(args->operand[0], "es") == 0;
}

const struct elastic_config *elastic_of(const struct config *conf, const char *name,
					struct elastic_config *own, struct io *io)
{
	struct url url;
	char *slash;

	for (size_t i = 0; i < conf->n_elastics; i++)
		if (strcmp(conf->elastic[i].name, name) == 0)
			return &conf->elastic[i];
	*own = (struct elastic_config){.name = (char *)name,
				       .url = strdup(name)}; /* name: borrowed */
	slash = own->url ? strrchr(own->url, '/') : NULL;
	if (!slash || url_parse(name, &url) < 0 || url.has_userinfo || strlen(url.path) < 2) {
		io_err(io,
		       "%s: the config has no [elastic \"%s\"], and it is no URL/INDEX (names and "
		       "passwords belong into the config)",
		       io->verb, url_parse(name, &url) == 0 ? "..." : name);
		free(own->url);
		return NULL;
	}
	*slash = '\0';
	own->index = slash + 1;
	return own;
}

static int format_of(const char *name, struct io *io, enum exchange_format *ret)
{
	for (int i = 0; i < EXCHANGE_ELASTIC; i++)
		if (!name || strcmp(name, exchange_format_name[i]) == 0) {
			*ret = (enum exchange_format)i;
			return 0;
		}
	io_err(io,
	       "import: there is no format \"%s\": auto, labels, coco, yolo, megadetector and "
	       "sidecars are there",
	       name);
	return -EINVAL;
}

struct import {
	struct io *io;
	struct exchange x;
	uint64_t said;
};

static void say_refused(void *user, const char *subject, const char *why)
{
	struct import *im = user;

	if (im->said++ < REFUSALS_SAID)
		io_err(im->io, "%s: %s", subject, why);
	else if (im->said == REFUSALS_SAID + 1)
		io_err(im->io, "... and more");
}

/* ---- where the user is ---- */

struct feeding {
	struct io *io;
	item_fn *fn;
	void *user;
	uint64_t refused;
};

static int hand_on(void *user, const char *item, size_t len)
{
	struct feeding *f = user;

	return f->fn(f->user, item, len);
}

static void count_refused(void *user, const char *subject, const char *why)
{
	struct feeding *f = user;

	f->refused++;
	io_err(f->io, "%s: %s", subject, why);
}

int import_feed(const struct args *args, struct io *io, item_fn *fn, void *user, bool *ret_failed)
{
	struct feeding f = {.io = io, .fn = fn, .user = user};
	enum exchange_format format;
	int r = format_of(args->format, io, &format);

	for (size_t i = 0; r == 0 && i < args->n_operands && !io_cancelled(io); i++)
		r = exchange_read(args->operand[i], format, hand_on, count_refused, &f);
	*ret_failed = r < 0 || f.refused > 0;
	return r == -EINVAL ? 0 : r;
}

/* ---- where the catalog is ---- */

static int take(void *user, const char *item, size_t len)
{
	struct import *im = user;
	struct progress p = {0};
	int r = exchange_record(&im->x, item, len);

	for (int i = 0; i < TAKEN_KINDS; i++)
		p.done += im->x.taken[i];
	io_progress(im->io, &p);
	return r < 0 ? r : io_cancelled(im->io) ? -ECANCELED : 0;
}

static int from_elastic(struct import *im, struct app *app, const struct args *args)
{
	struct elastic_config own = {0};
	const struct elastic_config *conf = elastic_of(app->conf, args->operand[1], &own, im->io);
	struct call c = io_call(im->io, 0);
	int r = conf ? exchange_elastic_import(&im->x, conf, &c) : -EINVAL;

	if (conf && r < 0)
		io_err(im->io, "import: %s", c.why);
	if (conf == &own)
		free(own.url);
	return r;
}

int verb_import(struct app *app, struct io *io, const struct args *args)
{
	struct import im = {
		.io = io,
		.x = {.cat = app->catalog, .by = "import", .trash_us = app->conf->trash_us}};
	bool failed = false;
	char text[256];
	int r;

	im.x.refused = say_refused;
	im.x.user = &im;
	if (is_elastic(args))
		r = from_elastic(&im, app, args);
	else if (io->fd >= 0)
		r = io_items(io, take, &im);
	else
		r = import_feed(args, io, take, &im, &failed);
	if (r < 0 && !is_elastic(args))
		io_err(io, "import: %s", r == -ECANCELED ? "cancelled" : strerror(-r));
	exchange_say(&im.x, text, sizeof(text));
	io_out(io, "%s", text);
	return r < 0 || failed || im.x.taken[TAKEN_UNKNOWN] || im.x.taken[TAKEN_BAD] ? EXIT_FAILED
										     : EXIT_DONE;
}
