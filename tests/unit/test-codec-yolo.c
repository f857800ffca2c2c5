/* test-codec-yolo.c - YOLO's label files and both forms of its list of classes. */
#include "test-codec-foreign.h"

static void classes(const char *name, const char *text, const char *want)
{
	CLEANUP(buf_done) struct buf out = BUF(4096);
	struct classes c;
	char why[WHY_MAX];

	if (classes_parse(name, text, strlen(text), &c, why) != 0)
		fail_msg("%s: %s", text, why);
	for (size_t i = 0; i < c.n; i++)
		(void)buf_printf(&out, "%s|", c.name[i]);
	classes_done(&c);
	assert_string_equal(out.data, want);
}

static void no_list(const char *name, const char *text, const char *want)
{
	struct classes c;
	char why[WHY_MAX];

	assert_int_equal(classes_parse(name, text, strlen(text), &c, why), -EBADMSG);
	if (!strstr(why, want))
		fail_msg("%s: \"%s\" does not say \"%s\"", text, why, want);
}

static void test_classes(void **state)
{
	classes("classes.txt", "person\r\n red fox \ncar", "person|red fox|car|");
	classes("classes.txt", "person\n", "person|");
	classes("data.yaml", "train: images/train\nnc: 2\nnames: ['person', \"a, b\" , car]\n",
		"person|a, b|car|");
	classes("data.yaml", "names: [a,\n  b]\n", "a|b|");
	classes("data.yaml", "names: {0: a, 1: 'b'}\n", "a|b|");
	classes("data.yaml",
		"path: x\nnames:\n  0: person\n  # more\n  1: \"traffic light\"\nnc: 2\n",
		"person|traffic light|");
	classes("data.yaml", "names:\n- a\n- 'b: c'\ntrain: x\n", "a|b: c|");
	no_list("data.yaml", "train: x\n", "no names");
	no_list("classes.txt", "", "no names");
	no_list("classes.txt", "a\n\nb\n", "no name for class 1");
	no_list("data.yaml", "names:\n  0: a\n  2: b\n", "no name for class 1");
	no_list("data.yaml", "names: [a, b", "closing bracket");
	no_list("data.yaml", "names:\n  a: 0\n", "numbered from 0");
	no_list("data.yaml", "names:\n  99999999999: x\n", "more than 10000 classes");
	no_list("classes.txt", "\xff\n", "not UTF-8");
}

static void test_boxes(void **state)
{
	char person[] = "person", fox[] = "red fox", *name[] = {person, fox};
	struct classes two = {name, 2};

	assert_reads("IMG_1.txt", "0 0.5 0.5 0.2 0.4\r\n\n1 0.25 0.25 0.5 0.5 0.75\n", &two,
		     "object/person[0.4 0.3 0.2 0.4]yolo object/red fox@0.75[0 0 0.5 0.5]yolo");
	assert_reads("IMG_1.txt", "1 0.1 0.2 0.5 0.2 0.5 0.6 0.1 0.7", &two,
		     "object/red fox[0.1 0.2 0.4 0.5]yolo");
	assert_reads("IMG_1.txt", "", &two, "nothing");
	assert_bad("IMG_1.txt", "0 0.5 0.5 0.2 0.4\n2 0.5 0.5 0.2 0.4", &two,
		   "line 2: class 2, but the list has 2 classes");
	assert_bad("IMG_1.txt", "0 0.5 0.5 0.2", &two, "line 1: it is neither");
	assert_bad("IMG_1.txt", "0 320 240 100 80", &two, "not in the picture");
	assert_bad("IMG_1.txt", "0 nan 0.5 0.2 0.4", &two, "not a line of numbers");
	assert_bad("IMG_1.txt", "person 0.5 0.5 0.2 0.4", &two, "not a line of numbers");
	assert_bad("IMG_1.txt", "0.5 0.5 0.5 0.2 0.4", &two, "number of a class");
	assert_bad("IMG_1.txt", "-1 0.5 0.5 0.2 0.4", &two, "number of a class");
	assert_bad("IMG_1.txt", "1e9 0.5 0.5 0.2 0.4", &two, "class 1000000000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes),
		cmocka_unit_test(test_boxes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
