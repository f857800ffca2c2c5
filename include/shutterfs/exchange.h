/* exchange.h - label documents and labels that come from other systems, and go to them: batch files, COCO, YOLO, Elasticsearch.
 *
 * A record says something about one picture, which it names by img_id, stem, or the name of a file.  It is judged by itself: what
 * is wrong with one is told, and the others go on.  Nothing here is thread-safe: a struct exchange belongs to one thread. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/catalog.h"
#include "shutterfs/codec.h"
#include "shutterfs/config.h"

struct query;

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
	uint64_t known, sent; /* Elasticsearch: what the ledger knew, what was sent */
};
/* "3 taken in, 1 duplicate, ..." */
void exchange_say(const struct exchange *x, char *out, size_t size);

/* ---- records ---- */
/* A label document, or a sidecar of ours in its place, whose labels are added.  snapshot 0: the picture that `name`, or if it is NULL its img_id, names.  fp1 (or NULL): its fingerprint, ""
 * when it has none. `why` is set for SAME, UNKNOWN and BAD.  0 whatever becomes of it; -errno: it could not be tried. */
int exchange_document(struct exchange *x, int64_t snapshot, const char *name, const char *text,
		      size_t len, enum taken *ret, char fp1[33], char why[WHY_MAX]) MUST_CHECK;
/* Labels, comment, rating, star: added to what the picture has; nothing is taken away. */
int exchange_sidecar(struct exchange *x, const char *name, const struct sidecar *s, enum taken *ret,
		     char why[WHY_MAX]) MUST_CHECK;
/* Counts it, and tells what was not taken. */
void exchange_count(struct exchange *x, const char *subject, enum taken t, const char *why);

/* ---- files: read where the user is, and taken in where the catalog is, record by record ---- */
#define RECORD_BYTES (2 * SIDECAR_BYTES) /* of one, as JSON text */
enum exchange_format {
	EXCHANGE_AUTO, /* by each file's name and shape */
	EXCHANGE_LABELS,
	EXCHANGE_COCO, /* and Camera Traps */
	EXCHANGE_YOLO,
	EXCHANGE_MEGADETECTOR,
	EXCHANGE_SIDECARS,
	EXCHANGE_ELASTIC, /* to write only */
	EXCHANGE_FORMATS
};
/* "auto" "labels" "coco" "yolo" "megadetector" "sidecars" "es" */
extern const char *const exchange_format_name[EXCHANGE_FORMATS];
typedef int record_fn(void *user, const char *item, size_t len);
/* A file, or all that is known in a directory and below.  Files that cannot be read and what is wrong in them go to `refused`.
 * Non-zero from fn ends it and is returned. */
int exchange_read(const char *path, enum exchange_format format, record_fn *fn, refused_fn *refused,
		  void *user) MUST_CHECK;
/* Takes a record in, and counts it. */
int exchange_record(struct exchange *x, const char *item, size_t len) MUST_CHECK;

struct exchange_export {
	struct catalog *cat;
	const char *tmp;                            /* a directory for a file that has no name */
	int (*write)(void *user, const char *line); /* without its end */
	bool (*stop)(void *user);
	void *user;
	/* out: pictures that nobody looked at, and labels without a box, are left out of COCO and YOLO */
	uint64_t not_looked, no_box;
};
/* COCO: one JSON text, file_name as in the tree.  YOLO: {"file":NAME,"lines":[...]} for each file of it.  ELASTIC: lines for _bulk. */
int exchange_write(struct exchange_export *x, enum exchange_format format, const struct query *q)
	MUST_CHECK;

/* ---- Elasticsearch: a ledger of what went and came, by id, so that nothing is transferred twice ---- */
/* call->why says what happened on failure. */
int exchange_elastic_import(struct exchange *x, const struct elastic_config *conf,
			    struct call *call) MUST_CHECK;
int exchange_elastic_export(struct exchange *x, const struct elastic_config *conf,
			    const struct query *q, struct call *call) MUST_CHECK;
