/* foreign.h - what the readers of other programs' sidecars share. */
#pragma once

#include "shutterfs/codec.h"

#include <cjson/cJSON.h>

/* Adds a label; texts without a letter are passed over.  `box` NULL: none; normalised. */
int foreign_label(struct sidecar *s, const char *kind, const char *value, double score,
		  const double *box, const char *by, char *why) MUST_CHECK;
/* "kind/value" or a plain value, as in our own sidecars. */
int foreign_tag(struct sidecar *s, const char *text, char *why) MUST_CHECK;
int foreign_comment(struct sidecar *s, const char *text, char *why) MUST_CHECK;
int foreign_copy(const char *text, char **field) MUST_CHECK; /* in place of what it had */
/* x, y, width, height in pixels as parts of a picture; false: not a box in one of that size. */
bool foreign_box_pixels(const double px[4], double width, double height, double ret[4]);
bool foreign_box_ok(const double box[4]); /* as detectors report them: a little over the edge */
/* Exactly n finite numbers. */
bool foreign_numbers(const cJSON *v, double *ret, int n);
const char *foreign_string(const cJSON *object, const char *key); /* NULL: it is none */
/* NAN: it is none. */
double foreign_number(const cJSON *object, const char *key);
/* Both names mean one file: the last parts of the paths, with or without their extensions. */
bool foreign_same_file(const char *a, const char *b);

/* foreign-boxes.c: a document of COCO, COCO Camera Traps or MegaDetector, as it concerns one picture */
int coco_one(const cJSON *doc, const struct beside *pic, struct sidecar *ret, char *why) MUST_CHECK;
int megadetector_one(const cJSON *doc, const struct beside *pic, struct sidecar *ret, char *why)
	MUST_CHECK;

/* xmp.c, yolo.c */
int xmp_parse(const char *text, size_t len, struct sidecar *ret, char *why) MUST_CHECK;
int yolo_parse(const char *text, size_t len, const struct classes *classes, struct sidecar *ret,
	       char *why) MUST_CHECK;
