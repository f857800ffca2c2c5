/* Foreign bytes while calls fail: good ones are never called bad, and what is said of them is whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit/test-source-jpeg.h"
#include "shutterfs/codec.h"
#include "torture.h"

#define LABEL "{\"kind\":\"object\",\"value\":\"cat\",\"score\":0.5,\"box\":[0.1,0.2,0.3,0.4]}"
#define DOCUMENT "{\"created_by\":\"auto\",\"label\":{\"label_direction\":2,\"label_speed\":1}}"

static const char sidecar[] =
	"{\"schema\":\"shutterfs/1\",\"camera\":\"front\",\"taken\":\"2020-12-31T15:45:55+01:00\",\"starred\":true,"
	"\"labels\":[" LABEL
	",\"animal/dog\"],\"comment\":\"a \\u017elu\\u0165\",\"documents\":[" DOCUMENT "],"
	"\"event\":{\"a\":[1,2]},\"mine\":{\"deep\":[[[\"x\"]]]}}";
static const char takeout[] =
	"{\"title\":\"x.jpg\",\"description\":\"d\",\"photoTakenTime\":{\"timestamp\":\"1609426555\"},"
	"\"people\":[{\"name\":\"Ann\"}]}";
static const char coco[] =
	"{\"images\":[{\"id\":1,\"file_name\":\"x.jpg\",\"width\":192,\"height\":108}],\"annotations\":"
	"[{\"image_id\":1,\"category_id\":1,\"bbox\":[1,1,9,9]}],\"categories\":[{\"id\":1,\"name\":\"cat\"}]}";
static const char xmp[] =
	"<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\""
	" xmlns:dc=\"http://purl.org/dc/elements/1.1/\"><rdf:Description><dc:subject><rdf:Bag><rdf:li>person</rdf:li>"
	"</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>";
static const char listing[] =
	"<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken><Contents>"
	"<Key>a.jpg</Key><LastModified>2020-12-31T15:45:55.000Z</LastModified><ETag>\"e\"</ETag><Size>3</Size>"
	"</Contents></ListBucketResult>";
static const char s3_error[] =
	"<Error><Code>NoSuchKey</Code><Message>m</Message><Region>r</Region></Error>";

static void *begin(void)
{
	int *fd = malloc(sizeof(*fd));

	assert_non_null(fd);
	*fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	assert_true(*fd >= 0);
	assert_int_equal(write_all(*fd, tiny_jpeg, sizeof(tiny_jpeg)), 0);
	return fd;
}

/* What is good must not be called bad because the machine lacks something. */
static int honest(int r, const char *why)
{
	if (r == -EBADMSG || r == -EINVAL || r == -EFBIG)
		fail_msg("%s", why);
	return r;
}

static int try_sidecar(void)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	CLEANUP(buf_done) struct buf out = BUF(SIDECAR_BYTES);
	char why[WHY_MAX] = "";
	int r = honest(sidecar_parse(sidecar, sizeof(sidecar) - 1, &s, why), why);

	if (r < 0)
		return r;
	assert_int_equal(s.labels.n, 2);
	assert_true(s.starred && s.unknown);
	r = sidecar_render(&s, &out);
	if (r == 0)
		assert_non_null(strstr(out.data, "[[[\"x\"]]]"));
	return r;
}

static int try_document(void)
{
	struct label_document d;
	char why[WHY_MAX] = "";
	int r = honest(label_document_parse(DOCUMENT, sizeof(DOCUMENT) - 1,
					    "20201231T15-45-55-000000", &d, why),
		       why);

	if (r < 0)
		return r;
	assert_string_equal(d.created_by, "auto");
	label_document_done(&d);
	return 0;
}

static int try_foreign(const char *name, const char *text, size_t labels)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	CLEANUP(classes_done) struct classes classes = {0};
	const struct beside pic = {"x.jpg", 192, 108};
	char why[WHY_MAX] = "";
	int r = honest(classes_parse("classes.txt", "cat\ndog\n", 8, &classes, why), why);

	if (r == 0)
		r = honest(foreign_parse(name, text, strlen(text), &pic, &classes, &s, why), why);
	if (r == 0)
		assert_int_equal(s.labels.n, labels);
	return r;
}

static int count_item(void *user, const char *key, const char *raw, size_t len)
{
	++*(unsigned *)user;
	return 0;
}

static int try_stream(void)
{
	struct json_stream *s;
	char why[WHY_MAX] = "";
	unsigned n = 0;
	int r = json_stream_new(65536, count_item, &n, &s);

	if (r < 0)
		return r;
	for (size_t at = 0; r == 0 && at < sizeof(coco) - 1; at += 7)
		r = honest(json_stream_feed(s, coco + at,
					    at + 7 < sizeof(coco) ? 7 : sizeof(coco) - 1 - at, why),
			   why);
	if (r == 0)
		r = honest(json_stream_end(s, why), why);
	(void)json_stream_free(s);
	assert_true(r < 0 || n == 3);
	return r;
}

static int count_object(void *user, const struct s3_object *o)
{
	++*(unsigned *)user;
	assert_string_equal(o->key, "a.jpg");
	return 0;
}

static int try_xml(void)
{
	struct s3_list_page page = {0};
	struct s3_error error = {0};
	char why[WHY_MAX] = "";
	unsigned n = 0;
	int r = honest(s3_list_parse(listing, sizeof(listing) - 1, count_object, &n, &page, why),
		       why);

	if (r < 0)
		return r;
	assert_true(n == 1 && page.truncated);
	r = honest(s3_error_parse(s3_error, sizeof(s3_error) - 1, &error), "an error of S3");
	if (r == 0)
		assert_string_equal(error.code, "NoSuchKey");
	return r;
}

static int try_hash(int fd)
{
	struct sha256 a, b;
	struct hashes h;
	int r = sha256_fd(fd, &a);

	if (r == 0)
		r = sha256_of(tiny_jpeg, sizeof(tiny_jpeg), &b);
	if (r == 0)
		r = hash_fd(fd, &h);
	if (r < 0)
		return r;
	assert_memory_equal(&a, &b, sizeof(a));
	assert_memory_equal(&a, &h.sha, sizeof(a));
	return 0;
}

static int try_jpeg(int fd)
{
	struct jpeg_info info = {0};
	char why[WHY_MAX] = "";
	int r = honest(jpeg_probe(tiny_jpeg, sizeof(tiny_jpeg), &info, why), why);

	if (r == 0)
		r = honest(jpeg_probe_fd(fd, &info, why), why);
	assert_true(r < 0 || info.width > 0);
	return r;
}

static void work(void *data)
{
	int fd = *(int *)data;

	again(try_sidecar());
	again(try_document());
	again(try_foreign("x.json", takeout, 1));
	again(try_foreign("x.json", coco, 1));
	again(try_foreign("x.xmp", xmp, 1));
	again(try_foreign("x.txt", "0 0.5 0.5 0.1 0.1\n1 0.2 0.2 0.1 0.1 0.9\n", 2));
	again(try_stream());
	again(try_xml());
	again(try_hash(fd));
	again(try_jpeg(fd));
}

static void end(void *data)
{
	assert_int_equal(try_jpeg(*(int *)data), 0);
	codec_end();
	assert_int_equal(close(*(int *)data), 0);
	free(data);
}

int main(void)
{
	static const struct scenario all[] = {{"codec", begin, work, end}};

	return torture(all, ARRAY_LEN(all));
}
