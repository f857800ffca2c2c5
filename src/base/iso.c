/* iso.c - times as text, RFC 3339 out and its common relatives in. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shutterfs/base.h"

void iso_format(int64_t us, int zone_min, char out[ISO_MAX])
{
	int64_t sec = us / 1000000 - (us % 1000000 < 0);
	int64_t local = sec + (int64_t)zone_min * 60;
	int64_t day = local / 86400 - (local % 86400 < 0);
	unsigned of_day = (unsigned)(local - day * 86400);
	int micro = (int)(us % 1000000);
	unsigned zone = (unsigned)abs(zone_min) % 6000;
	int year, month, mday;

	civil_from_day((int32_t)day, &year, &month, &mday);
	(void)snprintf(out, ISO_MAX, "%04d-%02u-%02uT%02u:%02u:%02u.%06u%c%02u:%02u",
		       year % 1000000, (unsigned)month % 100, (unsigned)mday % 100,
		       of_day / 3600 % 24, of_day / 60 % 60, of_day % 60,
		       (unsigned)(micro < 0 ? micro + 1000000 : micro) % 1000000,
		       zone_min < 0 ? '-' : '+', zone / 60, zone % 60);
}

/* Exactly `n` digits; moves *s on. */
static int digits(const char **s, int n)
{
	int value = 0, i;

	for (i = 0; i < n; i++) {
		char c = (*s)[i];

		if (c < '0' || c > '9')
			return -1;
		value = value * 10 + (c - '0');
	}
	*s += n;
	return value;
}

static bool take(const char **s, const char *any)
{
	if (!**s || !strchr(any, **s))
		return false;
	(*s)++;
	return true;
}

/* Microseconds from the digits after the point; more than six are dropped. */
static int fraction(const char **s)
{
	int value = 0, scale = 100000;

	if (**s < '0' || **s > '9')
		return -1;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		value += scale * (**s - '0');
		scale /= 10;
	}
	return value;
}

/* Z, +01:00, +0100 or +01; 1: none there. */
static int zone(const char **s, int *ret_min)
{
	bool west = **s == '-';
	int hour, min = 0;

	if (take(s, "Zz")) {
		*ret_min = 0;
		return 0;
	}
	if (!take(s, "+-"))
		return 1;
	hour = digits(s, 2);
	if (take(s, ":") || (**s && hour >= 0))
		min = digits(s, 2);
	if (hour < 0 || hour > 23 || min < 0 || min > 59)
		return -EINVAL;
	*ret_min = (west ? -1 : 1) * (hour * 60 + min);
	return 0;
}

int iso_parse(const char *s, int64_t *ret_us, int *ret_zone_min)
{
	struct civil c = {0};
	int64_t us;
	int r;

	c.year = digits(&s, 4);
	c.month = take(&s, "-") ? digits(&s, 2) : -1;
	c.day = take(&s, "-") ? digits(&s, 2) : -1;
	c.hour = take(&s, "Tt ") ? digits(&s, 2) : -1;
	c.min = take(&s, ":") ? digits(&s, 2) : -1;
	if (take(&s, ":"))
		c.sec = digits(&s, 2);
	if (take(&s, ".,"))
		c.us = fraction(&s);
	if (!civil_valid(&c))
		return -EINVAL;
	r = zone(&s, &c.zone_min);
	if (r < 0 || *s)
		return -EINVAL;
	us = us_from_civil(&c, r == 0);
	*ret_us = us;
	if (r == 1) { /* none given: what the mount's zone had then */
		int64_t as_utc = us_from_civil(&c, true);

		c.zone_min = (int)((as_utc - us) / 60000000);
	}
	*ret_zone_min = c.zone_min;
	return 0;
}
