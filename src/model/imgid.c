/* imgid.c - img_id and stem: the time a snapshot was taken, as its name for ever. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "shutterfs/model.h"

enum { TIME_LEN = 24 /* "20201231T15-45-55-123456" */ };

size_t img_id_format(int64_t taken_us, unsigned dup, char out[IMG_ID_MAX + 1])
{
	struct civil c;
	size_t n;

	civil_from_us(taken_us, &c);
	n = (size_t)snprintf(out, IMG_ID_MAX + 1, "%04u%02u%02uT%02u-%02u-%02u-%06u",
			     (unsigned)c.year % 10000, (unsigned)c.month % 100,
			     (unsigned)c.day % 100, (unsigned)c.hour % 24, (unsigned)c.min % 60,
			     (unsigned)c.sec % 60, (unsigned)c.us % 1000000);
	if (dup > 0)
		n += (size_t)snprintf(out + n, IMG_ID_MAX + 1 - n, "-%u", dup);
	return n;
}

/* Exactly `n` digits at s; -1: not digits. */
static int number(const char *s, size_t n)
{
	int value = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		value = value * 10 + (s[i] - '0');
	}
	return value;
}

/* "-1", "-2"...: no leading zero, so that a name has one spelling. */
static int parse_dup(const char *s, size_t len, unsigned *ret)
{
	uint64_t value = 0;
	size_t i;

	if (len < 2 || len > 11 || s[0] != '-' || s[1] == '0')
		return -EINVAL;
	for (i = 1; i < len; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -EINVAL;
		value = value * 10 + (unsigned)(s[i] - '0');
	}
	if (value > UINT32_MAX)
		return -EINVAL;
	*ret = (unsigned)value;
	return 0;
}

int img_id_parse(const char *s, size_t len, struct civil *ret, unsigned *ret_dup)
{
	struct civil c = {0};
	unsigned dup = 0;

	if (len < TIME_LEN || s[8] != 'T' || s[11] != '-' || s[14] != '-' || s[17] != '-')
		return -EINVAL;
	c.year = number(s, 4);
	c.month = number(s + 4, 2);
	c.day = number(s + 6, 2);
	c.hour = number(s + 9, 2);
	c.min = number(s + 12, 2);
	c.sec = number(s + 15, 2);
	c.us = number(s + 18, 6);
	if (!civil_valid(&c))
		return -EINVAL;
	if (len > TIME_LEN && parse_dup(s + TIME_LEN, len - TIME_LEN, &dup) < 0)
		return -EINVAL;
	*ret = c;
	*ret_dup = dup;
	return 0;
}

int stem_parse(const char *stem, struct civil *ret, unsigned *ret_dup,
	       char ret_camera[CAMERA_MAX + 1])
{
	const char *split = strchr(stem, '_');

	if (!split || !camera_name_ok(split + 1))
		return -EINVAL;
	if (img_id_parse(stem, (size_t)(split - stem), ret, ret_dup) < 0)
		return -EINVAL;
	(void)snprintf(ret_camera, CAMERA_MAX + 1, "%s", split + 1);
	return 0;
}
