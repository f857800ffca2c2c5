/* private.h - what the files of the dataset room share.
 *
 * The members of a dataset are lines of JSON, each a picture's sidecar as it was when the dataset was frozen.  From them everything
 * else follows, by pure functions of the line and of what a first reading of all lines counted (struct plan): split, classes, and
 * each text of the tree.  Nothing here keeps a table of pictures. */
#pragma once

#include "shutterfs/codec.h"
#include "shutterfs/dataset.h"
#include "shutterfs/model.h"

#define LOG_ROOM "dataset"

enum {
	CLASS_MAX = 2 * LABEL_MAX + 16, /* bytes of a class' name */
	CLASSES_MAX = 65536,
};

/* ---- spec.c: what query.json asks for ---- */
struct spec {
	char *query; /* owned: the query alone, JSON */
	char *kind; /* owned: labels of this kind are the classes; NULL with field NULL: of the kind that most pictures have */
	char *field;                  /* owned: this field of the documents is the class */
	char *seed;                   /* owned: "" when none was given */
	double share[DATASET_SPLITS]; /* they add up to 1 */
};
void spec_done(struct spec *s);
int spec_parse(const char *text, size_t len, struct spec *ret, char why[WHY_MAX]) MUST_CHECK;
/* By the camera and the day, so that pictures of one scene never come into two splits. */
enum dataset_split split_of(const struct spec *s, const char *camera, const char *day);

/* ---- classes.c ---- */
/* A label's value as a directory that no loader takes for the name of a split: "train" -> "class=train". */
void class_name_from(const char *value, char out[CLASS_MAX + 1]);
struct class
{
	char *name; /* owned */
	uint64_t pictures[DATASET_SPLITS];
};
struct class_set {          /* by name */
	struct class *item; /* owned */
	size_t n, room;
};
void class_set_done(struct class_set *c);
/* -ENOENT; the place in the order is the class' number. */
int class_set_find(const struct class_set *c, const char *name, size_t *ret) MUST_CHECK;
int class_set_add(struct class_set *c, const char *name, size_t *ret) MUST_CHECK; /* -E2BIG */

/* ---- member.c: one line ---- */
struct box {
	size_t class;
	double v[4]; /* x, y, width, height, within 0..1 */
};
struct member {
	struct sidecar s;
	char stem[STEM_MAX + 1], day[16];
	enum dataset_split split;
	size_t *class; /* owned: each once, in the order of its labels */
	size_t n_classes;
	struct box *box; /* owned */
	size_t n_boxes;
	unsigned unboxed,
		bad_boxes; /* labels of the classes without a box; with one that is none */
	bool in_hf, in_detection, in_coco;
};
void member_done(struct member *m);

struct plan { /* what all lines together say */
	struct spec spec;
	struct class_set classes;
	uint64_t pictures[DATASET_SPLITS], classified[DATASET_SPLITS], hf[DATASET_SPLITS],
		yolo[DATASET_SPLITS], coco[DATASET_SPLITS],
		boxed[DATASET_SPLITS] /* pictures of hf that have boxes */, boxes[DATASET_SPLITS];
	uint64_t several, not_looked, only_unboxed, unboxed, bad_boxes, no_size, not_hf;
	bool hf_objects; /* rows of hf have "objects": every split can show its type */
	struct class_set
		kinds; /* until it is settled: how many pictures have each kind, in pictures[0] */
};
void plan_done(struct plan *p);
int member_parse(const struct plan *p, const char *line, size_t len, struct member *ret) MUST_CHECK;
int plan_kinds(void *user, const char *line, size_t len)
	MUST_CHECK; /* line_fn: the first reading, if the spec has no classes */
void plan_settle(struct plan *p);
int plan_count(void *user, const char *line, size_t len) MUST_CHECK; /* line_fn: the next */
void plan_end(struct plan *p);

/* ---- write.c ---- */
typedef int line_fn(void *user, const char *line, size_t len); /* without the newline */
struct writer {
	/* All lines in their order, each time the same. */
	int (*lines)(void *user, line_fn *fn, void *fn_user);
	/* Once for each member, in order; where its lines of DATASET_BOXES are.  NULL: nobody wants to know. */
	int (*row)(void *user, const struct member *m, uint64_t boxes_at, uint64_t boxes_len);
	void *user;
};
int plan_make(struct plan *p, const struct writer *w) MUST_CHECK; /* p: its spec is set */
/* All texts, synced, into an empty directory. */
int dataset_write(const struct plan *p, const struct writer *w, int dirfd) MUST_CHECK;
extern const char *const dataset_file_name[DATASET_FILES]; /* there */

/* ---- render.c and the formats: texts, from the members in their order, read twice ---- */
struct page { /* a text being written; the buffer is emptied into its file between members */
	const struct plan *plan;
	enum dataset_split split;
	unsigned round;  /* 0: first reading, 1: second */
	int64_t image;   /* of COCO: the number of the picture */
	uint64_t number; /* ... and of the annotation */
	struct json json;
	struct buf *out;
};
struct format {
	enum dataset_file file; /* of the first split, when it is by split */
	bool by_split;
	void (*begin)(struct page *p); /* each may be NULL */
	void (*member)(struct page *p, const struct member *m);
	void (*between)(struct page *p);
	void (*end)(struct page *p);
};
extern const struct format dataset_formats[];
extern const size_t dataset_n_formats;
void hf_member(struct page *p, const struct member *m);
void yolo_member(struct page *p, const struct member *m);
void yolo_yaml(struct page *p);
void coco_begin(struct page *p);
void coco_member(struct page *p, const struct member *m);
void coco_between(struct page *p);
void coco_end(struct page *p);
void cvat_begin(struct page *p);
void cvat_member(struct page *p, const struct member *m);
void studio_begin(struct page *p);
void studio_member(struct page *p, const struct member *m);
void studio_end(struct page *p);
void readme_begin(struct page *p);
/* A number as JSON with exactly so many decimals: readers that infer types see one type. */
void page_fixed(struct page *p, const char *key, double v, int decimals);
void page_pixels(struct page *p, const char *key, const struct member *m, const struct box *b);
void page_quoted(struct page *p, const char *text);
