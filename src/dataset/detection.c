/* detection.c - what detectors are trained on: YOLO's texts and data.yaml, COCO's labels.json. */
#include "private.h"

#include <stdio.h>

/* ---- YOLO ---- */
/* Lines of one picture: class, and the box' centre and size, all 0..1.  A picture without a text is background. */
void yolo_member(struct page *p, const struct member *m)
{
	if (p->round > 0 || !m->in_detection)
		return;
	for (size_t i = 0; i < m->n_boxes; i++) {
		const struct box *b = &m->box[i];

		(void)buf_printf(p->out, "%zu %.6f %.6f %.6f %.6f\n", b->class,
				 b->v[0] + b->v[2] / 2, b->v[1] + b->v[3] / 2, b->v[2], b->v[3]);
	}
}

/* A string of JSON is one of YAML, too. */
void page_quoted(struct page *p, const char *text)
{
	p->json = (struct json){.out = p->out};
	json_string(&p->json, NULL, text);
}

/* No `path`: the file's own directory is the root then, wherever it is mounted.  Trainers need a val: without pictures for one, those
 * for testing serve, else those for training. */
void yolo_yaml(struct page *p)
{
	const uint64_t *n = p->plan->yolo;
	bool own = n[DATASET_VALIDATION] > 0;

	(void)buf_str(p->out, "train: images/train\n");
	if (own)
		(void)buf_str(p->out, "val: images/val\n");
	else
		(void)buf_printf(p->out, "val: images/%s # there are no pictures for validation\n",
				 n[DATASET_TEST] > 0 ? "test" : "train");
	if (n[DATASET_TEST] > 0)
		(void)buf_str(p->out, "test: images/test\n");
	(void)buf_printf(p->out, "nc: %zu\n", p->plan->classes.n);
	(void)buf_str(p->out, p->plan->classes.n ? "names:\n" : "names: {}\n");
	for (size_t i = 0; i < p->plan->classes.n; i++) {
		(void)buf_printf(p->out, "  %zu: ", i);
		page_quoted(p, p->plan->classes.item[i].name);
		(void)buf_str(p->out, "\n");
	}
}

/* ---- COCO ---- */
void coco_begin(struct page *p)
{
	p->json = (struct json){.out = p->out, .lines = true};
	json_object(&p->json, NULL);
	json_object(&p->json, "info");
	json_string(&p->json, "description", "pictures frozen by shutterfs");
	json_end(&p->json, '}');
	json_array(&p->json, "licenses");
	json_end(&p->json, ']');
	json_array(&p->json, "images");
}

static void coco_image(struct page *p, const struct member *m, int64_t id)
{
	char name[STEM_MAX + 8];

	(void)snprintf(name, sizeof(name), "%s.jpg", m->stem);
	json_object(&p->json, NULL);
	json_int(&p->json, "id", id);
	json_string(&p->json, "file_name", name);
	json_int(&p->json, "width", m->s.width);
	json_int(&p->json, "height", m->s.height);
	json_end(&p->json, '}');
}

static void coco_annotation(struct page *p, const struct member *m, const struct box *b,
			    int64_t image)
{
	char area[64];

	json_object(&p->json, NULL);
	json_int(&p->json, "id", (int64_t)++p->number);
	json_int(&p->json, "image_id", image);
	json_int(&p->json, "category_id", (int64_t)b->class + 1); /* 0 is the background */
	page_pixels(p, "bbox", m, b);
	(void)snprintf(area, sizeof(area), "%.2f", b->v[2] * m->s.width * b->v[3] * m->s.height);
	json_raw(&p->json, "area", area);
	json_array(&p->json, "segmentation");
	json_end(&p->json, ']');
	json_int(&p->json, "iscrowd", 0);
	json_end(&p->json, '}');
}

/* The first reading gives the images, the second the annotations. */
void coco_member(struct page *p, const struct member *m)
{
	if (!m->in_coco)
		return;
	p->image++;
	if (p->round == 0)
		coco_image(p, m, p->image);
	for (size_t i = 0; p->round > 0 && i < m->n_boxes; i++)
		coco_annotation(p, m, &m->box[i], p->image);
}

void coco_between(struct page *p)
{
	p->image = 0;
	json_end(&p->json, ']');
	json_array(&p->json, "annotations");
}

void coco_end(struct page *p)
{
	json_end(&p->json, ']');
	json_array(&p->json, "categories");
	for (size_t i = 0; i < p->plan->classes.n; i++) {
		json_object(&p->json, NULL);
		json_int(&p->json, "id", (int64_t)i + 1);
		json_string(&p->json, "name", p->plan->classes.item[i].name);
		json_string(&p->json, "supercategory",
			    p->plan->spec.kind ? p->plan->spec.kind : p->plan->spec.field);
		json_end(&p->json, '}');
	}
	json_end(&p->json, ']');
	json_end(&p->json, '}');
	(void)buf_str(p->out, "\n");
}
