/* text.c - text that comes from outside: what may be kept as it is, and error messages made fit
 * for keeping. */
#include <string.h>

#include "db.h"

/* Length of the valid UTF-8 sequence at s; 0: none (overlong forms, surrogates, beyond
 * U+10FFFF). */
static size_t sequence(const unsigned char *s)
{
	size_t n = s[0] < 0x80                   ? 1
		   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
		   : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
		   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
						 : 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90))
		return 0;
	return n;
}

bool text_ok(const char *s, size_t max)
{
	if (!s || strnlen(s, max + 1) > max)
		return false;
	for (size_t n; *s; s += n) {
		n = sequence((const unsigned char *)s);
		if (n == 0)
			return false;
	}
	return true;
}

void text_clip(const char *s, char out[256])
{
	size_t len = 0;
	while (s && *s) {
		size_t n = sequence((const unsigned char *)s);
		bool plain = n > 0 && (unsigned char)*s >= 0x20 && *s != 0x7f;
		size_t add = plain ? n : 1;
		if (len + add > 255)
			break;
		if (plain)
			memcpy(out + len, s, n);
		else
			out[len] = n > 0 ? ' ' : '?';
		len += add;
		s += n > 0 ? n : 1;
	}
	out[len] = 0;
}
