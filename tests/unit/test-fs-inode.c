/* Inode numbers say what they name, and only real days have names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "fs/inode.h"

/* What each kind may carry. */
static bool can_be(struct node n)
{
	switch (n.kind) {
	case NODE_ROOT:
	case NODE_CAMERAS:
	case NODE_DATES:
	case NODE_LABELS:
	case NODE_STARRED:
	case NODE_GHOSTS:
	case NODE_QUERIES:
	case NODE_DATASETS:
		return n.id == 0 && n.day == 0;
	case NODE_YEAR:
		return n.id <= 9999 && n.day == 0;
	case NODE_MONTH:
		return n.id < 120000 && n.day == 0;
	case NODE_DAY:
	case NODE_STARRED_DAY:
		return n.id == 0;
	case NODE_CAMERA_DAY:
	case NODE_LABEL_DAY:
	case NODE_DATASET_DIR:
	case NODE_DATASET_TEXT:
	case NODE_DATASET_CLASS:
		return true;
	default:
		return n.day == 0;
	}
}

static void every_node_survives_its_number(void **state)
{
	static const int64_t ids[] = {0, 1, 9999, 31999, 119999, INT64_C(1) << 33};
	static const int32_t days[] = {0, 20779, 2932896};
	unsigned tried = 0;

	for (int kind = NODE_ROOT; kind < NODE_KINDS; kind++) {
		for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
			for (size_t k = 0; k < ARRAY_LEN(days); k++) {
				struct node n = {
					.kind = (enum node_kind)kind, .id = ids[i], .day = days[k]};
				struct node back = node_from_ino(node_ino(n));

				if (!can_be(n))
					continue;
				assert_int_equal(back.kind, kind);
				assert_int_equal(back.day, n.day);
				assert_int_equal(back.id, n.id);
				tried++;
			}
		}
	}
	assert_in_range(tried, NODE_KINDS, 300);
}

static void numbers_differ_by_kind_id_and_day(void **state)
{
	struct node a = {.kind = NODE_CAMERA_DAY, .id = 1, .day = 2},
		    b = {.kind = NODE_CAMERA_DAY, .id = 2, .day = 1};
	struct node c = {.kind = NODE_SNAP, .id = 1}, d = {.kind = NODE_SIDECAR, .id = 1};

	assert_true(node_ino(a) != node_ino(b));
	assert_true(node_ino(c) != node_ino(d));
	assert_true(node_ino(a) < (UINT64_C(1) << 62)); /* positive as a signed number, too */
	assert_int_equal(node_ino((struct node){.kind = NODE_ROOT}), 1);
}

static void foreign_numbers_name_nothing(void **state)
{
	static const uint64_t ino[] = {0,
				       2,
				       UINT64_MAX,
				       UINT64_C(63) << 56,
				       (uint64_t)NODE_KINDS << 56,
				       ((uint64_t)NODE_CAMERAS << 56) |
					       1, /* there is one of them */
				       ((uint64_t)NODE_ROOT << 56),
				       ((uint64_t)NODE_YEAR << 56) | 10000,
				       ((uint64_t)NODE_MONTH << 56) | 120000,
				       ((uint64_t)NODE_DAY << 56) | 2932897,
				       ((uint64_t)NODE_CAMERA_DAY << 56) | 0x3fffff};

	for (size_t i = 0; i < ARRAY_LEN(ino); i++)
		assert_int_equal(node_from_ino(ino[i]).kind, NODE_NONE);
}

static void days_are_written_one_way(void **state)
{
	static const char *const bad[] = {"",           "2026-1-22",   "2026-11-31", "2026-02-30",
					  " 026-11-22", "2026-11-22 ", "1969-12-31", "+026-11-22",
					  "2026/11/22", "20261-1-22",  "latest.jpg"};
	char name[16];
	int32_t day;

	assert_int_equal(day_from_name("2026-11-22", &day), 0);
	day_name(day, name);
	assert_string_equal(name, "2026-11-22");
	assert_int_equal(day, day_from_civil(2026, 11, 22));
	assert_int_equal(day_from_name("2024-02-29", &day), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(day_from_name(bad[i], &day), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_node_survives_its_number),
		cmocka_unit_test(numbers_differ_by_kind_id_and_day),
		cmocka_unit_test(foreign_numbers_name_nothing),
		cmocka_unit_test(days_are_written_one_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
