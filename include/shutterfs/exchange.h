/* exchange.h - label documents and labels that come from other systems, and go to them: batch files, COCO, YOLO, Elasticsearch.
 *
 * A record says something about one picture, which it names by img_id, stem, or the name of a file.  It is judged by itself: what
 * is wrong with one is told, and the others go on.  Nothing here is thread-safe: a struct exchange belongs to one thread. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/catalog.h"
#include "shutterfs/codec.h"

enum taken {
	TAKEN_ADDED,   /* the picture has it now */
	TAKEN_SAME,    /* it had it: a duplicate */
	TAKEN_REMOVED, /* "to_delete": the document is gone */
	TAKEN_TRASHED, /* ... and the picture, which nothing else held */
	TAKEN_UNKNOWN, /* there is no such picture */
	TAKEN_BAD,     /* it cannot be kept */
	TAKEN_KINDS
};
/* Something was not taken, and why: one sentence. */
typedef void refused_fn(void *user, const char *subject, const char *why);
struct exchange {
	struct catalog *cat;
	const char *by;     /* who, in the histories of pictures */
	const char *camera; /* the only one whose pictures are meant; NULL: any */
	int64_t trash_us;   /* how long a picture that goes can be had back */
	refused_fn *refused;
	void *user;
	/* out */
	uint64_t taken[TAKEN_KINDS];
};
/* "3 taken in, 1 duplicate, ..." */
void exchange_say(const struct exchange *x, char *out, size_t size);

/* ---- records ---- */
/* A label document.  snapshot 0: the picture that `name`, or if it is NULL its img_id, names.  fp1 (or NULL): its fingerprint, ""
 * when it has none. `why` is set for SAME, UNKNOWN and BAD.  0 whatever becomes of it; -errno: it could not be tried. */
int exchange_document(struct exchange *x, int64_t snapshot, const char *name, const char *text,
		      size_t len, enum taken *ret, char fp1[33], char why[WHY_MAX]) MUST_CHECK;
/* Labels, comment, rating, star: added to what the picture has; nothing is taken away. */
int exchange_sidecar(struct exchange *x, const char *name, const struct sidecar *s, enum taken *ret,
		     char why[WHY_MAX]) MUST_CHECK;
/* Counts it, and tells what was not taken. */
void exchange_count(struct exchange *x, const char *subject, enum taken t, const char *why);
