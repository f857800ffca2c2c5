/* pairs.c - which files' names belong to a picture's: x.jpg.json, x.json, x.jpg.supplemental-metadata.json, x.jpg.xmp, x.xmp, x.txt.
 *
 * Google Takeout cuts the names of its files at 51 bytes and counts copies in other places: x(1).jpg has
 * x.jpg.supplemental-metadata(1).json. */
#include "shutterfs/model.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char *const picture_suffix[] = {".jpg", ".JPG", ".jpeg", ".JPEG", ".jpe"};
static const char supplemental[] = "supplemental-metadata";

/* Length of the name before its last suffix; the whole when it has none. */
static size_t base_length(const char *name)
{
	const char *dot = strrchr(name, '.');

	return dot && dot != name ? (size_t)(dot - name) : strlen(name);
}

/* "(12)" at the end of name[0..n): where it begins; n: none. */
static size_t count_at(const char *name, size_t n)
{
	size_t at = n;

	if (n < 4 || name[n - 1] != ')')
		return n;
	for (at = n - 1; at > 0 && isdigit((unsigned char)name[at - 1]); at--)
		;
	return at > 1 && at < n - 1 && name[at - 1] == '(' ? at - 1 : n;
}

static bool is_picture(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(picture_suffix); i++) {
		size_t s = strlen(picture_suffix[i]);

		if (n > s && strncasecmp(name + n - s, picture_suffix[i], s) == 0)
			return true;
	}
	return false;
}

/* Takeout's, of the picture's name in name[0..*len) with the count of copies after it; false: it is none. */
static bool cut_supplemental(const char *name, size_t *len, size_t *count)
{
	size_t n = *len, at = count_at(name, n), dot = at;

	*count = at;
	while (dot > 0 && name[dot - 1] != '.')
		dot--;
	if (dot > 1 && at > dot && at - dot < sizeof(supplemental) &&
	    strncmp(name + dot, supplemental, at - dot) == 0) {
		*len = dot - 1;
		return is_picture(name, *len);
	}
	*len = at;
	return at < n && is_picture(name, at); /* x.jpg(1).json */
}

/* Of a picture's name and "(1)": x(1).jpg. */
static int counted(const char *name, size_t len, const char *count, size_t n,
		   char out[NAME_LIMIT + 1])
{
	size_t base = len;

	while (base > 0 && name[base - 1] != '.')
		base--;
	if (len + n > NAME_LIMIT || base == 0)
		return -ENAMETOOLONG;
	(void)snprintf(out, NAME_LIMIT + 1, "%.*s%.*s%.*s", (int)base - 1, name, (int)n, count,
		       (int)(len - base + 1), name + base - 1);
	return 0;
}

int sidecar_picture(const char *name, unsigned n, char out[NAME_LIMIT + 1])
{
	size_t base = base_length(name), len = base, count = base;
	bool json = strcasecmp(name + base, ".json") == 0;

	if (strlen(name) > NAME_LIMIT)
		return -ENAMETOOLONG;
	if (json && cut_supplemental(name, &len, &count)) {
		if (n > 0)
			return -ENOENT;
		return counted(name, len, name + count, base - count, out);
	}
	if (is_picture(name, base)) {
		if (n > 0 || strcasecmp(name + base, ".txt") == 0)
			return -ENOENT;
		(void)snprintf(out, NAME_LIMIT + 1, "%.*s", (int)base, name);
		return 0;
	}
	if (n >= ARRAY_LEN(picture_suffix))
		return -ENOENT;
	if (base + strlen(picture_suffix[n]) > NAME_LIMIT)
		return -ENAMETOOLONG;
	(void)snprintf(out, NAME_LIMIT + 1, "%.*s%s", (int)base, name, picture_suffix[n]);
	return 0;
}

size_t sidecar_cut(const char *name)
{
	size_t n = base_length(name);

	return n == SIDECAR_CUT && strcasecmp(name + n, ".json") == 0 ? n : 0;
}

int sidecar_rank(const char *picture, const char *name)
{
	size_t whole = strlen(picture), stem = base_length(picture), base = base_length(name);
	const char *suffix = name + base;
	bool of_whole = base == whole && memcmp(name, picture, whole) == 0;
	bool of_stem = base == stem && memcmp(name, picture, stem) == 0;
	char other[NAME_LIMIT + 1];
	size_t len = base, count;

	if (!is_picture(picture, whole))
		return -ENOENT;
	if (strcasecmp(suffix, ".xmp") == 0)
		return of_whole ? 3 : of_stem ? 4 : -ENOENT;
	if (strcasecmp(suffix, ".txt") == 0)
		return of_stem ? 5 : -ENOENT;
	if (strcasecmp(suffix, ".json") != 0)
		return -ENOENT;
	if (of_whole || of_stem)
		return of_whole ? 0 : 1;
	if (cut_supplemental(name, &len, &count))
		return sidecar_picture(name, 0, other) == 0 && strcmp(other, picture) == 0
			       ? 2
			       : -ENOENT;
	return sidecar_cut(name) && whole > base && memcmp(name, picture, base) == 0 ? 2 : -ENOENT;
}
