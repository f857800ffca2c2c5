/* foreign-boxes.c - what a document of COCO, COCO Camera Traps or MegaDetector says about one picture. */
#include "foreign.h"
#include "text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The one image, or of several the one with this picture's name. */
static int find_image(const cJSON *doc, const char *file_key, const struct beside *pic,
		      const cJSON **ret, char *why)
{
	const cJSON *images = cJSON_GetObjectItemCaseSensitive(doc, "images"), *image;

	if (cJSON_GetArraySize(images) == 1) {
		*ret = cJSON_GetArrayItem(images, 0);
		return 0;
	}
	cJSON_ArrayForEach (image, images) {
		const char *file = foreign_string(image, file_key);

		if (file && foreign_same_file(file, pic->file)) {
			*ret = image;
			return 0;
		}
	}
	why_set(why, "is about %d pictures, none of them %s; take it in with: shutterfs import",
		cJSON_GetArraySize(images), pic->file);
	return -EBADMSG;
}

static int not_numbers(char *why, const char *what)
{
	why_set(why, "has a %s that is not four numbers for a box in the picture", what);
	return -EBADMSG;
}

/* ---- COCO ---- */

/* Ids are numbers in COCO and strings in camera traps. */
static bool same_id(const cJSON *a, const cJSON *b)
{
	if (cJSON_IsString(a) && cJSON_IsString(b))
		return strcmp(a->valuestring, b->valuestring) == 0;
	return cJSON_IsNumber(a) && cJSON_IsNumber(b) && a->valuedouble == b->valuedouble;
}

static const char *coco_category(const cJSON *doc, const cJSON *id)
{
	const cJSON *c;

	cJSON_ArrayForEach (c, cJSON_GetObjectItemCaseSensitive(doc, "categories")) {
		if (same_id(cJSON_GetObjectItemCaseSensitive(c, "id"), id))
			return foreign_string(c, "name");
	}
	return NULL;
}

/* 1: it has a box, 0: it has none. */
static int coco_box(const cJSON *annotation, double width, double height, double ret[4], char *why)
{
	const cJSON *parts = cJSON_GetObjectItemCaseSensitive(annotation, "bbox_relative");
	const cJSON *pixels = cJSON_GetObjectItemCaseSensitive(annotation, "bbox");
	double px[4];

	if (cJSON_IsArray(parts)) {
		if (!foreign_numbers(parts, ret, 4) || !foreign_box_ok(ret))
			return not_numbers(why, "\"bbox_relative\"");
		return 1;
	}
	if (!cJSON_IsArray(pixels) || cJSON_GetArraySize(pixels) == 0)
		return 0;
	if (!foreign_numbers(pixels, px, 4))
		return not_numbers(why, "\"bbox\"");
	if (!(width > 0) || !(height > 0))
		return 0;
	return foreign_box_pixels(px, width, height, ret) ? 1 : not_numbers(why, "\"bbox\"");
}

static int coco_annotation(const cJSON *doc, const cJSON *a, double width, double height,
			   struct sidecar *s, char *why)
{
	const cJSON *id = cJSON_GetObjectItemCaseSensitive(a, "category_id");
	const char *name = coco_category(doc, id), *kind = foreign_string(a, "kind");
	const char *by = foreign_string(a, "by");
	double box[4];
	int r = coco_box(a, width, height, box, why);

	if (r < 0)
		return r;
	if (!name) {
		why_set(why, "has an annotation whose category_id is not among its categories");
		return -EBADMSG;
	}
	/* Camera traps: somebody looked, and there is nothing. */
	if (cJSON_IsNumber(id) && id->valuedouble == 0 && strcmp(name, "empty") == 0) {
		s->labels.looked = true;
		return 0;
	}
	return foreign_label(s, kind ? kind : "object", name, foreign_number(a, "score"),
			     r ? box : NULL, by ? by : "coco", why);
}

int coco_one(const cJSON *doc, const struct beside *pic, struct sidecar *s, char *why)
{
	const cJSON *image = NULL, *a, *id;
	double width, height;
	const char *time;
	int r = find_image(doc, "file_name", pic, &image, why);

	if (r < 0)
		return r;
	id = cJSON_GetObjectItemCaseSensitive(image, "id");
	width = foreign_number(image, "width");
	height = foreign_number(image, "height");
	if (!(width > 0) || !(height > 0)) {
		width = pic->width;
		height = pic->height;
	}
	s->labels.looked = cJSON_HasObjectItem(doc, "annotations");
	cJSON_ArrayForEach (a, cJSON_GetObjectItemCaseSensitive(doc, "annotations")) {
		if (!same_id(cJSON_GetObjectItemCaseSensitive(a, "image_id"), id))
			continue;
		r = coco_annotation(doc, a, width, height, s, why);
		if (r < 0)
			return r;
	}
	time = foreign_string(image, "datetime");
	s->has_taken = time && iso_parse(time, &s->taken_us, &s->zone_min) == 0;
	return 0;
}

/* ---- MegaDetector ---- */

/* Detections below what its makers take for one are noise that it lists all the same. */
static double megadetector_least(const cJSON *doc)
{
	const cJSON *info = cJSON_GetObjectItemCaseSensitive(doc, "info");
	const cJSON *meta = cJSON_GetObjectItemCaseSensitive(info, "detector_metadata");
	double n = foreign_number(meta, "typical_detection_threshold");

	return isnan(n) ? 0 : n;
}

/* The classifications of a detection are best first. */
static int species(const cJSON *doc, const cJSON *detection, const double *box, struct sidecar *s,
		   char *why)
{
	const cJSON *names = cJSON_GetObjectItemCaseSensitive(doc, "classification_categories");
	const cJSON *best = cJSON_GetArrayItem(
		cJSON_GetObjectItemCaseSensitive(detection, "classifications"), 0);
	const cJSON *id = cJSON_GetArrayItem(best, 0), *score = cJSON_GetArrayItem(best, 1);
	const char *name = cJSON_IsString(id) ? foreign_string(names, id->valuestring) : NULL;

	if (!name)
		return 0;
	return foreign_label(s, "species", name, cJSON_IsNumber(score) ? score->valuedouble : NAN,
			     box, "megadetector", why);
}

int megadetector_one(const cJSON *doc, const struct beside *pic, struct sidecar *s, char *why)
{
	const cJSON *image = NULL, *d, *list;
	const cJSON *names = cJSON_GetObjectItemCaseSensitive(doc, "detection_categories");
	double least = megadetector_least(doc);
	int r = find_image(doc, "file", pic, &image, why);

	if (r < 0)
		return r;
	list = cJSON_GetObjectItemCaseSensitive(image, "detections");
	/* with a failure nobody has looked */
	s->labels.looked = cJSON_IsArray(list);
	cJSON_ArrayForEach (d, list) {
		const char *category = foreign_string(d, "category");
		const char *name = category ? foreign_string(names, category) : NULL;
		double box[4], conf = foreign_number(d, "conf");

		if (!name) {
			why_set(why,
				"has a detection whose category is not in detection_categories");
			return -EBADMSG;
		}
		if (conf < least)
			continue;
		if (!foreign_numbers(cJSON_GetObjectItemCaseSensitive(d, "bbox"), box, 4) ||
		    !foreign_box_ok(box))
			return not_numbers(why, "\"bbox\"");
		r = foreign_label(s, "object", name, conf, box, "megadetector", why);
		if (r == 0)
			r = species(doc, d, box, s, why);
		if (r < 0)
			return r;
	}
	return 0;
}
