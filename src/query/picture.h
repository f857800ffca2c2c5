/* picture.h - the picture that a query looks at. */
#pragma once

#include "private.h"

struct picture {
	const struct query *q;
	struct catalog *c;
	const struct snap *snap;
	bool has_labels, has_text;
	struct buf labels; /* "kind/value\0by\0" ... */
	struct picture_text text;
	struct camera_row camera;   /* of the picture before, mostly the same */
	struct buf value, all_text; /* used again and again */
	char name[STEM_MAX + 1];
	signed char *fact; /* owned; by clause: true, false, or not known yet */
};
int picture_new(struct picture *p, const struct query *q, struct catalog *c) MUST_CHECK;
void picture_done(struct picture *p); /* also after a failed picture_new */
int picture_matches(struct picture *p, const struct snap *s) MUST_CHECK; /* 1, 0, -errno */
