/* test-base-time.c - the calendar, the mount's zone with its skipped and repeated hours, times as
 * text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "shutterfs/base.h"

#define SEC INT64_C(1000000)

static int in_prague(void **state)
{
	return zone_set("Europe/Prague");
}

static struct civil civil(int year, int month, int day, int hour, int min, int sec)
{
	return (struct civil){
		.year = year, .month = month, .day = day, .hour = hour, .min = min, .sec = sec};
}

static void check_civil(int64_t us, const char *expected)
{
	char text[ISO_MAX];
	struct civil c;

	civil_from_us(us, &c);
	iso_format(us, c.zone_min, text);
	assert_string_equal(text, expected);
	assert_int_equal(us_from_civil(&c, true), us);
}

static void days_go_there_and_back(void **state)
{
	int32_t day;

	assert_int_equal(day_from_civil(1970, 1, 1), 0);
	assert_int_equal(day_from_civil(2000, 2, 29), 11016);
	assert_int_equal(day_from_civil(1969, 12, 31), -1);
	assert_int_equal(day_from_civil(9999, 12, 31), 2932896);
	for (day = -800000; day < 3000000; day += 13) {
		int y, m, d;

		civil_from_day(day, &y, &m, &d);
		assert_int_equal(day_from_civil(y, m, d), day);
		assert_in_range(m, 1, 12);
		assert_in_range(d, 1, 31);
	}
}

static void the_calendar_knows_its_dates(void **state)
{
	static const struct {
		int year, month, day;
		bool ok;
	} row[] = {{2020, 2, 29, true},  {2021, 2, 29, false}, {2100, 2, 29, false},
		   {2000, 2, 29, true},  {2021, 4, 31, false}, {2021, 0, 1, false},
		   {2021, 13, 1, false}, {2021, 1, 0, false},  {1969, 12, 31, false},
		   {9999, 12, 31, true}, {10000, 1, 1, false}, {-1, -1, -1, false}};
	struct civil c;
	size_t i;

	for (i = 0; i < ARRAY_LEN(row); i++) {
		c = civil(row[i].year, row[i].month, row[i].day, 0, 0, 0);
		assert_int_equal(civil_valid(&c), row[i].ok);
	}
	c = civil(2020, 1, 1, 23, 59, 59);
	assert_true(civil_valid(&c));
	c.sec = 60;
	assert_false(civil_valid(&c));
	c = civil(2020, 1, 1, 24, 0, 0);
	assert_false(civil_valid(&c));
	c = civil(2020, 1, 1, 0, 0, 0);
	c.us = 1000000;
	assert_false(civil_valid(&c));
}

static void wall_time_follows_the_zone(void **state)
{
	check_civil(INT64_C(1609425955123456), "2020-12-31T15:45:55.123456+01:00");
	check_civil(INT64_C(1593611155000000), "2020-07-01T15:45:55.000000+02:00");
	check_civil(0, "1970-01-01T01:00:00.000000+01:00");
	check_civil(-1, "1970-01-01T00:59:59.999999+01:00");
	assert_true(civil_valid(&(struct civil){.year = 2020, .month = 3, .day = 29, .hour = 2}));
}

/* 2020-03-29: 01:59:59 CET is followed by 03:00:00 CEST. */
static void the_skipped_hour_goes_on_as_before_it(void **state)
{
	const int64_t change = INT64_C(1585443600) * SEC;
	struct civil c = civil(2020, 3, 29, 1, 59, 59);

	assert_int_equal(us_from_civil(&c, false), change - SEC);
	c = civil(2020, 3, 29, 3, 0, 0);
	assert_int_equal(us_from_civil(&c, false), change);
	c = civil(2020, 3, 29, 2, 30, 0);
	assert_int_equal(us_from_civil(&c, false), change + 1800 * SEC);
	check_civil(us_from_civil(&c, false), "2020-03-29T03:30:00.000000+02:00");
}

/* 2020-10-25: 02:59:59 CEST is followed by 02:00:00 CET. */
static void the_repeated_hour_is_the_first_of_the_two(void **state)
{
	const int64_t change = INT64_C(1603587600) * SEC;
	struct civil c = civil(2020, 10, 25, 2, 30, 0);

	assert_int_equal(us_from_civil(&c, false), change - 1800 * SEC);
	check_civil(change - 1800 * SEC, "2020-10-25T02:30:00.000000+02:00");
	check_civil(change + 1800 * SEC, "2020-10-25T02:30:00.000000+01:00");
	/* With its offset the second is told from the first. */
	c.zone_min = 60;
	assert_int_equal(us_from_civil(&c, true), change + 1800 * SEC);
	c = civil(2020, 10, 25, 1, 59, 59);
	assert_int_equal(us_from_civil(&c, false), change - 3601 * SEC);
	c = civil(2020, 10, 25, 3, 0, 0);
	assert_int_equal(us_from_civil(&c, false), change + 3600 * SEC);
}

static void every_hour_of_a_year_goes_there_and_back(void **state)
{
	int64_t us = INT64_C(1577836800) * SEC;
	int hour;

	for (hour = 0; hour < 366 * 24; hour++, us += 3600 * SEC) {
		struct civil c;
		int64_t back;

		civil_from_us(us, &c);
		assert_true(civil_valid(&c));
		back = us_from_civil(&c, false);
		if (back != us) /* the second of the repeated hours */
			assert_int_equal(us - back, 3600 * SEC);
	}
}

static void other_zones_and_unknown_ones(void **state)
{
	struct civil c = civil(2021, 10, 3, 2, 15, 0);

	assert_int_equal(zone_set("Europe/Nowhere"), -EINVAL);
	assert_int_equal(zone_set("../../etc/passwd"), -EINVAL);
	assert_int_equal(zone_set("/etc/localtime"), -EINVAL);
	assert_int_equal(zone_set(""), -EINVAL);
	assert_int_equal(zone_set("Europe"), -EINVAL);
	assert_int_equal(zone_set("tzdata.zi"), -EINVAL);
	/* None of them has changed the zone. */
	check_civil(0, "1970-01-01T01:00:00.000000+01:00");
	assert_int_equal(zone_set("Australia/Lord_Howe"), 0); /* skips half an hour */
	check_civil(us_from_civil(&c, false), "2021-10-03T02:45:00.000000+11:00");
	assert_int_equal(zone_set("America/St_Johns"), 0);
	check_civil(INT64_C(1609425955) * SEC, "2020-12-31T11:15:55.000000-03:30");
	assert_int_equal(zone_set("UTC"), 0);
	check_civil(0, "1970-01-01T00:00:00.000000+00:00");
	assert_int_equal(zone_set("Europe/Prague"), 0);
}

static void text_is_read_in_its_common_forms(void **state)
{
	static const struct {
		const char *text;
		int64_t us;
		int zone;
	} row[] = {
		{"2020-12-31T15:45:55.123456+01:00", INT64_C(1609425955123456), 60},
		{"2020-12-31T14:45:55.123456Z", INT64_C(1609425955123456), 0},
		{"2020-12-31t14:45:55z", INT64_C(1609425955000000), 0},
		{"2020-12-31 15:45:55.1", INT64_C(1609425955100000), 60},
		{"2020-12-31T15:45:55,123", INT64_C(1609425955123000), 60},
		{"2020-12-31T15:45:55.123456789Z", INT64_C(1609429555123456), 0},
		{"2020-12-31T15:45+0100", INT64_C(1609425900000000), 60},
		{"2020-12-31T09:15:55-05:30", INT64_C(1609425955000000), -330},
		{"2020-07-01T15:45:55", INT64_C(1593611155000000), 120},
		{"2020-12-31T16:45:55+02", INT64_C(1609425955000000), 120},
		{"2020-10-25T02:30:00", INT64_C(1603585800000000), 120},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(row); i++) {
		int64_t us = 0;
		int zone = 0;

		assert_int_equal(iso_parse(row[i].text, &us, &zone), 0);
		assert_int_equal(us, row[i].us);
		assert_int_equal(zone, row[i].zone);
	}
}

static void text_that_is_no_time_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"2020",
		"2020-12-31",
		"2020-13-31T15:45:55Z",
		"2020-02-30T15:45:55Z",
		"2020-12-31T24:00:00Z",
		"2020-12-31T15:60:55Z",
		"2020-12-31T15:45:55.Z",
		"2020-12-31T15:45:55Zx",
		"2020-12-31T15:45:55+1",
		"2020-12-31T15:45:55+01:",
		"2020-12-31T15:45:55+24:00",
		"2020-12-31T15:45:55 ",
		"2020-12-31T15:",
		"20-12-31T15:45:55Z",
		" 2020-12-31T15:45:55Z",
		"-2020-12-31T15:45:55Z",
		"\302\262020-12-31T15:45:55Z",
	};
	int64_t us = 7;
	int zone = 7;
	size_t i;

	for (i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(iso_parse(bad[i], &us, &zone), -EINVAL);
	assert_int_equal(us, 7);
	assert_int_equal(zone, 7);
}

static void any_instant_can_be_written(void **state)
{
	int64_t before = mono_us();
	char text[ISO_MAX];
	struct civil c;

	civil_from_us(INT64_MIN, &c);
	assert_in_range(c.us, 0, 999999);
	civil_from_us(INT64_MAX, &c);
	assert_in_range(c.us, 0, 999999);
	iso_format(INT64_MAX, 1439, text);
	assert_true(strlen(text) < ISO_MAX);
	iso_format(INT64_MIN, -1439, text);
	assert_true(strlen(text) < ISO_MAX);
	iso_format(-1, 0, text);
	assert_string_equal(text, "1969-12-31T23:59:59.999999+00:00");
	assert_true(mono_us() >= before);
	assert_true(now_us() > INT64_C(1577836800) * SEC);
}

static void *signal_it(void *cond)
{
	(void)usleep(20000);
	(void)pthread_cond_signal(cond);
	return NULL;
}

static void waits_end_by_a_signal_or_in_time(void **state)
{
	pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	int64_t until = mono_us() + SEC / 20;
	pthread_t other;
	int r = 0;

	(void)pthread_mutex_lock(&lock);
	while (r == 0) /* it may wake for nothing */
		r = cond_wait_until(&cond, &lock, until);
	assert_int_equal(r, -ETIMEDOUT);
	assert_true(mono_us() >= until);
	assert_int_equal(cond_wait_until(&cond, &lock, 0), -ETIMEDOUT);
	assert_int_equal(pthread_create(&other, NULL, signal_it, &cond), 0);
	assert_int_equal(cond_wait_until(&cond, &lock, mono_us() + 60 * SEC), 0);
	(void)pthread_mutex_unlock(&lock);
	(void)pthread_join(other, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(days_go_there_and_back),
		cmocka_unit_test(the_calendar_knows_its_dates),
		cmocka_unit_test(wall_time_follows_the_zone),
		cmocka_unit_test(the_skipped_hour_goes_on_as_before_it),
		cmocka_unit_test(the_repeated_hour_is_the_first_of_the_two),
		cmocka_unit_test(every_hour_of_a_year_goes_there_and_back),
		cmocka_unit_test(other_zones_and_unknown_ones),
		cmocka_unit_test(text_is_read_in_its_common_forms),
		cmocka_unit_test(text_that_is_no_time_is_refused),
		cmocka_unit_test(any_instant_can_be_written),
		cmocka_unit_test(waits_end_by_a_signal_or_in_time),
	};

	return cmocka_run_group_tests(tests, in_prague, NULL);
}
