/* render.c - the texts of a dataset, and how one is written: begin, each member, between, each member again, end. */
#include "private.h"

#include <stdio.h>
#include <string.h>

const struct format dataset_formats[] = {
	{.file = DATASET_README, .begin = readme_begin},
	{.file = DATASET_MANIFEST, .begin = cvat_begin, .member = cvat_member},
	{.file = DATASET_TASKS, .begin = studio_begin, .member = studio_member, .end = studio_end},
	{.file = DATASET_YAML, .begin = yolo_yaml},
	{.file = DATASET_HF, .by_split = true, .member = hf_member},
	{.file = DATASET_COCO,
	 .by_split = true,
	 .begin = coco_begin,
	 .member = coco_member,
	 .between = coco_between,
	 .end = coco_end},
	{.file = DATASET_BOXES, .member = yolo_member},
};
const size_t dataset_n_formats = ARRAY_LEN(dataset_formats);

void page_fixed(struct page *p, const char *key, double v, int decimals)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%.*f", decimals, v);
	json_raw(&p->json, key, text);
}
