/* test-model-time.c - times that cameras and programs write into names, and other digits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "shutterfs/model.h"

struct row {
	const char *path;
	const char *time; /* in the mount's zone; without microseconds where there are none */
};

static int in_prague(void **state)
{
	return zone_set("Europe/Prague");
}

static void check(const char *path, const char *expected, bool has_time)
{
	char text[ISO_MAX];
	struct civil c;
	bool got_time = !has_time;

	if (time_from_path(path, &c, &got_time) < 0)
		fail_msg("nothing found in %s", path);
	assert_true(civil_valid(&c));
	iso_format(us_from_civil(&c, true), c.zone_min, text);
	if (strncmp(text, expected, strlen(expected)) != 0 || got_time != has_time)
		fail_msg("%s: %s, not %s", path, text, expected);
}

static void times_in_names(void **state)
{
	static const struct row rows[] = {
		{"20201231T15-45-55-123456_front.jpg", "2020-12-31T15:45:55.123456+01:00"},
		{"20201231T15-45-55-123456-2_front.jpg", "2020-12-31T15:45:55.123456"},
		{"20200204T15-23-08-574348.jpg", "2020-02-04T15:23:08.574348"},
		{"MDAlarm_20201231-154555.jpg", "2020-12-31T15:45:55.000000"},
		{"Schedule_20201231-154555.jpg", "2020-12-31T15:45:55.000000"},
		{"front-20201231-154555-k3x9.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12-31-15-45-55.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12-31-15-45-55-1b9d6bcd-bbfd.jpg", "2020-12-31T15:45:55.000000"},
		{"IMG_20201231_154555123.jpg", "2020-12-31T15:45:55.123000"},
		{"IMG_20201231_154555.jpg", "2020-12-31T15:45:55.000000"},
		{"IMG20201231154555.jpg", "2020-12-31T15:45:55.000000"},
		{"IMG_20201231_154555_HDR.jpg", "2020-12-31T15:45:55.000000"},
		{"01-20201231154555-00.jpg", "2020-12-31T15:45:55.000000"},
		{"192.168.1.64_01_20201231154555123_MOTION_DETECTION.jpg",
		 "2020-12-31T15:45:55.123000"},
		{"Front Door_00_20201231154555.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12-31 15.45.55.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12-31T15:45:55.123456+05:30.jpg", "2020-12-31T11:15:55.123456+01:00"},
		{"20201231T154555Z.jpg", "2020-12-31T16:45:55.000000+01:00"},
		{"2020_12_31__15_45_55.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12-31_15h45m55s.jpg", "2020-12-31T15:45:55.000000"},
		{"Screenshot 2020-12-31 at 03.45.55 PM.jpg", "2020-12-31T15:45:55.000000"},
		{"Screenshot 2020-12-31 at 12.45.55 AM.jpg", "2020-12-31T00:45:55.000000"},
		{"WhatsApp Image 2020-12-31 at 15.45.55.jpeg", "2020-12-31T15:45:55.000000"},
		{"20200229_235959.jpg", "2020-02-29T23:59:59.000000"},
		{"2020-12-31_cam_15-45-55.jpg", "2020-12-31T15:45:55.000000"},
		{"begin_20201231154555_end_20201231155000.jpg", "2020-12-31T15:45:55.000000"},
		{"/a/b/2019-01-01/20201231_154555.jpg", "2020-12-31T15:45:55.000000"},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		check(rows[i].path, rows[i].time, true);
}

static void epochs_in_names(void **state)
{
	static const struct row rows[] = {
		{"fetch_front-door_1609425955.jpg", "2020-12-31T15:45:55.000000+01:00"},
		{"human_front_1609425955.jpg", "2020-12-31T15:45:55.000000"},
		{"Welcome/1609425955.jpg", "2020-12-31T15:45:55.000000"},
		{"1607123955.475377-mxklsc", "2020-12-05T00:19:15.475377"},
		{"front-1607123955.475377-mxklsc.jpg", "2020-12-05T00:19:15.475377"},
		{"1609425955123.jpg", "2020-12-31T15:45:55.123000"},
		/* The offset tells the second of the repeated hours from the first. */
		{"1603589400.jpg", "2020-10-25T02:30:00.000000+01:00"},
		{"1603585800.jpg", "2020-10-25T02:30:00.000000+02:00"},
		{"2020-12-31/1609425955.jpg", "2020-12-31T15:45:55.000000"},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		check(rows[i].path, rows[i].time, true);
}

static void dates_in_directories(void **state)
{
	static const struct row rows[] = {
		{"2020/12/31/15.45.55.jpg", "2020-12-31T15:45:55.000000"},
		{"20201231/154555.jpg", "2020-12-31T15:45:55.000000"},
		{"front/2020-12-31/15-45-55.jpg", "2020-12-31T15:45:55.000000"},
		{"front/2020-12-31/15-45-55-1.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12/31/front/154555123.jpg", "2020-12-31T15:45:55.123000"},
		{"202012/31/cam_154555.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12-31/001/jpg/15/45/55[M][0@0][0].jpg", "2020-12-31T15:45:55.000000"},
		{"2020/12/31/15/45/55.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12/31/15/front/45.55.jpg", "2020-12-31T15:45:55.000000"},
		{"2020Y12M31D15H/45M55S60.jpg", "2020-12-31T15:45:55.000000"},
		{"2020-12-31_15-45-55/cam1.jpg", "2020-12-31T15:45:55.000000"},
		{"2019/01/01/2020/12/31/15.45.55.jpg", "2020-12-31T15:45:55.000000"},
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++)
		check(rows[i].path, rows[i].time, true);
}

static void dates_without_a_time(void **state)
{
	check("2020-12-31.jpg", "2020-12-31T00:00:00", false);
	check("front_20201231_7.jpg", "2020-12-31T00:00:00", false);
	check("2020/12/31/img7.jpg", "2020-12-31T00:00:00", false);
	check("20201231/7.jpg", "2020-12-31T00:00:00", false);
	check("2020-12-31/IMG_0042.jpg", "2020-12-31T00:00:00", false);
	/* Two runs of six digits: no telling which. */
	check("2020-12-31/154555_123456.jpg", "2020-12-31T00:00:00", false);
	/* A number that cannot be the time of that date; an address. */
	check("2020-12-31/1409425955.jpg", "2020-12-31T00:00:00", false);
	check("2020-12-31/10.20.30.40.jpg", "2020-12-31T00:00:00", false);
	check("20201231_256199.jpg", "2020-12-31T00:00:00", false);
}

static void wall_times_of_a_changing_clock(void **state)
{
	/* The first of the repeated hours; the skipped one goes on as the clocks went before it. */
	check("20201025_023000.jpg", "2020-10-25T02:30:00.000000+02:00", true);
	check("20200329_023000.jpg", "2020-03-29T02:30:00.000000+01:00", true);
}

static void digits_that_are_no_time(void **state)
{
	static const char *const paths[] = {
		"",
		"/",
		"a.jpg",
		"IMG_0042.jpg",
		"DSC01234.jpg",
		"12345678.jpg",
		"plate_4AB1234_99.jpg",
		"20201331.jpg",
		"20210229.jpg",
		"19891231.jpg",
		"21011231.jpg",
		"ABC20201231.jpg",
		"20201231ABC.jpg",
		"120201231154555.jpg",
		"2020123115455.jpg",
		"a1b20201231154555c3.jpg",
		"d20201231154555e.jpg",
		"deadbeef1609425955cafe.jpg",
		"SN1609425955.jpg",
		"0609425955.jpg",
		"4012345678.jpg",
		"4006381333931.jpg",
		"16094259551.jpg",
		"1609425955/a.jpg",
		"192.168.1.64/a.jpg",
		"15.45.55.jpg",
		"154555.jpg",
		"2020/13/31/15.45.55.jpg",
		"2020/12/15.45.55.jpg",
		"2020/img.jpg",
		"\xff\xfe\x80",
		"2020-12-",
		"2020Y",
		"2020-1231_154555.jpg",
	};
	struct civil c = {.year = 7};
	bool has_time = true;
	size_t i;

	for (i = 0; i < ARRAY_LEN(paths); i++) {
		if (time_from_path(paths[i], &c, &has_time) != -ENOENT)
			fail_msg("%s: %d-%d-%d %d:%d:%d", paths[i], c.year, c.month, c.day, c.hour,
				 c.min, c.sec);
	}
	assert_int_equal(c.year, 7);
	assert_true(has_time);
}

/* Every tail of a name that stops in the middle of something, at the end of its memory. */
static void cut_names_are_read_within_their_bounds(void **state)
{
	static const char *const whole[] = {
		"2020-12-31T15:45:55.123456+05:30.jpg",
		"20201231T15-45-55-123456-2_front.jpg",
		"2020Y12M31D15H45M55S.jpg",
		"Screenshot 2020-12-31 at 03.45.55 PM.jpg",
		"1607123955.475377-mxklsc",
		"2020-12-31/001/jpg/15/45/55[M].jpg",
		"2020-12-31_15h45m55s Z",
		"20201231154555123456",
	};
	size_t i, len;

	for (i = 0; i < ARRAY_LEN(whole); i++) {
		for (len = 0; len <= strlen(whole[i]); len++) {
			CLEANUP(freep) char *cut = strndup(whole[i], len);
			struct civil c;
			bool has_time;

			if (time_from_path(cut, &c, &has_time) == 0)
				assert_true(civil_valid(&c));
		}
	}
}

static void long_paths_keep_their_end(void **state)
{
	char path[9000];
	size_t i;

	for (i = 0; i + 2 < sizeof(path); i += 2)
		memcpy(path + i, "a/", 3);
	memcpy(path + 8000, "/2020-12-31/15.45.55.jpg", 25);
	check(path, "2020-12-31T15:45:55", true);
	memset(path, 'a', 8000);
	check(path, "2020-12-31T15:45:55", true);
	memset(path, '1', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	{
		struct civil c;
		bool has_time;

		assert_int_equal(time_from_path(path, &c, &has_time), -ENOENT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_in_names),
		cmocka_unit_test(epochs_in_names),
		cmocka_unit_test(dates_in_directories),
		cmocka_unit_test(dates_without_a_time),
		cmocka_unit_test(wall_times_of_a_changing_clock),
		cmocka_unit_test(digits_that_are_no_time),
		cmocka_unit_test(cut_names_are_read_within_their_bounds),
		cmocka_unit_test(long_paths_keep_their_end),
	};

	return cmocka_run_group_tests(tests, in_prague, NULL);
}
