/* test-model-pairs.c - which sidecars belong to which pictures, as programs in the wild name them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/model.h"

#include <errno.h>
#include <string.h>

static void test_ranks(void **state)
{
	static const struct {
		const char *picture, *name;
		int rank;
	} pair[] = {
		{"x.jpg", "x.jpg.json", 0},
		{"x.jpg", "x.json", 1},
		{"x.JPG", "x.JSON", 1},
		{"x.jpg", "x.jpg.supplemental-metadata.json", 2},
		{"x.jpg", "x.jpg.supplemental-meta.json", 2},
		{"x.jpg", "x.jpg.s.json", 2},
		{"x.jpg", "x.jpg..json", -ENOENT},
		{"x.jpg", "x.jpg.supplemental-metadatas.json", -ENOENT},
		{"x(1).jpg", "x.jpg(1).json", 2},
		{"x(12).jpg", "x.jpg.supplemental-metadata(12).json", 2},
		{"x.jpg", "x.jpg(1).json", -ENOENT},
		{"x(2).jpg", "x.jpg(1).json", -ENOENT},
		{"x(1).jpg", "x(1).jpg.json", 0},
		{"a_very_long_name_of_a_picture_from_a_telephone_001.jpg",
		 "a_very_long_name_of_a_picture_from_a_telephone.json", 2},
		{"a_very_long_name_of_a_picture_from_a_telephone_001.jpg",
		 "a_very_long_name_of_a_picture_from_a_telephon.json", -ENOENT},
		{"x.jpg", "x.jpg.xmp", 3},
		{"x.jpg", "x.xmp", 4},
		{"x.jpg", "x.txt", 5},
		{"x.jpg", "x.jpg.txt", -ENOENT},
		{"x.jpg", "y.json", -ENOENT},
		{"x.y.jpg", "x.json", -ENOENT},
		{"x.y.jpg", "x.y.json", 1},
		{"x.png", "x.json", -ENOENT},
		{"x.jpg", "x.jpg", -ENOENT},
		{"x.jpg", ".json", -ENOENT},
		{"x.jpg", "", -ENOENT},
	};

	for (size_t i = 0; i < ARRAY_LEN(pair); i++)
		if (sidecar_rank(pair[i].picture, pair[i].name) != pair[i].rank)
			fail_msg("%s of %s: %d", pair[i].name, pair[i].picture,
				 sidecar_rank(pair[i].picture, pair[i].name));
}

static void pictures(const char *name, const char *const *want)
{
	char out[NAME_LIMIT + 1];
	unsigned n = 0;

	for (; want[n]; n++) {
		assert_int_equal(sidecar_picture(name, n, out), 0);
		assert_string_equal(out, want[n]);
	}
	assert_int_equal(sidecar_picture(name, n, out), -ENOENT);
}

static void test_pictures(void **state)
{
	pictures("x.jpg.json", (const char *const[]){"x.jpg", NULL});
	pictures("x.json",
		 (const char *const[]){"x.jpg", "x.JPG", "x.jpeg", "x.JPEG", "x.jpe", NULL});
	pictures("x.JPG.supplemental-m.json", (const char *const[]){"x.JPG", NULL});
	pictures("x.jpg.supplemental-metadata(3).json", (const char *const[]){"x(3).jpg", NULL});
	pictures("x.jpg.xmp", (const char *const[]){"x.jpg", NULL});
	pictures("x.jpg.txt", (const char *const[]){NULL});
	assert_int_equal(sidecar_cut("x.json"), 0);
	assert_int_equal(sidecar_cut("a_very_long_name_of_a_picture_from_a_telephone.json"), 46);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranks),
		cmocka_unit_test(test_pictures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
