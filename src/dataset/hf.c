/* hf.c - Hugging Face's image folder with metadata, CVAT's manifest, and Label Studio's tasks. */
#include "private.h"

#include <stdio.h>

/* Corner and size in pixels, which is what COCO and Hugging Face mean by a box. */
void page_pixels(struct page *p, const char *key, const struct member *m, const struct box *b)
{
	json_array(&p->json, key);
	for (int i = 0; i < 4; i++)
		page_fixed(p, NULL, b->v[i] * (i % 2 ? m->s.height : m->s.width), 2);
	json_end(&p->json, ']');
}

static void hf_objects(struct page *p, const struct member *m)
{
	json_object(&p->json, "objects");
	json_array(&p->json, "bbox");
	for (size_t i = 0; i < m->n_boxes; i++)
		page_pixels(p, NULL, m, &m->box[i]);
	json_end(&p->json, ']');
	json_array(&p->json, "categories");
	for (size_t i = 0; i < m->n_boxes; i++)
		json_int(&p->json, NULL, (int64_t)m->box[i].class);
	json_end(&p->json, ']');
	json_end(&p->json, '}');
}

/* The loader infers types from the first rows, and an empty list has none: rows with boxes come first.  Every row has every key. */
void hf_member(struct page *p, const struct member *m)
{
	char name[STEM_MAX + 8], taken[ISO_MAX];

	if (!m->in_hf || p->round != (p->plan->hf_objects && m->n_boxes == 0 ? 1 : 0))
		return;
	(void)snprintf(name, sizeof(name), "%s.jpg", m->stem);
	iso_format(m->s.taken_us, m->s.zone_min, taken);
	p->json = (struct json){.out = p->out};
	json_object(&p->json, NULL);
	json_string(&p->json, "file_name", name);
	json_string(&p->json, "img_id", m->s.img_id);
	json_string(&p->json, "camera", m->s.camera);
	json_string(&p->json, "taken", taken);
	json_string(&p->json, "caption", m->s.comment ? m->s.comment : "");
	if (p->plan->classes.n > 0) /* -1: none */
		json_int(&p->json, "label", m->n_classes ? (int64_t)m->class[0] : -1);
	if (p->plan->hf_objects)
		hf_objects(p, m);
	json_end(&p->json, '}');
	(void)buf_str(p->out, "\n");
}

/* ---- CVAT ---- */
void cvat_begin(struct page *p)
{
	(void)buf_str(p->out, "{\"version\":\"1.0\"}\n{\"type\":\"images\"}\n");
}

void cvat_member(struct page *p, const struct member *m)
{
	char name[STEM_MAX + 32];

	if (p->round > 0 || !m->s.width || !m->s.height)
		return;
	(void)snprintf(name, sizeof(name), "hf/%s/%s", dataset_split_name[m->split], m->stem);
	p->json = (struct json){.out = p->out};
	json_object(&p->json, NULL);
	json_string(&p->json, "name", name);
	json_string(&p->json, "extension", ".jpg");
	json_int(&p->json, "width", m->s.width);
	json_int(&p->json, "height", m->s.height);
	json_object(&p->json, "meta");
	json_array(&p->json, "related_images");
	json_end(&p->json, ']');
	json_end(&p->json, '}');
	json_end(&p->json, '}');
	(void)buf_str(p->out, "\n");
}

/* ---- Label Studio ---- */
void studio_begin(struct page *p)
{
	p->json = (struct json){.out = p->out, .lines = true};
	json_array(&p->json, NULL);
}

static void studio_result(struct page *p, const struct member *m, const struct box *b)
{
	static const char *const key[] = {"x", "y", "width", "height"};
	char id[32];

	(void)snprintf(id, sizeof(id), "%zu", (size_t)(b - m->box));
	json_object(&p->json, NULL);
	json_string(&p->json, "id", id);
	json_string(&p->json, "from_name", "label");
	json_string(&p->json, "to_name", "image");
	json_string(&p->json, "type", "rectanglelabels");
	json_object(&p->json, "value");
	for (int i = 0; i < 4; i++) /* per cent of the picture */
		page_fixed(p, key[i], b->v[i] * 100, 4);
	json_int(&p->json, "rotation", 0);
	json_array(&p->json, "rectanglelabels");
	json_string(&p->json, NULL, p->plan->classes.item[b->class].name);
	json_end(&p->json, ']');
	json_end(&p->json, '}');
	json_end(&p->json, '}');
}

static void studio_choices(struct page *p, const struct member *m)
{
	json_object(&p->json, NULL);
	json_string(&p->json, "id", "choice");
	json_string(&p->json, "from_name", "choice");
	json_string(&p->json, "to_name", "image");
	json_string(&p->json, "type", "choices");
	json_object(&p->json, "value");
	json_array(&p->json, "choices");
	for (size_t i = 0; i < m->n_classes; i++)
		json_string(&p->json, NULL, p->plan->classes.item[m->class[i]].name);
	json_end(&p->json, ']');
	json_end(&p->json, '}');
	json_end(&p->json, '}');
}

/* Paths are those of cameras/, which no renaming of the dataset moves; the document root is the mount point. */
void studio_member(struct page *p, const struct member *m)
{
	char url[128 + STEM_MAX + CAMERA_MAX];

	if (p->round > 0)
		return;
	(void)snprintf(url, sizeof(url), "/data/local-files/?d=cameras/%s/%s/%s.jpg", m->s.camera,
		       m->day, m->stem);
	json_object(&p->json, NULL);
	json_object(&p->json, "data");
	json_string(&p->json, "image", url);
	json_string(&p->json, "img_id", m->s.img_id);
	json_string(&p->json, "camera", m->s.camera);
	json_end(&p->json, '}');
	json_array(&p->json, "predictions");
	if (m->n_classes > 0) {
		json_object(&p->json, NULL);
		json_string(&p->json, "model_version", "shutterfs");
		json_array(&p->json, "result");
		for (size_t i = 0; i < m->n_boxes; i++)
			studio_result(p, m, &m->box[i]);
		studio_choices(p, m);
		json_end(&p->json, ']');
		json_end(&p->json, '}');
	}
	json_end(&p->json, ']');
	json_end(&p->json, '}');
}

void studio_end(struct page *p)
{
	json_end(&p->json, ']');
	(void)buf_str(p->out, "\n");
}
