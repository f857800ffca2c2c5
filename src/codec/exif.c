/* exif.c - when a picture was taken, by its EXIF: DateTimeOriginal, SubSecTimeOriginal, OffsetTimeOriginal; by libexif.
 *
 * DateTime is not used (programs that edit a picture change it), nor DateTimeDigitized (when film was scanned). */
#include "exif.h"
#include "shutterfs/base.h"

#include <libexif/exif-data.h>
#include <string.h>

static void exif_unrefp(ExifData **d)
{
	if (*d)
		exif_data_unref(*d);
}

/* An ASCII value, cut at its NUL; false: absent. */
static bool ascii(ExifData *d, ExifTag tag, char *out, size_t size)
{
	ExifEntry *e = exif_content_get_entry(d->ifd[EXIF_IFD_EXIF], tag);
	size_t len;

	if (!e) /* where some programs put it, by mistake */
		e = exif_content_get_entry(d->ifd[EXIF_IFD_0], tag);
	if (!e || e->format != EXIF_FORMAT_ASCII || !e->data || e->size == 0)
		return false;
	len = strnlen((const char *)e->data, e->size);
	if (len >= size)
		return false;
	memcpy(out, e->data, len);
	out[len] = '\0';
	return true;
}

/* Exactly n digits. */
static bool digits(const char *s, size_t n, int *ret)
{
	int value = 0;

	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		value = value * 10 + (s[i] - '0');
	}
	*ret = value;
	return true;
}

/* "2020:12:31 15:45:55"; the separators vary between makers. */
static bool parse_date(const char *s, struct civil *c)
{
	return strlen(s) >= 19 && digits(s, 4, &c->year) && digits(s + 5, 2, &c->month) &&
	       digits(s + 8, 2, &c->day) && digits(s + 11, 2, &c->hour) &&
	       digits(s + 14, 2, &c->min) && digits(s + 17, 2, &c->sec);
}

/* "123" is 123 ms: a decimal fraction of any length. */
static int parse_subsec(const char *s)
{
	int us = 0, scale = 100000;

	for (; *s >= '0' && *s <= '9'; s++) {
		us += (*s - '0') * scale;
		scale /= 10;
	}
	return us;
}

static bool parse_offset(const char *s, int *ret_min)
{
	int h, m;

	if (strcmp(s, "Z") == 0) {
		*ret_min = 0;
		return true;
	}
	if (strlen(s) < 6 || (s[0] != '+' && s[0] != '-') || s[3] != ':' || !digits(s + 1, 2, &h) ||
	    !digits(s + 4, 2, &m) || h > 14 || m > 59)
		return false;
	*ret_min = (s[0] == '-' ? -1 : 1) * (h * 60 + m);
	return true;
}

/* What a clock shows that was never set. */
static bool never_set(const struct civil *c)
{
	return c->month == 1 && c->day == 1 && (c->year == 1970 || c->year == 1980);
}

bool exif_taken(const uint8_t *data, size_t len, struct civil *ret, bool *ret_has_zone)
{
	CLEANUP(exif_unrefp) ExifData *d = exif_data_new();
	char date[32], text[32];
	struct civil c = {0};
	bool has_zone;

	if (!d || len > 64 * 1024)
		return false;
	/* It would "repair" by inventing entries, and pass over those that stand elsewhere. */
	exif_data_unset_option(d, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
	exif_data_unset_option(d, EXIF_DATA_OPTION_IGNORE_UNKNOWN_TAGS);
	exif_data_load_data(d, data, (unsigned)len);
	if (!ascii(d, EXIF_TAG_DATE_TIME_ORIGINAL, date, sizeof(date)) || !parse_date(date, &c))
		return false;
	if (ascii(d, EXIF_TAG_SUB_SEC_TIME_ORIGINAL, text, sizeof(text)))
		c.us = parse_subsec(text);
	has_zone = ascii(d, EXIF_TAG_OFFSET_TIME_ORIGINAL, text, sizeof(text)) &&
		   parse_offset(text, &c.zone_min);
	if (!civil_valid(&c) || never_set(&c))
		return false;
	*ret = c;
	*ret_has_zone = has_zone;
	return true;
}
