/* test-codec-jpeg.c - only whole JPEG pictures pass, whatever is called one; EXIF times, sane and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <turbojpeg.h>
#include <unistd.h>

static struct buf photo; /* 640 x 360, noise: its scan is large and full of stuffed bytes */

static int setup(void **state)
{
	enum { W = 640, H = 360 };
	unsigned char *pixels = malloc(W * H * 3), *jpeg = NULL;
	unsigned long size = 0;
	unsigned seed = 1;
	tjhandle tj = tjInitCompress();

	for (int i = 0; i < W * H * 3; i++) {
		seed = seed * 1103515245 + 12345;
		pixels[i] = (unsigned char)(seed >> 16);
	}
	assert_int_equal(
		tjCompress2(tj, pixels, W, 0, H, TJPF_RGB, &jpeg, &size, TJSAMP_420, 90, 0), 0);
	photo = BUF(1024 * 1024);
	assert_int_equal(buf_add(&photo, jpeg, size), 0);
	tjFree(jpeg);
	tjDestroy(tj);
	free(pixels);
	return zone_set("Europe/Prague");
}

static int teardown(void **state)
{
	buf_done(&photo);
	return 0;
}

static int as_file(const void *data, size_t len)
{
	int fd = memfd_create("jpeg", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write_all(fd, data, len), 0);
	return fd;
}

/* Memory and file must agree. */
static int probe(const void *data, size_t len, struct jpeg_info *info, char why[WHY_MAX])
{
	struct jpeg_info from_fd = {0};
	char why_fd[WHY_MAX];
	int fd = as_file(data, len), r, r_fd;

	memset(info, 0, sizeof(*info));
	r = jpeg_probe(data, len, info, why);
	r_fd = jpeg_probe_fd(fd, &from_fd, why_fd);
	close(fd);
	assert_int_equal(r, r_fd);
	assert_string_equal(why, why_fd);
	assert_int_equal(info->width, from_fd.width);
	assert_int_equal(info->exif_taken_us, from_fd.exif_taken_us);
	return r;
}

static void assert_refused(const void *data, size_t len, const char *want)
{
	struct jpeg_info info;
	char why[WHY_MAX];

	assert_int_equal(probe(data, len, &info, why), -EBADMSG);
	if (!strstr(why, want))
		fail_msg("\"%s\" does not say \"%s\"", why, want);
	assert_int_equal(info.width, 0);
}

static void whole_picture(void **state)
{
	struct jpeg_info info;
	char why[WHY_MAX];

	assert_int_equal(probe(photo.data, photo.len, &info, why), 0);
	assert_int_equal(info.width, 640);
	assert_int_equal(info.height, 360);
	assert_false(info.has_exif_time);
	assert_string_equal(why, "");
}

/* Cut anywhere, it is truncated, not something else. */
static void truncated_at_64_places(void **state)
{
	for (size_t i = 1; i <= 64; i++)
		assert_refused(photo.data, photo.len * i / 65 + 1, "truncated");
	assert_refused(photo.data, 1, "truncated");
	assert_refused(photo.data, 2, "truncated");
	assert_refused(photo.data, photo.len - 1, "truncated");
	assert_refused(photo.data, photo.len - 2, "truncated");
}

static void truncated_and_filled_with_zeros(void **state)
{
	char *data = calloc(1, photo.len);

	memcpy(data, photo.data, photo.len / 2);
	assert_refused(data, photo.len, "truncated");
	free(data);
}

static void padding_is_allowed_and_trailers_are_not(void **state)
{
	static const size_t pads[] = {1, 100, 65533, 65534, 65535, 65536, 200000};
	CLEANUP(buf_done) struct buf b = BUF(2 * 1024 * 1024);
	struct jpeg_info info;
	char why[WHY_MAX], *zeros = calloc(1, 200000);

	for (size_t i = 0; i < ARRAY_LEN(pads); i++) {
		b.len = 0;
		buf_add(&b, photo.data, photo.len);
		buf_add(&b, zeros, pads[i]);
		assert_int_equal(probe(b.data, b.len, &info, why), 0);
	}
	free(zeros);
	b.len = 0;
	buf_add(&b, photo.data, photo.len);
	buf_str(&b, "<html>appended</html>");
	assert_refused(b.data, b.len, "21 bytes of something else");
	b.len = 0;
	buf_add(&b, photo.data, photo.len);
	buf_str(&b, "a phone's directory SEFT");
	assert_int_equal(probe(b.data, b.len, &info, why), 0);
}

/* The photo with `segment` as its first one. */
static void with_segment(struct buf *b, uint8_t marker, const void *data, size_t len)
{
	uint8_t lead[6] = {0xff, 0xd8, 0xff, marker, (uint8_t)((len + 2) >> 8), (uint8_t)(len + 2)};

	b->len = 0;
	buf_add(b, lead, sizeof(lead));
	buf_add(b, data, len);
	assert_int_equal(buf_add(b, photo.data + 2, photo.len - 2), 0);
}

static void multi_picture_files_may_have_more(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(1024 * 1024);
	struct jpeg_info info;
	char why[WHY_MAX];

	with_segment(&b, 0xe2, "MPF\0....", 8);
	buf_str(&b, "a depth map");
	assert_int_equal(probe(b.data, b.len, &info, why), 0);
	assert_refused(b.data, b.len / 2, "truncated");
	with_segment(&b, 0xe2, "ICC\0....", 8);
	buf_str(&b, "a depth map");
	assert_refused(b.data, b.len, "something else");
}

static void many_large_headers_are_fine(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(32 * 1024 * 1024);
	CLEANUP(freep) char *block = calloc(1, 65533);
	struct jpeg_info info;
	char why[WHY_MAX];

	buf_add(&b, "\xff\xd8", 2);
	for (int i = 0; i < 100; i++) {
		buf_add(&b, "\xff\xff\xff\xe1\xff\xff", 6); /* with a fill byte or two */
		buf_add(&b, block, 65533);
	}
	assert_int_equal(buf_add(&b, photo.data + 2, photo.len - 2), 0);
	assert_int_equal(probe(b.data, b.len, &info, why), 0);
	assert_int_equal(info.height, 360);
}

static void endless_headers_are_not(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(8 * 1024 * 1024);

	buf_add(&b, "\xff\xd8", 2);
	for (int i = 0; i < 1000000; i++)
		buf_add(&b, "\xff\xfe\0\2", 4);
	assert_refused(b.data, b.len, "more headers");
	b.len = 2;
	memset(b.data + 2, 0xff, 4000000 - 2);
	b.len = 4000000;
	assert_refused(b.data, b.len, "damaged");
}

static void other_files_called_jpg(void **state)
{
	assert_refused("", 0, "is empty");
	assert_refused("\xef\xbb\xbf \n<!DOCTYPE html><html>", 25, "is HTML");
	assert_refused("<HTML><body>login", 17, "is HTML");
	assert_refused("<?xml version=\"1.0\"?><CGI_Result/>", 34, "is XML");
	assert_refused("<CGI_Result><result>-2</result>", 31, "is XML");
	assert_refused("\x89PNG\r\n\x1a\n", 8, "is PNG");
	assert_refused("GIF89a", 6, "is GIF");
	assert_refused("RIFF\1\2\3\4WEBPVP8 ", 16, "is WebP");
	assert_refused("\0\0\0\x18"
		       "ftypheic",
		       12, "is HEIC");
	assert_refused("[{\"code\":1}]", 12, "is JSON");
	assert_refused("\0\0\0\0\0\0\0\0", 8, "zeros");
	assert_refused("x", 1, "does not begin");
	assert_refused("\xff\xd9", 2, "does not begin");
	assert_refused("\xff\xd8\xff\xd9", 4, "no picture");
	assert_refused("\xff\xd8\xff\xe0\0\1xxxxx", 11, "damaged");
	assert_refused("\xff\xd8\0\0\0\0", 6, "damaged");
}

/* ---- bombs: SOF + SOS claiming 65,500 x 65,500; in the progressive one a few bytes stand for scans ---- */

static void add_frame(struct buf *b, uint8_t sof, unsigned w, unsigned h)
{
	const uint8_t frame[] = {
		0xff,       sof, 0, 11,   8, (uint8_t)(h >> 8), (uint8_t)h, (uint8_t)(w >> 8),
		(uint8_t)w, 1,   1, 0x11, 0};
	uint8_t dqt[69] = {0xff, 0xdb, 0, 67, 0};
	static const uint8_t sos[] = {0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0};

	b->len = 0;
	memset(dqt + 5, 1, 64);
	buf_add(b, "\xff\xd8", 2);
	buf_add(b, dqt, sizeof(dqt));
	buf_add(b, frame, sizeof(frame));
	for (int i = 0; i < 50; i++)
		buf_add(b, sos, sizeof(sos));
	buf_add(b, "\xff\xd9", 2);
}

static void bombs_are_refused_by_their_header(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(4096);
	struct jpeg_info info;
	struct rusage before, after;
	char why[WHY_MAX];

	getrusage(RUSAGE_SELF, &before);
	add_frame(&b, 0xc0, 65500, 65500);
	assert_refused(b.data, b.len, "65500 x 65500 pixels");
	add_frame(&b, 0xc2, 65500, 65500);
	assert_refused(b.data, b.len, "65500 x 65500 pixels");
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 64 * 1024);
	add_frame(&b, 0xc0, 9248, 6936); /* what "64 megapixel" phones make */
	assert_int_equal(probe(b.data, b.len, &info, why), 0);
	add_frame(&b, 0xc0, 0, 100);
	assert_refused(b.data, b.len, "can be read");
	add_frame(&b, 0xc3, 100, 100); /* lossless: not JPEG as anybody knows it */
	assert_refused(b.data, b.len, "can be read");
}

static void odd_subsampling_is_a_picture(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(1024 * 1024);
	struct jpeg_info info;
	char why[WHY_MAX], *sof;

	assert_int_equal(buf_add(&b, photo.data, photo.len), 0);
	sof = memmem(b.data, b.len, "\xff\xc0", 2);
	assert_non_null(sof);
	sof[11] = 0x41; /* luma 4x1, chroma 1x1 in a header that said 2x2 */
	sof[14] = 0x21;
	assert_int_equal(probe(b.data, b.len, &info, why), 0);
	assert_int_equal(info.width, 640);
}

static void unreadable_input_is_no_verdict(void **state)
{
	struct jpeg_info info;
	char why[WHY_MAX];
	int p[2];

	assert_int_equal(jpeg_probe_fd(-1, &info, why), -EBADF);
	assert_int_equal(pipe(p), 0);
	assert_int_equal(jpeg_probe_fd(p[0], &info, why), -EBADMSG);
	assert_non_null(strstr(why, "regular file"));
	close(p[0]);
	close(p[1]);
}

static void larger_than_the_limit(void **state)
{
	int fd = as_file(photo.data, photo.len);
	struct jpeg_info info;
	char why[WHY_MAX];

	assert_int_equal(ftruncate(fd, (off_t)PICTURE_BYTES + 1), 0);
	assert_int_equal(jpeg_probe_fd(fd, &info, why), -EFBIG);
	assert_non_null(strstr(why, "256 MiB"));
	close(fd);
}

/* ---- EXIF ---- */

struct entry {
	uint16_t tag, type;
	uint32_t count;
	const char *text; /* NULL: `value` */
	uint32_t value;
};

static void le(struct buf *b, uint32_t v, int n)
{
	for (int i = 0; i < n; i++, v >>= 8)
		buf_add(b, &(uint8_t){(uint8_t)v}, 1);
}

enum { IFD0 = 8, EXIF_IFD = IFD0 + 2 + 12 + 4 };

static void make_ifd(struct buf *b, uint32_t at, const struct entry *e, size_t n)
{
	uint32_t data = at + 2 + 12 * (uint32_t)n + 4;

	le(b, (uint32_t)n, 2);
	for (size_t i = 0; i < n; i++) {
		le(b, e[i].tag, 2), le(b, e[i].type, 2), le(b, e[i].count, 4);
		le(b, e[i].text && e[i].count > 4 ? data : e[i].value, 4);
		if (e[i].text && e[i].count > 4)
			data += e[i].count;
	}
	le(b, 0, 4);
	for (size_t i = 0; i < n; i++)
		if (e[i].text && e[i].count > 4)
			buf_add(b, e[i].text, e[i].count);
}

static void make_tiff(struct buf *b)
{
	b->len = 0;
	buf_add(b, "Exif\0\0II*\0", 10);
	le(b, IFD0, 4);
}

/* A little-endian TIFF: IFD0 with a pointer to the EXIF IFD that has the entries. */
static void make_exif(struct buf *b, const struct entry *e, size_t n)
{
	make_tiff(b);
	le(b, 1, 2);
	le(b, 0x8769, 2), le(b, 4, 2), le(b, 1, 4), le(b, EXIF_IFD, 4), le(b, 0, 4);
	make_ifd(b, EXIF_IFD, e, n);
}

static bool exif_of(const struct entry *e, size_t n, struct jpeg_info *info)
{
	CLEANUP(buf_done) struct buf seg = BUF(65000);
	CLEANUP(buf_done) struct buf b = BUF(1024 * 1024);
	char why[WHY_MAX];

	make_exif(&seg, e, n);
	with_segment(&b, 0xe1, seg.data, seg.len);
	assert_int_equal(probe(b.data, b.len, info, why), 0);
	return info->has_exif_time;
}

#define DATE(text)                               \
	{                                        \
		0x9003, 2, sizeof(text), text, 0 \
	}
#define SUBSEC(text)                             \
	{                                        \
		0x9291, 2, sizeof(text), text, 0 \
	}
#define ZONE(text)                               \
	{                                        \
		0x9011, 2, sizeof(text), text, 0 \
	}
#define EXIF_OF(info, ...)                           \
	exif_of((const struct entry[]){__VA_ARGS__}, \
		sizeof((const struct entry[]){__VA_ARGS__}) / sizeof(struct entry), info)

static void exif_times(void **state)
{
	struct jpeg_info i;
	char iso[ISO_MAX];

	assert_true(EXIF_OF(&i, DATE("2020:12:31 15:45:55")));
	iso_format(i.exif_taken_us, i.exif_zone_min, iso);
	assert_string_equal(iso, "2020-12-31T15:45:55.000000+01:00"); /* the mount's zone */
	assert_true(EXIF_OF(&i, DATE("2020:07:01 15:45:55"), ZONE("-05:30"), SUBSEC("123456")));
	iso_format(i.exif_taken_us, i.exif_zone_min, iso);
	assert_string_equal(iso, "2020-07-01T15:45:55.123456-05:30");
	assert_true(
		EXIF_OF(&i, DATE("2020-07-01T15:45:55"), ZONE("+25:00"), SUBSEC("12345678901")));
	iso_format(i.exif_taken_us, i.exif_zone_min, iso);
	assert_string_equal(iso,
			    "2020-07-01T15:45:55.123456+02:00"); /* no such zone: the mount's */
	assert_true(EXIF_OF(&i, DATE("1975:05:05 01:02:03")));   /* a scanned print */
}

/* Some programs write all entries there. */
static void exif_times_in_ifd0(void **state)
{
	CLEANUP(buf_done) struct buf seg = BUF(65000);
	CLEANUP(buf_done) struct buf b = BUF(1024 * 1024);
	struct jpeg_info i;
	char iso[ISO_MAX], why[WHY_MAX];

	make_tiff(&seg);
	make_ifd(&seg, IFD0,
		 (const struct entry[]){DATE("2020:07:01 15:45:55"), ZONE("-05:30"),
					SUBSEC("123456")},
		 3);
	with_segment(&b, 0xe1, seg.data, seg.len);
	assert_int_equal(probe(b.data, b.len, &i, why), 0);
	assert_true(i.has_exif_time);
	iso_format(i.exif_taken_us, i.exif_zone_min, iso);
	assert_string_equal(iso, "2020-07-01T15:45:55.123456-05:30");
}

static void absurd_exif_times(void **state)
{
	struct jpeg_info i;

	assert_false(EXIF_OF(&i, DATE("0000:00:00 00:00:00")));
	assert_false(EXIF_OF(&i, DATE("    :  :     :  :  ")));
	assert_false(EXIF_OF(&i, DATE("2020:13:31 15:45:55")));
	assert_false(EXIF_OF(&i, DATE("2021:02:29 15:45:55")));
	assert_false(EXIF_OF(&i, DATE("2020:12:31 24:00:00")));
	assert_false(EXIF_OF(&i, DATE("1970:01:01 00:00:00")));
	assert_false(EXIF_OF(&i, DATE("1980:01:01 00:00:10")));
	assert_false(EXIF_OF(&i, DATE("9000:01:01 00:00:00")));
	assert_false(EXIF_OF(&i, DATE("2020:12:31")));
	assert_false(EXIF_OF(&i, DATE("yesterday, at a quarter to four in the afternoon, or so")));
}

static void hostile_exif(void **state)
{
	CLEANUP(buf_done) struct buf seg = BUF(65533);
	CLEANUP(buf_done) struct buf b = BUF(1024 * 1024);
	struct jpeg_info i;
	char why[WHY_MAX];
	unsigned seed = 7;

	assert_false(EXIF_OF(&i, {0x9003, 2, 0, NULL, 0}));
	assert_false(EXIF_OF(&i, {0x9003, 2, 0xffffffff, NULL, 0xfffffff0}));
	assert_false(EXIF_OF(&i, {0x9003, 7, 20, NULL, 0x10000}));
	assert_false(EXIF_OF(&i, {0x9003, 99, 20, NULL, 8}));
	assert_false(EXIF_OF(&i, {0xa005, 4, 1, NULL, 8},
			     {0x8769, 4, 1, NULL, 26})); /* directories in a loop */
	make_exif(&seg, (const struct entry[]){DATE("2020:12:31 15:45:55")}, 1);
	for (size_t n = 0; n < seg.len; n++) {
		with_segment(&b, 0xe1, seg.data, n);
		assert_int_equal(jpeg_probe(b.data, b.len, &i, why), 0);
	}
	for (int round = 0; round < 2000; round++) {
		make_exif(&seg,
			  (const struct entry[]){DATE("2020:12:31 15:45:55"), SUBSEC("5"),
						 ZONE("+01:00")},
			  3);
		for (int k = 0; k < 4; k++) {
			seed = seed * 1103515245 + 12345;
			seg.data[10 + (seed >> 16) % (seg.len - 10)] = (char)(seed >> 8);
		}
		with_segment(&b, 0xe1, seg.data, seg.len);
		assert_int_equal(jpeg_probe(b.data, b.len, &i, why), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_picture),
		cmocka_unit_test(truncated_at_64_places),
		cmocka_unit_test(truncated_and_filled_with_zeros),
		cmocka_unit_test(padding_is_allowed_and_trailers_are_not),
		cmocka_unit_test(multi_picture_files_may_have_more),
		cmocka_unit_test(many_large_headers_are_fine),
		cmocka_unit_test(endless_headers_are_not),
		cmocka_unit_test(other_files_called_jpg),
		cmocka_unit_test(bombs_are_refused_by_their_header),
		cmocka_unit_test(odd_subsampling_is_a_picture),
		cmocka_unit_test(unreadable_input_is_no_verdict),
		cmocka_unit_test(larger_than_the_limit),
		cmocka_unit_test(exif_times),
		cmocka_unit_test(exif_times_in_ifd0),
		cmocka_unit_test(absurd_exif_times),
		cmocka_unit_test(hostile_exif),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
