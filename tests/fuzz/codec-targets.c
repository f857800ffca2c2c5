/* codec-targets.c - pictures, as a cage reads them, JSON and XML. */
#include "target.h"

#include "cage.h"
#include "exif.h"

#include <errno.h>
#include <string.h>

static int run_jpeg(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	struct jpeg_facts f = {0};
	int r = jpeg_inspect(-1, data, len, &f, why);

	holds_line(why);
	HOLDS(r == 0 || r == -EBADMSG || r == -EFBIG);
	HOLDS((r == 0) == !why[0] && strlen(why) < WHY_MAX);
	if (r == 0)
		HOLDS(f.width && f.height && (uint64_t)f.width * f.height <= JPEG_PIXELS);
	if (f.has_taken)
		HOLDS(civil_valid(&f.taken));
	if (r == 0)
		(void)snprintf(why, TARGET_WHY, "%u x %u%s", f.width, f.height,
			       f.has_taken ? " taken" : "");
	return r;
}

static int run_exif(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	struct civil c = {0};
	bool has_zone = false;

	if (!exif_taken(data, len, &c, &has_zone))
		return -ENODATA;
	HOLDS(civil_valid(&c) && c.us >= 0 && c.us < 1000000);
	iso_format(us_from_civil(&c, true), c.zone_min, why);
	return has_zone;
}

/* What was understood is written so that it is understood again, as the same. */
static int run_sidecar(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(sidecar_done) struct sidecar s = {0}, again = {0};
	CLEANUP(buf_done) struct buf first = BUF(8 * SIDECAR_BYTES);
	CLEANUP(buf_done) struct buf second = BUF(8 * SIDECAR_BYTES);
	char said[WHY_MAX];
	int r = sidecar_parse((const char *)data, len, &s, why);

	holds_line(why);
	if (r < 0) {
		HOLDS((r == -EBADMSG || r == -EFBIG) && why[0]);
		return r;
	}
	HOLDS(sidecar_render(&s, &first) == 0);
	if (first.len > SIDECAR_BYTES)
		return r;
	HOLDS(sidecar_parse(first.data, first.len, &again, said) == 0);
	HOLDS(sidecar_render(&again, &second) == 0);
	HOLDS(strcmp(first.data, second.data) == 0);
	(void)snprintf(why, TARGET_WHY, "labels %zu%s", s.labels.n, s.unknown ? " and more" : "");
	return r;
}

static int on_member(void *user, const char *key, const char *raw, size_t len)
{
	size_t *n = user;

	HOLDS(key && len > 0 && raw[0] > ' ');
	++*n;
	return 0;
}

static int run_json(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	size_t n = 0;
	int r = json_scan((const char *)data, len, on_member, &n, why);

	holds_line(why);
	HOLDS((r == 0) == !why[0]);
	if (r == 0)
		(void)snprintf(why, TARGET_WHY, "members %zu", n);
	return r;
}

static int on_object(void *user, const struct s3_object *o)
{
	size_t *n = user;

	HOLDS(o->key[0] && o->etag && strlen(o->etag) < 256);
	++*n;
	return 0;
}

static int run_s3_list(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	static struct s3_list_page page;
	size_t n = 0;
	int r = s3_list_parse((const char *)data, len, on_object, &n, &page, why);

	holds_line(why);
	HOLDS((r == 0) == !why[0] && n <= 1000);
	if (r == 0) {
		HOLDS(!page.truncated || page.next[0]);
		(void)snprintf(why, TARGET_WHY, "objects %zu%s", n, page.truncated ? " more" : "");
	}
	return r;
}

static int run_s3_error(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	struct s3_error e;
	int r = s3_error_parse((const char *)data, len, &e);

	if (r < 0)
		return r;
	holds_line(e.code);
	holds_line(e.message);
	holds_line(e.region);
	holds_line(e.endpoint);
	(void)snprintf(why, TARGET_WHY, "%s: %s", e.code, e.message);
	return r;
}

static int run_cgi(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	int value = 0, r = cgi_result_parse((const char *)data, len, &value);

	if (r == 0)
		(void)snprintf(why, TARGET_WHY, "result %d", value);
	return r;
}

const struct parser codec_targets[] = {
	{"jpeg", run_jpeg},       {"exif", run_exif},
	{"sidecar", run_sidecar}, {"json", run_json},
	{"s3-list", run_s3_list}, {"s3-error", run_s3_error},
	{"cgi-result", run_cgi},  {0},
};
