/* dataset.h - datasets: a query frozen at a moment, as the trees that training programs read.
 *
 * Frozen are the pictures that match and all that their sidecars say then, as lines of JSON that travel to the stores (catalog notes
 * "datasets/<uid>/..."); from them alone follow, byte for byte, the texts of all formats (files in <state>/datasets/<id>/) and which
 * picture is in which directory (rows of the catalog), whatever happens to labels later, and also in a catalog that was made again.
 * Pictures are split by camera and day.  A picture that is gone, or has other bytes now, stays a member that cannot be read.
 * One worker freezes, one dataset after another; memory stays flat.  All calls may be made by any thread. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/catalog.h"
#include "shutterfs/codec.h"

extern const char *const dataset_split_name[DATASET_SPLITS]; /* "train" "validation" "test" */

enum dataset_file { /* the texts of a dataset */
		    DATASET_README,
		    DATASET_MANIFEST,                           /* CVAT */
		    DATASET_TASKS,                              /* Label Studio */
		    DATASET_YAML,                               /* YOLO's data.yaml */
		    DATASET_HF,                                 /* + split: metadata.jsonl */
		    DATASET_COCO = DATASET_HF + DATASET_SPLITS, /* + split: labels.json */
		    DATASET_BOXES =
			    DATASET_COCO +
			    DATASET_SPLITS, /* all texts of yolo/labels/, one behind the other */
		    DATASET_FILES
};
#define DATASET_QUERY_BYTES (64 * 1024) /* of query.json */

struct datasets;
/* Goes on with what was under way, and takes in what is among the notes. */
int datasets_open(struct catalog *c, const char *state_dir, struct datasets **ret) MUST_CHECK;
/* Ends the worker: what is being frozen goes on at the next start.  Callbacks have all come then. NULL in, NULL out. */
struct datasets *datasets_close(struct datasets *d);

int datasets_make(struct datasets *d, const char *name, int64_t *ret_id)
	MUST_CHECK; /* -EEXIST -EINVAL */
int datasets_rename(struct datasets *d, int64_t id, const char *name)
	MUST_CHECK; /* -EEXIST -EINVAL */
int datasets_remove(struct datasets *d, int64_t id)
	MUST_CHECK; /* its name at once, the rest in the background */
/* What is written to query.json freezes it, in the background.  -EROFS: it is frozen already, or about to be; -EINVAL: its row's
 * error says what is wrong with the text, which is kept. */
int datasets_freeze(struct datasets *d, int64_t id, const char *text, size_t len) MUST_CHECK;
/* `done` comes once, from the worker, when all that was asked for so far is done: 0, or why it is not frozen. */
typedef void dataset_done_fn(void *user, int err);
int datasets_wait(struct datasets *d, int64_t id, dataset_done_fn *done, void *user) MUST_CHECK;
#define DATASET_NOTES "datasets/" /* prefix of the keys of their notes */
/* One of these came or went. */
void datasets_look(struct datasets *d);

/* A text of a frozen dataset; the descriptor is the caller's. */
int datasets_text(struct datasets *d, int64_t id, enum dataset_file file, int *ret_fd) MUST_CHECK;
int datasets_text_size(struct datasets *d, int64_t id, enum dataset_file file, uint64_t *ret)
	MUST_CHECK;
/* Scratch files of training programs: rows of the catalog name them. */
int datasets_scratch(struct datasets *d, const struct dataset_scratch *s, int flags, int *ret_fd)
	MUST_CHECK; /* open(2)'s flags */
int datasets_scratch_remove(struct datasets *d, const struct dataset_scratch *s) MUST_CHECK;
