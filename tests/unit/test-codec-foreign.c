/* test-codec-foreign.c - JSON sidecars of other programs: told apart, read, and refused with a reason. */
#include "test-codec-foreign.h"

#include <stdlib.h>

static void reads(const char *text, const char *want)
{
	assert_reads("IMG_1.jpg.json", text, &no_classes, want);
}

static void refuses(const char *text, const char *want)
{
	assert_bad("IMG_1.jpg.json", text, &no_classes, want);
}

static void test_ours(void **state)
{
	reads("{\"labels\":[{\"kind\":\"object\",\"value\":\"dog\",\"score\":0.5}],\"starred\":true}",
	      "object/dog@0.5 starred=1");
	reads("\xef\xbb\xbf {\"tags\":[\"a/b\"]}\n", "a/b");
	reads("{}", "");
	refuses("", "empty");
	refuses("{\n\"a\":NaN}", "line 2");
	refuses("{\"a\":1,\"a\":2}", "stands twice");
	refuses("[1]", "not one of label documents");
	refuses("[{\"a\":1},]", "not valid JSON");
}

static void test_documents(void **state)
{
	reads("{\"img_id\":\"20201231T15-45-55-123456\",\"label\":{\"label_speed\":1},\"n\":9007199254740993}",
	      "documents=[{\"img_id\":\"20201231T15-45-55-123456\",\"label\":{\"label_speed\":1},\"n\":9007199254740993}]");
	reads(" [ {\"label\":{}} ] ", "documents=[ {\"label\":{}} ]");
	refuses("{\"20201231T15-45-55-123456\":{\"label\":{}}}", "name it labels.json");
}

static void test_takeout(void **state)
{
	reads("{\"title\":\"IMG_1.jpg\",\"description\":\"At the lake\",\"photoTakenTime\":{\"timestamp\":\"1607426155\","
	      "\"formatted\":\"x\"},\"geoData\":{\"latitude\":0.0},\"people\":[{\"name\":\"Ada\"},{}],\"favorited\":true}",
	      "person/Ada comment=At the lake starred=1 taken=2020-12-08T12:15:55.000000+01:00 "
	      "extra={\"takeout\":{\"title\":\"IMG_1.jpg\",\"description\":\"At the lake\",\"photoTakenTime\":"
	      "{\"timestamp\":\"1607426155\",\"formatted\":\"x\"},\"geoData\":{\"latitude\":0.0},"
	      "\"people\":[{\"name\":\"Ada\"},{}],\"favorited\":true}}");
	reads("{\"title\":\"x\",\"description\":\" \",\"creationTime\":{\"timestamp\":\"0\"}}",
	      "extra={\"takeout\":{\"title\":\"x\",\"description\":\" \",\"creationTime\":{\"timestamp\":\"0\"}}}");
}

static void test_frigate(void **state)
{
	reads("{\"id\":\"1.5-x\",\"camera\":\"front\",\"label\":\"person\",\"sub_label\":[\"bob\",0.9],\"top_score\":0.97,"
	      "\"box\":[20,10,60,90],\"zones\":[\"drive\"],\"start_time\":1607123955.475,\"end_time\":null}",
	      "object/person@0.97[0.1 0.1 0.2 0.8]frigate person/bobfrigate zone/drivefrigate "
	      "taken=2020-12-05T00:19:15.475000+01:00 "
	      "event={\"id\":\"1.5-x\",\"camera\":\"front\",\"label\":\"person\",\"sub_label\":[\"bob\",0.9],"
	      "\"top_score\":0.97,\"box\":[20,10,60,90],\"zones\":[\"drive\"],\"start_time\":1607123955.475,"
	      "\"end_time\":null}");
	/* the stream that was looked at is larger than the picture; the API's boxes are parts */
	reads("{\"camera\":\"f\",\"label\":\"car\",\"box\":[20,10,600,90],\"start_time\":1}",
	      "object/carfrigate taken=1970-01-01T01:00:01.000000+01:00 "
	      "event={\"camera\":\"f\",\"label\":\"car\",\"box\":[20,10,600,90],\"start_time\":1}");
	reads("{\"type\":\"new\",\"before\":{},\"after\":{\"camera\":\"f\",\"label\":\"car\",\"data\":{\"box\":[0.1,0.2,0.3,0.4],"
	      "\"score\":0.5}}}",
	      "object/car@0.5[0.1 0.2 0.3 0.4]frigate event={\"type\":\"new\",\"before\":{},\"after\":{\"camera\":\"f\","
	      "\"label\":\"car\",\"data\":{\"box\":[0.1,0.2,0.3,0.4],\"score\":0.5}}}");
}

#define CATEGORIES "\"categories\":[{\"id\":0,\"name\":\"empty\"},{\"id\":3,\"name\":\"fox\"}]"

static void test_coco(void **state)
{
	reads("{\"images\":[{\"id\":7,\"file_name\":\"other.jpg\",\"width\":400,\"height\":200}],\"annotations\":["
	      "{\"id\":1,\"image_id\":7,\"category_id\":3,\"bbox\":[40,20,80,100],\"area\":8000,\"iscrowd\":0,\"score\":0.25}]," CATEGORIES
	      "}",
	      "object/fox@0.25[0.1 0.1 0.2 0.5]coco");
	/* camera traps: text ids, parts, a time; the picture's own size where the file has none */
	reads("{\"info\":{},\"images\":[{\"id\":\"a\",\"file_name\":\"d/IMG_1.JPG\",\"datetime\":\"2020-12-31 15:45:55\"},"
	      "{\"id\":\"b\",\"file_name\":\"IMG_2.JPG\"}],\"annotations\":["
	      "{\"id\":\"1\",\"image_id\":\"b\",\"category_id\":0},"
	      "{\"id\":\"2\",\"image_id\":\"a\",\"category_id\":3,\"bbox_relative\":[0.5,0.5,0.25,0.25]},"
	      "{\"id\":\"3\",\"image_id\":\"a\",\"category_id\":3,\"bbox\":[20,10,20,10]},"
	      "{\"id\":\"4\",\"image_id\":\"a\",\"category_id\":3}]," CATEGORIES "}",
	      "object/fox[0.5 0.5 0.25 0.25]coco object/fox[0.1 0.1 0.1 0.1]coco object/foxcoco "
	      "taken=2020-12-31T15:45:55.000000+01:00");
	reads("{\"images\":[{\"id\":1}],\"annotations\":[{\"image_id\":1,\"category_id\":0}]," CATEGORIES
	      "}",
	      "nothing");
	refuses("{\"images\":[{\"id\":1,\"file_name\":\"x.jpg\"},{\"id\":2,\"file_name\":\"y.jpg\"}],\"annotations\":[]}",
		"about 2 pictures, none of them IMG_1.jpg");
	refuses("{\"images\":[{\"id\":1}],\"annotations\":[{\"image_id\":1,\"category_id\":9}]," CATEGORIES
		"}",
		"category_id is not among");
	refuses("{\"images\":[{\"id\":1}],\"annotations\":[{\"image_id\":1,\"category_id\":3,\"bbox\":[1,2,3]}]," CATEGORIES
		"}",
		"not four numbers");
	refuses("{\"images\":[{\"id\":1}],\"annotations\":[{\"image_id\":1,\"category_id\":3,\"bbox\":[1,2,1e999,3]}]," CATEGORIES
		"}",
		"not four numbers");
}

static void test_megadetector(void **state)
{
	static const char head[] =
		"{\"info\":{\"format_version\":\"1.5\"},\"detection_categories\":{\"1\":\"animal\","
		"\"2\":\"person\"},\"classification_categories\":{\"0\":\"fox\",\"1\":\"deer\"},";
	char text[2048];

	(void)snprintf(
		text, sizeof(text),
		"%s\"images\":[{\"file\":\"x/IMG_1.jpg\",\"detections\":[{\"category\":\"1\",\"conf\":0.926,"
		"\"bbox\":[0.0,0.2762,0.1539,0.2825],\"classifications\":[[\"1\",0.85],[\"0\",0.07]]}]}]}",
		head);
	reads(text, "object/animal@0.926[0 0.276 0.154 0.282]megadetector "
		    "species/deer@0.85[0 0.276 0.154 0.282]megadetector");
	(void)snprintf(text, sizeof(text),
		       "%s\"images\":[{\"file\":\"IMG_1.jpg\",\"detections\":[]}]}", head);
	reads(text, "nothing");
	(void)snprintf(text, sizeof(text),
		       "%s\"images\":[{\"file\":\"a\",\"failure\":\"Failure image access\"}]}",
		       head);
	reads(text, "");
	(void)snprintf(
		text, sizeof(text),
		"%s\"images\":[{\"file\":\"a\",\"detections\":[{\"category\":\"9\",\"conf\":1,\"bbox\":[0,0,1,1]}]}]}",
		head);
	refuses(text, "not in detection_categories");
	reads("{\"info\":{\"detector_metadata\":{\"typical_detection_threshold\":0.2}},\"detection_categories\":{\"1\":\"a\"},"
	      "\"images\":[{\"file\":\"a\",\"detections\":[{\"category\":\"1\",\"conf\":0.1,\"bbox\":[0,0,1,1]},"
	      "{\"category\":\"1\",\"conf\":0.3,\"bbox\":[0,0,1,1]}]}]}",
	      "object/a@0.3[0 0 1 1]megadetector");
}

static void test_limits(void **state)
{
	size_t len = SIDECAR_BYTES + 1;
	char *text = malloc(len), why[WHY_MAX];
	struct sidecar s;

	assert_non_null(text);
	memset(text, ' ', len);
	assert_int_equal(foreign_parse("x.json", text, len, &front, &no_classes, &s, why), -EFBIG);
	assert_non_null(strstr(why, "1024 KiB"));
	memset(text, '[', 100);
	assert_int_equal(foreign_parse("x.json", text, 100, &front, &no_classes, &s, why),
			 -EBADMSG);
	assert_non_null(strstr(why, "nested deeper"));
	memcpy(text, "{\"a\":1\0}", 8);
	assert_int_equal(foreign_parse("x.json", text, 8, &front, &no_classes, &s, why), -EBADMSG);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ours),    cmocka_unit_test(test_documents),
		cmocka_unit_test(test_takeout), cmocka_unit_test(test_frigate),
		cmocka_unit_test(test_coco),    cmocka_unit_test(test_megadetector),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
