/* test-ingest-pair.c - sidecars of other programs beside pictures: in any order, several of one picture, with lists and templates. */
#include "test-ingest.h"

#define NAME "20201231_154555"
#define XMP(rest)                                                                                \
	"<x:xmpmeta xmlns:x=\"adobe:ns:meta/\"><rdf:RDF "                                        \
	"xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\"><rdf:Description "            \
	"xmlns:dc=\"http://purl.org/dc/elements/1.1/\" "                                         \
	"xmlns:xmp=\"http://ns.adobe.com/xap/1.0/\" xmp:Rating=\"4\"><dc:subject><rdf:Bag>" rest \
	"</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"

/* The picture's labels as "kind/value " each, and its comment. */
static void assert_labels(struct house *h, int64_t entry, const char *want)
{
	CLEANUP(buf_done) struct buf out = BUF(4096);
	struct sidecar s = {0};

	ok(catalog_sidecar(h->cat, row_of(h, entry).snapshot, &s));
	(void)buf_str(&out, s.labels.looked ? "" : "nobody looked ");
	for (size_t i = 0; i < s.labels.n; i++)
		(void)buf_printf(&out, "%s/%s ", s.labels.item[i].kind, s.labels.item[i].value);
	if (s.comment)
		(void)buf_printf(&out, "(%s) ", s.comment);
	if (s.rating)
		(void)buf_printf(&out, "*%u ", s.rating);
	sidecar_done(&s);
	assert_string_equal(out.data, want);
}

static void test_any_order(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), first, second;

	(void)copy_text(h, dir, NAME ".jpg.xmp", XMP("<rdf:li>object/fox</rdf:li>"));
	first = copy_picture(h, dir, NAME ".jpg", 1);
	assert_labels(h, first, "object/fox *8 ");
	second = copy_picture(h, dir, "20201231_154600.jpg", 2);
	assert_labels(h, second, "nobody looked ");
	(void)copy_text(h, dir, "20201231_154600.xmp", XMP("<rdf:li>night</rdf:li>"));
	assert_labels(h, second, "label/night *8 ");
}

static void test_better_one_counts(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), picture, xmp, json;

	/* what x.json does not say comes from x.xmp, whichever came first, and before or after the picture */
	xmp = copy_text(h, dir, NAME ".xmp", XMP("<rdf:li>night</rdf:li>"));
	json = copy_text(h, dir, NAME ".jpg.json", "{\"labels\":[\"object/dog\"]}");
	picture = copy_picture(h, dir, NAME ".jpg", 1);
	assert_labels(h, picture, "object/dog *8 ");
	assert_int_equal(row_of(h, xmp).state, UPLOAD_KEPT);
	assert_int_equal(row_of(h, json).state, UPLOAD_KEPT);
	assert_int_equal(row_of(h, xmp).snapshot, row_of(h, picture).snapshot);
	(void)copy_text(h, dir, NAME ".json", "{\"comment\":\"hi\",\"labels\":[\"object/cat\"]}");
	assert_labels(h, picture, "object/dog (hi) *8 ");
}

static void test_takeout_names(void **state)
{
	static const char json[] =
		"{\"title\":\"x\",\"description\":\"%s\",\"photoTakenTime\":"
		"{\"timestamp\":\"1607426155\"},\"people\":[{\"name\":\"Ada\"}]}";
	static const struct {
		const char *picture, *side;
	} pair[] = {
		{"IMG.JPG", "IMG.JPG.supplemental-m.json"},
		{"IMG(2).JPG", "IMG.JPG.supplemental-metadata(2).json"},
		{"IMG(3).JPG", "IMG.JPG(3).json"},
		{"a_very_long_name_of_a_picture_from_a_telephone_001.jpg",
		 "a_very_long_name_of_a_picture_from_a_telephone.json"},
	};
	struct house *h = *state;

	for (unsigned i = 0; i < 2 * ARRAY_LEN(pair); i++) {
		char dir_name[16], text[256];
		int64_t dir, picture;
		bool side_first = i % 2;

		(void)snprintf(dir_name, sizeof(dir_name), "c%u", i);
		(void)snprintf(text, sizeof(text), json, dir_name);
		dir = make_dir(h, 0, dir_name);
		if (side_first)
			(void)copy_text(h, dir, pair[i / 2].side, text);
		picture = copy_picture(h, dir, pair[i / 2].picture, i);
		(void)run_due(h, 5);
		if (!side_first)
			(void)copy_text(h, dir, pair[i / 2].side, text);
		else
			assert_memory_equal(snap_of(h, picture).stem, "20201208T12-15-55", 17);
		(void)snprintf(text, sizeof(text), "person/Ada (%s) ", dir_name);
		assert_labels(h, picture, text);
	}
}

static void test_pixels_need_the_picture(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front"), picture = copy_picture(h, dir, NAME ".jpg", 1);
	struct snap snap = snap_of(h, picture);
	struct sidecar s = {0};
	char text[256];

	(void)snprintf(
		text, sizeof(text),
		"{\"camera\":\"front\",\"label\":\"car\",\"start_time\":1.5,\"box\":[0,0,%u,%u]}",
		snap.width / 2, snap.height);
	(void)copy_text(h, dir, NAME ".json", text);
	assert_labels(h, picture, "object/car ");
	ok(catalog_sidecar(h->cat, snap.id, &s));
	assert_true(s.labels.item[0].has_box);
	assert_true(s.labels.item[0].box[2] <= 0.5 && s.labels.item[0].box[3] == 1);
	sidecar_done(&s);
}

static void test_yolo(void **state)
{
	struct house *h = *state;
	int64_t top = make_dir(h, 0, "front"), images = make_dir(h, top, "images"),
		labels = make_dir(h, top, "labels"), picture, txt, notes;

	txt = copy_text(h, labels, NAME ".txt", "1 0.5 0.5 0.2 0.4\n");
	notes = copy_text(h, labels, "notes.txt", "What I saw today.\n");
	picture = copy_picture(h, images, NAME ".jpg", 1);
	assert_int_equal(row_of(h, txt).state, UPLOAD_HELD);
	assert_int_equal(row_of(h, notes).state, UPLOAD_KEPT);
	assert_labels(h, picture, "nobody looked ");
	(void)copy_text(h, top, "data.yaml", "names: [person, fox]\n");
	(void)run_due(h, 1);
	assert_int_equal(row_of(h, txt).state, UPLOAD_KEPT);
	assert_labels(h, picture, "object/fox ");
	/* a list that is there already, and a class that it does not have */
	(void)copy_text(h, labels, "20201231_154600.txt", "0 0.5 0.5 0.2 0.4\n");
	picture = copy_picture(h, images, "20201231_154600.jpg", 2);
	assert_labels(h, picture, "object/person ");
	(void)copy_picture(h, images, "20201231_154700.jpg", 3);
	txt = copy_text(h, labels, "20201231_154700.txt", "7 0.5 0.5 0.2 0.4\n");
	(void)run_due(h, 5);
	assert_error(h, txt, "line 1: class 7");
}

static void test_orphans(void **state)
{
	struct house *h = *state;
	int64_t dir = make_dir(h, 0, "front");
	int64_t json = copy_text(h, dir, "a.json", "{}"), xmp = copy_text(h, dir, "a.xmp", "<a/>"),
		txt = copy_text(h, dir, "a.txt", "0 1 1 1 1"),
		bad = copy_text(h, dir, "b.xmp", "<a>");

	assert_int_equal(row_of(h, xmp).state, UPLOAD_HELD);
	(void)run_due(h, 5);
	assert_error(h, bad, "not XML");
	(void)run_due(h, 25 * 3600);
	assert_error(h, json, "within a day");
	assert_int_equal(row_of(h, xmp).state, UPLOAD_KEPT);
	assert_int_equal(row_of(h, txt).state, UPLOAD_KEPT);
}

#define DOCUMENT \
	"{\"img_id\":\"20201231T15-45-55-000000\",\"event\":\"mine\",\"label\":{\"label_speed\":1}}"

static void test_session(void **state)
{
	struct house *h = *state;
	int64_t top = make_dir(h, 0, "car"), run = make_dir(h, top, "run"), picture, bad;
	struct sidecar s = {0};

	(void)copy_text(h, top, "hardware_conf.json", "{\"car\":\"patate\",\"version\":1}");
	(void)copy_text(h, run, "session_template.json",
			"{\"event\":\"iron car\",\"track\":\"indoor\"}");
	bad = copy_text(h, run, "hardware_conf.json", "{\"car\":");
	(void)copy_text(h, run, NAME ".json", DOCUMENT);
	picture = copy_picture(h, run, NAME ".jpg", 1);
	ok(catalog_sidecar(h->cat, row_of(h, picture).snapshot, &s));
	assert_non_null(s.documents);
	assert_non_null(strstr(s.documents, "\"event\":\"mine\""));
	assert_non_null(strstr(s.documents, "\"track\":\"indoor\""));
	assert_null(strstr(s.documents, "patate")); /* the nearer one counts, and it is broken */
	sidecar_done(&s);
	(void)run_due(h, 5);
	assert_error(h, bad, "ends too early");
	ok(ingest_unlink(h->in, run, "hardware_conf.json", false));
	(void)copy_text(h, run, "20201231_154600.json", DOCUMENT);
	picture = copy_picture(h, run, "20201231_154600.jpg", 2);
	s = (struct sidecar){0};
	ok(catalog_sidecar(h->cat, row_of(h, picture).snapshot, &s));
	assert_non_null(
		strstr(s.documents, "\"hardware_conf\":{\"car\":\"patate\",\"version\":1}"));
	sidecar_done(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_any_order),     TEST(test_better_one_counts),
		TEST(test_takeout_names), TEST(test_pixels_need_the_picture),
		TEST(test_yolo),          TEST(test_orphans),
		TEST(test_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
