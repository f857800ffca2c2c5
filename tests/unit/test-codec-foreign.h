/* test-codec-foreign.h - reads a sidecar of another program and shows what was understood as one line. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/codec.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct beside front = {.file = "IMG_1.jpg", .width = 200, .height = 100};
__attribute__((unused)) static const struct classes no_classes;

/* "kind/value@score[x y w h]by" of each label, then what else there is. */
static inline void show(const struct sidecar *s, struct buf *out)
{
	char iso[ISO_MAX];

	for (size_t i = 0; i < s->labels.n; i++) {
		const struct label *l = &s->labels.item[i];

		(void)buf_printf(out, "%s/%s", l->kind, l->value);
		if (!isnan(l->score))
			(void)buf_printf(out, "@%.3g", l->score);
		if (l->has_box)
			(void)buf_printf(out, "[%.3g %.3g %.3g %.3g]", l->box[0], l->box[1],
					 l->box[2], l->box[3]);
		(void)buf_printf(out, "%s ", l->by ? l->by : "");
	}
	if (s->labels.looked && s->labels.n == 0)
		(void)buf_str(out, "nothing ");
	if (s->comment)
		(void)buf_printf(out, "comment=%s ", s->comment);
	if (s->rating)
		(void)buf_printf(out, "rating=%u ", s->rating);
	if (s->has_starred)
		(void)buf_printf(out, "starred=%d ", s->starred);
	if (s->has_taken) {
		iso_format(s->taken_us, s->zone_min, iso);
		(void)buf_printf(out, "taken=%s ", iso);
	}
	if (s->documents)
		(void)buf_printf(out, "documents=%s ", s->documents);
	if (s->event)
		(void)buf_printf(out, "event=%s ", s->event);
	if (s->extra)
		(void)buf_printf(out, "extra=%s ", s->extra);
	if (out->len)
		out->data[--out->len] = '\0';
}

static inline void assert_reads(const char *name, const char *text, const struct classes *classes,
				const char *want)
{
	CLEANUP(buf_done) struct buf out = BUF(SIDECAR_BYTES);
	struct sidecar s;
	char why[WHY_MAX] = "";

	if (foreign_parse(name, text, strlen(text), &front, classes, &s, why) != 0)
		fail_msg("%s: %s", text, why);
	show(&s, &out);
	sidecar_done(&s);
	assert_string_equal(out.data ? out.data : "", want);
}

static inline void assert_bad(const char *name, const char *text, const struct classes *classes,
			      const char *want)
{
	struct sidecar s;
	char why[WHY_MAX] = "";

	assert_int_equal(foreign_parse(name, text, strlen(text), &front, classes, &s, why),
			 -EBADMSG);
	if (!strstr(why, want))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, why, want);
}
