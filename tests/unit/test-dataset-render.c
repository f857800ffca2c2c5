/* test-dataset-render.c - the texts of a dataset, byte for byte. */
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
#include <sys/stat.h>
#include <unistd.h>

#include "private.h"

struct lines {
	const char *const *line; /* NULL ends */
	size_t rows;
	uint64_t at[16], len[16];
};

static int read_lines(void *user, line_fn *fn, void *fn_user)
{
	const struct lines *l = user;
	int r = 0;

	for (size_t i = 0; r == 0 && l->line[i]; i++)
		r = fn(fn_user, l->line[i], strlen(l->line[i]));
	return r;
}

static int note_row(void *user, const struct member *m, uint64_t at, uint64_t len)
{
	struct lines *l = user;

	l->at[l->rows] = at;
	l->len[l->rows++] = len;
	return 0;
}

struct made {
	char dir[64];
	int fd;
	struct plan plan;
	struct lines lines;
};

static int make(struct made *m, const char *query, const char *const *line)
{
	char why[WHY_MAX] = "";
	struct writer w = {.lines = read_lines, .row = note_row, .user = &m->lines};
	int r;

	*m = (struct made){.dir = "/tmp/shutterfs-dataset-XXXXXX", .lines = {.line = line}};
	assert_non_null(mkdtemp(m->dir));
	m->fd = open(m->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(m->fd >= 0);
	if (spec_parse(query, strlen(query), &m->plan.spec, why) < 0)
		fail_msg("%s", why);
	r = plan_make(&m->plan, &w);
	return r < 0 ? r : dataset_write(&m->plan, &w, m->fd);
}

static void done(struct made *m)
{
	plan_done(&m->plan);
	assert_int_equal(close(m->fd), 0);
	assert_int_equal(remove_tree(AT_FDCWD, m->dir), 0);
}

/* Every text is, byte for byte, the one in tests/unit/<golden>/. */
static void check(struct made *m, const char *golden)
{
	char path[512];

	for (int i = 0; i < DATASET_FILES; i++) {
		CLEANUP(buf_done) struct buf is = BUF(1024 * 1024);
		CLEANUP(buf_done) struct buf should = BUF(1024 * 1024);

		(void)snprintf(path, sizeof(path), "%s/tests/unit/%s/%s", getenv("SOURCE_ROOT"),
			       golden, dataset_file_name[i]);
		assert_int_equal(read_file(m->fd, dataset_file_name[i], is.max, &is), 0);
		assert_int_equal(read_file(AT_FDCWD, path, should.max, &should), 0);
		if (is.len != should.len || (is.len && memcmp(is.data, should.data, is.len) != 0))
			fail_msg("%s is not as in %s:\n%s", dataset_file_name[i], path,
				 is.len ? is.data : "");
	}
}

/* Taken on one camera and day each, so that their splits are known. */
#define ID(day, n) "202611" day "T08-00-00-00000" n
#define LINE(day, n, rest)                                                                      \
	"{\"schema\":\"shutterfs/1\",\"img_id\":\"" ID(day, n) "\",\"camera\":\"a\",\"taken\":" \
							       "\"2026-11-" day                 \
							       "T08:00:00.00000" n              \
							       "+01:00\"," rest "}"
#define SIZE "\"width\":200,\"height\":100"

static const char *const boxes[] = {
	LINE("01", "1",
	     SIZE
	     ",\"labels\":[{\"kind\":\"object\",\"value\":\"person\",\"box\":[0.1,0.2,0.3,0.4]},"
	     "{\"kind\":\"object\",\"value\":\"car\",\"box\":[0.5,0.5,0.7,0.5]},"
	     "{\"kind\":\"weather\",\"value\":\"fog\"}]"),
	LINE("01", "2", SIZE ",\"labels\":[]"),
	LINE("01", "3", SIZE),
	LINE("01", "4", "\"labels\":[{\"kind\":\"object\",\"value\":\"car\",\"box\":[0,0,1,1]}]"),
	LINE("01", "5", SIZE ",\"labels\":[{\"kind\":\"object\",\"value\":\"train\"}]"),
	LINE("01", "6",
	     SIZE ",\"labels\":[{\"kind\":\"object\",\"value\":\"car\",\"box\":[2,2,1,1]}]"),
	LINE("02", "1",
	     SIZE ",\"labels\":[{\"kind\":\"object\",\"value\":\"person\",\"box\":[0,0,0.5,0.5]}]"),
	NULL,
};

static void labels_with_boxes(void **state)
{
	struct made m;

	assert_int_equal(make(&m, "{\"query\":{},\"classes\":\"object\"}", boxes), 0);
	check(&m, "dataset-boxes");
	assert_int_equal(m.lines.rows, 7);
	assert_int_equal(m.lines.at[0], 0);
	assert_int_equal(m.lines.len[0], 76);
	assert_int_equal(m.lines.len[1], 0);
	assert_int_equal(m.lines.at[3], 76);
	assert_int_equal(m.lines.len[3], 38);
	done(&m);
}

static const char *const drives[] = {
	LINE("01", "1",
	     SIZE
	     ",\"comment\":\"a \\\"caption\\\"\",\"documents\":[{\"label\":{\"direction\":2,\"to\":\"left\"}}]"),
	LINE("02", "1",
	     SIZE
	     ",\"documents\":[{\"label\":{\"direction\":2.0}},{\"label\":{\"direction\":10}}]"),
	LINE("02", "2",
	     SIZE
	     ",\"documents\":[{\"label\":{\"direction\":null}},{\"direction\":3},{\"label\":7}]"),
	LINE("03", "1", "\"documents\":[{\"label\":{\"direction\":\"\"}}]"),
	NULL,
};

static void a_field_of_documents(void **state)
{
	struct made m;

	assert_int_equal(
		make(&m,
		     "{\"query\":{\"camera\":\"a\"},\"classes\":{\"field\":\"label.direction\"},"
		     "\"split\":{\"train\":1}}",
		     drives),
		0);
	check(&m, "dataset-field");
	done(&m);
}

static const char *const kinds[] = {
	LINE("01", "1",
	     SIZE ",\"labels\":[{\"kind\":\"b\",\"value\":\"x\"},{\"kind\":\"b\",\"value\":\"y\"},"
		  "{\"kind\":\"c\",\"value\":\"z\"}]"),
	LINE("01", "2", SIZE ",\"labels\":[{\"kind\":\"c\",\"value\":\"z\"}]"),
	NULL,
};

/* Without a word about classes it is the kind that most pictures have. */
static void the_usual_kind(void **state)
{
	struct made m;

	assert_int_equal(make(&m, "{}", kinds), 0);
	assert_string_equal(m.plan.spec.kind, "c");
	assert_int_equal(m.plan.classes.n, 1);
	assert_string_equal(m.plan.classes.item[0].name, "z");
	done(&m);
}

static void nothing_at_all(void **state)
{
	static const char *const none[] = {NULL};
	struct made m;

	assert_int_equal(make(&m, "{}", none), 0);
	assert_null(m.plan.spec.kind);
	check(&m, "dataset-empty");
	done(&m);
}

/* A split without boxes would have other types than one with some. */
static void objects_in_every_split_or_in_none(void **state)
{
	static const char *const line[] = {
		LINE("01", "1", SIZE ",\"labels\":[{\"kind\":\"k\",\"value\":\"x\"}]"),
		LINE("02", "1",
		     SIZE ",\"labels\":[{\"kind\":\"k\",\"value\":\"x\",\"box\":[0,0,1,1]}]"),
		NULL,
	};
	struct made m;

	assert_int_equal(make(&m, "{}", line), 0);
	assert_int_equal(m.plan.hf[DATASET_TRAIN], 1);
	assert_int_equal(m.plan.hf[DATASET_TEST], 1);
	assert_false(m.plan.hf_objects);
	done(&m);
}

static void bad_lines_are_errors(void **state)
{
	static const char *const bad[] = {"", "{", "{\"img_id\":\"x\",\"camera\":\"a\"}",
					  "{\"img_id\":\"" ID("01", "1") "\"}",
					  "{\"img_id\":\"" ID("01", "1") "\",\"camera\":\"a/b\"}"};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const char *const line[] = {bad[i], NULL};
		struct made m;

		assert_int_equal(make(&m, "{}", line), -EBADMSG);
		done(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_with_boxes),
		cmocka_unit_test(a_field_of_documents),
		cmocka_unit_test(the_usual_kind),
		cmocka_unit_test(nothing_at_all),
		cmocka_unit_test(objects_in_every_split_or_in_none),
		cmocka_unit_test(bad_lines_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
