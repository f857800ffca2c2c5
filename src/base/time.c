/* time.c - clocks, the mount's one time zone, and the calendar (counted in eras of 400 years, from
 * 1 March, so that the leap day comes last). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shutterfs/base.h"

enum { DAY_S = 86400, US = 1000000 };

static int64_t clock_us(clockid_t id)
{
	struct timespec ts;

	(void)clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * US + ts.tv_nsec / 1000;
}

int64_t now_us(void)
{
	return clock_us(CLOCK_REALTIME);
}

int64_t mono_us(void)
{
	return clock_us(CLOCK_MONOTONIC);
}

int cond_wait_until(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_us)
{
	const struct timespec t = {.tv_sec = until_us / US, .tv_nsec = until_us % US * 1000};

	return -pthread_cond_clockwait(cond, lock, CLOCK_MONOTONIC, &t);
}

/* libc takes any unknown name for UTC without a word, so the zone's file is looked at first. */
static bool zone_exists(const char *name)
{
	const char *base = getenv("TZDIR");
	char path[512], magic[4];
	CLEANUP(closep) int fd = -1;
	int n;

	if (!*name || *name == '/' || *name == ':' || strstr(name, ".."))
		return false;
	n = snprintf(path, sizeof(path), "%s/%s", base ? base : "/usr/share/zoneinfo", name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd >= 0 && pread_all(fd, magic, sizeof(magic), 0) == 0 &&
	       memcmp(magic, "TZif", 4) == 0;
}

int zone_set(const char *name)
{
	if (name && strcmp(name, "UTC") != 0 && !zone_exists(name))
		return -EINVAL;
	if (name && setenv("TZ", name, 1) < 0)
		return -errno;
	tzset();
	return 0;
}

int32_t day_from_civil(int year, int month, int day)
{
	int y = year - (month <= 2);
	int era = (y >= 0 ? y : y - 399) / 400;
	int of_era = y - era * 400; /* 0..399 */
	int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day -
		      1; /* from 1 March */

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

void civil_from_day(int32_t day, int *year, int *month, int *mday)
{
	int64_t z = (int64_t)day + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097;
	int d = (int)(z - era * 146097); /* day of the era */
	int y = (d - d / 1460 + d / 36524 - d / 146096) / 365;
	int of_year = d - (365 * y + y / 4 - y / 100);
	int m = (5 * of_year + 2) / 153; /* from March */

	*mday = of_year - (153 * m + 2) / 5 + 1;
	*month = m < 10 ? m + 3 : m - 9;
	*year = (int)(y + era * 400) + (*month <= 2);
}

bool civil_valid(const struct civil *c)
{
	int y, m, d;

	if (c->year < 1970 || c->year > 9999 || c->month < 1 || c->month > 12 || c->day < 1 ||
	    c->day > 31)
		return false;
	if (c->hour < 0 || c->hour > 23 || c->min < 0 || c->min > 59 || c->sec < 0 || c->sec > 59 ||
	    c->us < 0 || c->us >= US)
		return false;
	civil_from_day(day_from_civil(c->year, c->month, c->day), &y, &m, &d);
	return m == c->month && d == c->day;
}

/* Seconds the mount's zone is ahead of UTC at this instant. */
static long offset_at(int64_t sec)
{
	time_t t = (time_t)sec;
	struct tm tm;

	return localtime_r(&t, &tm) ? tm.tm_gmtoff : 0;
}

static int64_t floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

void civil_from_us(int64_t us, struct civil *ret)
{
	int64_t sec = floor_div(us, US);
	long offset = offset_at(sec);
	int64_t local = sec + offset, day = floor_div(local, DAY_S);
	int of_day = (int)(local - day * DAY_S), rest = (int)(us % US);
	struct civil c = {
		.hour = of_day / 3600,
		.min = of_day / 60 % 60,
		.sec = of_day % 60,
		.us = rest < 0 ? rest + US : rest,
		.zone_min = (int)(offset / 60),
	};

	civil_from_day((int32_t)day, &c.year, &c.month, &c.day);
	*ret = c;
}

/* The instant at which the zone's clocks show `local`.  In the hour that is repeated: the first of
 * the two.  In the hour that is skipped: as the clocks went before it, so 02:30 is what they then
 * call 03:30. */
static int64_t instant_of(int64_t local)
{
	long before = offset_at(local - DAY_S);
	long offset[] = {before, offset_at(local), offset_at(local + DAY_S)};
	int64_t best = local - before;
	bool found = false;
	size_t i;

	for (i = 0; i < ARRAY_LEN(offset); i++) {
		int64_t t = local - offset[i];

		if (offset_at(t) == offset[i] && (!found || t < best)) {
			best = t;
			found = true;
		}
	}
	return best;
}

int64_t us_from_civil(const struct civil *c, bool use_zone)
{
	int64_t day = day_from_civil(c->year, c->month, c->day);
	int64_t local = day * DAY_S + c->hour * 3600 + c->min * 60 + c->sec;

	return (use_zone ? local - (int64_t)c->zone_min * 60 : instant_of(local)) * US + c->us;
}
