/* foreign-targets.c - what other programs wrote about pictures: label documents, their sidecars, classes, big JSON files. */
#include "target.h"

#include "foreign.h"

#include <errno.h>
#include <string.h>

static int run_document(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	struct label_document d = {0}, again = {0};
	char said[WHY_MAX];
	int r = label_document_parse((const char *)data, len, "20201231T15-45-55-123456", &d, why);

	holds_line(why);
	if (r < 0) {
		HOLDS(why[0] && (r == -EBADMSG || r == -EFBIG));
		return r;
	}
	HOLDS(strlen(d.fp1) == 32 && d.body);
	/* it carries its fingerprint, which is no part of what makes it */
	if (strlen(d.body) < SIDECAR_BYTES / 2) {
		HOLDS(label_document_parse(d.body, strlen(d.body), "20201231T15-45-55-123456",
					   &again, said) == 0);
		HOLDS(strcmp(d.fp1, again.fp1) == 0 &&
		      memcmp(&d.fp2, &again.fp2, sizeof(d.fp2)) == 0);
		label_document_done(&again);
	}
	(void)snprintf(why, TARGET_WHY, "by %.100s", d.created_by ? d.created_by : "nobody");
	label_document_done(&d);
	return r;
}

/* The sidecar's name, a new line, the sidecar.  What was understood can be kept as one of ours. */
static int run_foreign(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	static char person[] = "person", car[] = "car";
	char *name[] = {person, car};
	const struct classes classes = {name, ARRAY_LEN(name)};
	const struct beside pic = {"IMG_0001.jpg", 1920, 1080};
	CLEANUP(sidecar_done) struct sidecar s = {0}, again = {0};
	CLEANUP(buf_done) struct buf text = BUF(8 * SIDECAR_BYTES);
	const uint8_t *body = memchr(data, '\n', len);
	CLEANUP(freep) char *called = NULL;
	char said[WHY_MAX];
	int r;

	if (!body)
		return -EINVAL;
	called = text_of(data, (size_t)(body - data));
	body++;
	r = foreign_parse(called, (const char *)body, len - (size_t)(body - data), &pic, &classes,
			  &s, why);
	holds_line(why);
	if (r < 0) {
		HOLDS(why[0] && (r == -EBADMSG || r == -EFBIG));
		return r;
	}
	HOLDS(sidecar_render(&s, &text) == 0);
	if (text.len <= SIDECAR_BYTES)
		HOLDS(sidecar_parse(text.data, text.len, &again, said) == 0 &&
		      again.labels.n == s.labels.n);
	(void)snprintf(why, TARGET_WHY, "labels %zu%s%s", s.labels.n, s.has_taken ? " taken" : "",
		       s.comment ? " comment" : "");
	return r;
}

/* The file's name, a new line, the list. */
static int run_classes(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	const uint8_t *body = memchr(data, '\n', len);
	CLEANUP(freep) char *called = NULL;
	struct classes c = {0};
	int r;

	if (!body)
		return -EINVAL;
	called = text_of(data, (size_t)(body - data));
	body++;
	r = classes_parse(called, (const char *)body, len - (size_t)(body - data), &c, why);
	holds_line(why);
	if (r < 0) {
		HOLDS(why[0]);
		return r;
	}
	(void)snprintf(why, TARGET_WHY, "classes %zu", c.n);
	classes_done(&c);
	return r;
}

struct items {
	size_t n, bytes;
};

static int on_item(void *user, const char *key, const char *raw, size_t len)
{
	struct items *i = user;

	HOLDS(strlen(raw) == len && len > 0);
	i->n++;
	i->bytes += len;
	return 0;
}

static int stream(const uint8_t *data, size_t len, size_t step, struct items *ret,
		  char why[WHY_MAX])
{
	struct json_stream *s = NULL;
	int r = json_stream_new(65536, on_item, ret, &s);

	HOLDS(r == 0);
	for (size_t at = 0; r == 0 && at < len; at += step)
		r = json_stream_feed(s, (const char *)data + at, len - at < step ? len - at : step,
				     why);
	if (r == 0)
		r = json_stream_end(s, why);
	(void)json_stream_free(s);
	return r;
}

/* In pieces of any size it says the same. */
static int run_stream(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	struct items whole = {0}, pieces = {0};
	char said[WHY_MAX] = "";
	int r = stream(data, len, len ? len : 1, &whole, why);

	holds_line(why);
	HOLDS((r == 0) == !why[0]);
	if (len < 65536) {
		HOLDS(stream(data, len, 1 + len % 7, &pieces, said) == r);
		HOLDS(whole.n == pieces.n && whole.bytes == pieces.bytes);
		HOLDS(strcmp(said, why) == 0);
	}
	if (r == 0)
		(void)snprintf(why, TARGET_WHY, "items %zu", whole.n);
	return r;
}

const struct parser foreign_targets[] = {{"document", run_document},
					 {"foreign", run_foreign},
					 {"classes", run_classes},
					 {"json-stream", run_stream},
					 {0}};
