/* work.h - the worker's side of the dataset room: from a query to lines, from lines to rows and texts. */
#pragma once

#include "private.h"

/* ---- lines.c ---- */
struct lines_writer {
	struct catalog *catalog;
	const char *uid; /* borrowed */
	struct buf chunk;
	uint64_t n; /* chunks put */
};
void lines_writer_done(struct lines_writer *w);
void lines_begin(struct catalog *c, const char *uid, struct lines_writer *ret);
int lines_add(struct lines_writer *w, char *line, size_t len)
	MUST_CHECK; /* newlines in it become spaces */
int lines_end(struct lines_writer *w, const char *name, const char *query, int64_t frozen_us)
	MUST_CHECK;
struct head { /* what stands for a whole dataset; strings are owned */
	char *uid, *name, *query;
	int64_t frozen_us;
	uint64_t chunks;
};
void head_done(struct head *h);
int head_read(struct catalog *c, const char *uid, struct head *ret)
	MUST_CHECK; /* -ENOENT -EBADMSG */
int head_rename(struct catalog *c, const char *uid, const char *name) MUST_CHECK;
/* 0, or -ENOENT: not all of them are here yet. */
int lines_there(struct catalog *c, const struct head *h) MUST_CHECK;
int lines_read(struct catalog *c, const struct head *h, line_fn *fn, void *user) MUST_CHECK;
int lines_remove(struct catalog *c, const char *uid) MUST_CHECK;

/* ---- freeze.c ---- */
typedef bool stop_fn(void *user); /* the worker is to end */
/* The query's matches as they are now, as lines.  -ECANCELED; -EBADMSG with why: no query. */
int freeze_lines(struct catalog *c, const struct dataset_row *row, const char *query, stop_fn *stop,
		 void *user, char why[WHY_MAX]) MUST_CHECK;
/* Rows (unless they are there already) and texts, from the lines. */
struct derive {
	struct catalog *catalog;
	int64_t dataset;
	const struct head *head;
	bool rows;
	int dirfd; /* an empty directory for the texts */
	stop_fn *stop;
	void *user;
};
int derive(const struct derive *d) MUST_CHECK;
