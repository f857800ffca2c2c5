/* names.c - which names are safe, what becomes of those that are not, and what a name says about a
 * file.  Names come from cameras, clouds and whoever copies files in: every byte is looked at. */
#include <errno.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shutterfs/model.h"

size_t utf8_len(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	static const struct {
		unsigned char mask, lead;
		uint32_t least;
	} form[] = {
		{0x80, 0x00, 0}, {0xe0, 0xc0, 0x80}, {0xf0, 0xe0, 0x800}, {0xf8, 0xf0, 0x10000}};
	size_t n, i;

	for (n = 0; n < ARRAY_LEN(form); n++) {
		uint32_t c = s[0] & (unsigned char)~form[n].mask;

		if ((s[0] & form[n].mask) != form[n].lead)
			continue;
		for (i = 1; i <= n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return 0;
			c = c << 6 | (s[i] & 0x3f);
		}
		if (c < form[n].least || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
			return 0;
		return n + 1;
	}
	return 0;
}

bool text_ok(const char *s, size_t max)
{
	if (!s || strnlen(s, max + 1) > max)
		return false;
	for (size_t n; *s; s += n) {
		n = utf8_len(s);
		if (n == 0)
			return false;
	}
	return true;
}

/* C0, DEL, and C1 (in UTF-8: C2 80..9F). */
static bool is_control(const unsigned char *s)
{
	return s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f);
}

static bool camera_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

void camera_name_from(const char *title, char out[CAMERA_MAX + 1])
{
	size_t i;

	if (!*title)
		title = "camera";
	for (i = 0; *title && i < CAMERA_MAX; i++) {
		size_t len = utf8_len(title);

		out[i] = camera_byte(*title) ? *title : '-';
		title += len ? len : 1;
	}
	out[i] = '\0';
}

bool camera_name_ok(const char *name)
{
	size_t i;

	for (i = 0; name[i]; i++) {
		if (i >= CAMERA_MAX || !camera_byte(name[i]))
			return false;
	}
	return i > 0;
}

void label_name_from(const char *text, char out[LABEL_MAX + 1])
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0;

	while (*p) {
		size_t len = utf8_len((const char *)p), used = len ? len : 1;
		bool keep = len > 0 && *p != '/' && !is_control(p) && !(n == 0 && *p == '.');

		if (n + (keep ? len : 1) > LABEL_MAX)
			break;
		if (keep)
			memcpy(out + n, p, len);
		else
			out[n] = '-';
		n += keep ? len : 1;
		p += used;
	}
	while (n > 0 && (out[n - 1] == '.' || out[n - 1] == ' '))
		n--;
	if (n == 0)
		out[n++] = '-';
	out[n] = '\0';
}

bool file_name_ok(const char *name)
{
	const unsigned char *p = (const unsigned char *)name;

	if (!*p || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return false;
	while (*p) {
		size_t len = utf8_len((const char *)p);

		if (len == 0 || *p == '/' || is_control(p))
			return false;
		p += len;
	}
	return p - (const unsigned char *)name <= NAME_LIMIT;
}

/* ".*" is what rsync, GIO, Syncthing, macOS, vim and our own writers use; 4913 is vim's probe. */
static const char *const temporary[] = {
	".*",           "*.tmp",        "*.temp",      "*~",         "~$*",
	"~syncthing~*", "*.part",       "*.partial",   "*.filepart", "*.crdownload",
	"*.download",   "*.opdownload", "*.swp",       "*.swo",      "*.swx",
	"Thumbs.db",    "desktop.ini",  "ehthumbs.db", "4913",       "Icon\r",
};

bool upload_name_is_temporary(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(temporary); i++) {
		if (fnmatch(temporary[i], name, FNM_CASEFOLD | FNM_NOESCAPE) == 0)
			return true;
	}
	return false;
}

enum upload_kind upload_kind_of(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (!dot || dot == name)
		return UPLOAD_OTHER;
	if (strcasecmp(dot, ".jpg") == 0 || strcasecmp(dot, ".jpeg") == 0 ||
	    strcasecmp(dot, ".jpe") == 0)
		return UPLOAD_PICTURE;
	return strcasecmp(dot, ".json") == 0 ? UPLOAD_SIDECAR : UPLOAD_OTHER;
}
