/* Who is given names alone: one who listed a directory, asked for nothing in it and goes on to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/walk.h"

enum { FIND = 100, LS = 101, DAY1 = 11, DAY2 = 12, DAY3 = 13 };

static int begin(void **state)
{
	static struct walks w;

	walks_init(&w);
	*state = &w;
	return 0;
}

static int end(void **state)
{
	walks_done(*state);
	return 0;
}

static void names_alone_from_the_second_directory_on(void **state)
{
	struct walks *w = *state;

	assert_false(walk_goes_on(w, FIND, DAY1));
	walk_listed(w, FIND, DAY1);
	assert_true(walk_goes_on(w, FIND, DAY2));
	walk_listed(w, FIND, DAY2);
	assert_true(walk_goes_on(w, FIND, DAY3));
}

static void the_same_directory_again_is_no_walk(void **state)
{
	struct walks *w = *state;

	walk_listed(w, FIND, DAY1);
	assert_false(walk_goes_on(w, FIND, DAY1));
}

static void who_asks_is_given_attributes_again(void **state)
{
	struct walks *w = *state;

	walk_listed(w, LS, DAY1);
	walk_asked(w, DAY1);
	assert_false(walk_goes_on(w, LS, DAY2));
	walk_listed(w, LS, DAY2);
	walk_asked(w, DAY1); /* elsewhere */
	assert_true(walk_goes_on(w, LS, DAY3));
	walk_asked(w, DAY2);
	assert_false(walk_goes_on(w, LS, DAY3));
}

static void readers_do_not_speak_for_each_other(void **state)
{
	struct walks *w = *state;

	walk_listed(w, FIND, DAY1);
	assert_false(walk_goes_on(w, LS, DAY2));
	walk_listed(w, LS, DAY2);
	walk_asked(w, DAY2);
	assert_true(walk_goes_on(w, FIND, DAY3));
	assert_false(walk_goes_on(w, LS, DAY3));
	walk_listed(w, 0, DAY1);
	assert_false(walk_goes_on(w, 0, DAY2));
	/* in the same place: forgotten, which is no harm */
	walk_listed(w, FIND + WALKERS, DAY1);
	assert_false(walk_goes_on(w, FIND, DAY3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(names_alone_from_the_second_directory_on, begin,
						end),
		cmocka_unit_test_setup_teardown(the_same_directory_again_is_no_walk, begin, end),
		cmocka_unit_test_setup_teardown(who_asks_is_given_attributes_again, begin, end),
		cmocka_unit_test_setup_teardown(readers_do_not_speak_for_each_other, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
