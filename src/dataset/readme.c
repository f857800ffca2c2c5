/* readme.c - README.md: what Hugging Face's loader reads on top of it, and what people want to know. */
#include "private.h"

#include <stdio.h>

static uint64_t sum(const uint64_t n[DATASET_SPLITS])
{
	return n[DATASET_TRAIN] + n[DATASET_VALIDATION] + n[DATASET_TEST];
}

static void add_config(struct page *p, const char *name, const uint64_t n[DATASET_SPLITS],
		       const char *folder, const char *below)
{
	if (sum(n) == 0) /* the loader fails on a pattern that finds nothing */
		return;
	(void)buf_printf(p->out, "- config_name: %s\n  data_files:\n", name);
	for (int i = 0; i < DATASET_SPLITS; i++)
		if (n[i] > 0)
			(void)buf_printf(p->out, "  - split: %s\n    path: %s/%s/%s\n",
					 dataset_split_name[i], folder, dataset_split_name[i],
					 below);
}

static void add_class_names(struct page *p, const char *indent)
{
	(void)buf_printf(p->out, "%sclass_label:\n%s  names:\n", indent, indent);
	for (size_t i = 0; i < p->plan->classes.n; i++) {
		(void)buf_printf(p->out, "%s    '%zu': ", indent, i);
		page_quoted(p, p->plan->classes.item[i].name);
		(void)buf_str(p->out, "\n");
	}
}

static void add_features(struct page *p)
{
	static const char *const text[] = {"img_id", "camera", "taken", "caption"};

	(void)buf_str(p->out,
		      "- config_name: default\n  features:\n  - name: image\n    dtype: image\n");
	for (size_t i = 0; i < ARRAY_LEN(text); i++)
		(void)buf_printf(p->out, "  - name: %s\n    dtype: string\n", text[i]);
	if (p->plan->classes.n > 0) {
		(void)buf_str(p->out, "  - name: label\n    dtype:\n");
		add_class_names(p, "      ");
	}
	if (p->plan->hf_objects) {
		(void)buf_str(
			p->out,
			"  - name: objects\n    struct:\n    - name: bbox\n      sequence:\n"
			"        sequence: float64\n    - name: categories\n      sequence:\n");
		add_class_names(p, "        ");
	}
}

static void add_front(struct page *p)
{
	const struct plan *plan = p->plan;

	if (sum(plan->hf) == 0) /* nothing to load */
		return;
	(void)buf_str(p->out, "---\nconfigs:\n");
	add_config(p, "default", plan->hf, "hf", "*");
	add_config(p, "imagefolder", plan->classified, "imagefolder", "*/*");
	(void)buf_str(p->out, "dataset_info:\n");
	add_features(p);
	if (plan->classes.n > 0) {
		(void)buf_str(
			p->out,
			"- config_name: imagefolder\n  features:\n  - name: image\n    dtype: image\n"
			"  - name: label\n    dtype:\n");
		add_class_names(p, "      ");
	}
	(void)buf_str(p->out, "---\n\n");
}

static void add_row(struct page *p, const char *name, const uint64_t n[DATASET_SPLITS])
{
	(void)buf_printf(
		p->out, "| %s | %llu | %llu | %llu |\n", name, (unsigned long long)n[DATASET_TRAIN],
		(unsigned long long)n[DATASET_VALIDATION], (unsigned long long)n[DATASET_TEST]);
}

/* "|" would end the cell. */
static void add_class_row(struct page *p, const struct class *c)
{
	CLEANUP(buf_done) struct buf name = BUF(4 * CLASS_MAX);

	(void)buf_str(&name, "class ");
	for (const char *s = c->name; *s; s++) {
		if (*s == '|')
			(void)buf_str(&name, "\\");
		(void)buf_add(&name, s, 1);
	}
	if (!name.error)
		add_row(p, name.data, c->pictures);
}

static void add_table(struct page *p)
{
	const struct plan *plan = p->plan;

	(void)buf_str(p->out, "| | train | validation | test |\n|---|---|---|---|\n");
	add_row(p, "pictures", plan->pictures);
	add_row(p, "in imagefolder/", plan->classified);
	add_row(p, "in hf/", plan->hf);
	add_row(p, "in yolo/", plan->yolo);
	add_row(p, "in coco/", plan->coco);
	add_row(p, "boxes", plan->boxes);
	for (size_t i = 0; i < plan->classes.n; i++)
		add_class_row(p, &plan->classes.item[i]);
}

static void add_count(struct page *p, uint64_t n, const char *one, const char *several)
{
	if (n > 0)
		(void)buf_printf(p->out, "- %llu %s\n", (unsigned long long)n,
				 n == 1 ? one : several);
}

static void add_undetectable(struct page *p)
{
	const struct plan *plan = p->plan;

	add_count(
		p, plan->not_looked,
		"picture was never looked at (its sidecar has no \"labels\"): not in yolo/ and coco/",
		"pictures were never looked at (their sidecars have no \"labels\"): not in yolo/ and coco/");
	add_count(p, plan->only_unboxed, "picture has classes but no box: not in yolo/ and coco/",
		  "pictures have classes but no box: not in yolo/ and coco/");
	add_count(p, plan->unboxed, "label of a class has no box: not in yolo/ and coco/",
		  "labels of the classes have no box: not in yolo/ and coco/");
}

static void add_left_out(struct page *p)
{
	const struct plan *plan = p->plan;
	uint64_t all = sum(plan->pictures), named = sum(plan->classified);

	size_t before;

	(void)buf_str(p->out, "\n## Left out\n\n");
	before = p->out->len;
	add_count(p, all - named, "picture has no class: it is not in imagefolder/",
		  "pictures have no class: they are not in imagefolder/");
	add_count(p, plan->several, "picture has several classes: imagefolder/ has it under each",
		  "pictures have several classes: imagefolder/ has them under each");
	if (plan->spec.field)
		(void)buf_str(
			p->out,
			"- classes of documents have no boxes: yolo/ and coco/ have no pictures\n");
	else
		add_undetectable(p);
	add_count(p, plan->bad_boxes, "box lies outside of its picture",
		  "boxes lie outside of their pictures");
	add_count(
		p, plan->no_size,
		"picture's width and height were not known yet: not in coco/ and manifest.jsonl",
		"pictures' widths and heights were not known yet: not in coco/ and manifest.jsonl");
	add_count(p, plan->not_hf, "of these, which has boxes, is not in hf/ either",
		  "of these, which have boxes, are not in hf/ either");
	if (!plan->hf_objects && sum(plan->boxed) > 0)
		(void)buf_str(
			p->out,
			"- hf/ has no boxes: its loader wants some in every split, and there is "
			"one without\n");
	if (p->out->len == before)
		(void)buf_str(p->out, "Nothing.\n");
}

static void add_use(struct page *p)
{
	(void)buf_str(
		p->out,
		"\n## Use\n\n"
		"- PyTorch: `ImageFolder(\"imagefolder/train\")`, `CocoDetection(\"coco/train/data\", "
		"\"coco/train/labels.json\")`\n"
		"- Hugging Face: `load_dataset(\"DIR\")`, `load_dataset(\"DIR\", \"imagefolder\")`\n"
		"- Ultralytics: `yolo detect train data=yolo/data.yaml`, `yolo classify train data=imagefolder`\n"
		"- FiftyOne: `Dataset.from_dir(\"coco/train\", dataset_type=COCODetectionDataset)`\n"
		"- CVAT: connect this directory as a share, with `manifest.jsonl`\n"
		"- Label Studio: import `labelstudio/tasks.json`, the mount point as its document root\n\n"
		"The number of a class is the same everywhere (in COCO, one more). Splits are made by camera and day.\n");
}

void readme_begin(struct page *p)
{
	const struct spec *s = &p->plan->spec;

	add_front(p);
	(void)buf_printf(
		p->out,
		"# %llu pictures\n\nFrozen by shutterfs from this query:\n\n```json\n%s\n```\n\n",
		(unsigned long long)sum(p->plan->pictures), s->query);
	if (s->field)
		(void)buf_printf(p->out, "Classes: the field `%s` of the documents.\n\n", s->field);
	else if (s->kind)
		(void)buf_printf(p->out, "Classes: labels of the kind `%s`.\n\n", s->kind);
	else
		(void)buf_str(p->out, "No picture has a label: there are no classes.\n\n");
	add_table(p);
	add_left_out(p);
	add_use(p);
}
