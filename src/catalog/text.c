/* text.c - error messages that come from outside, made fit for keeping. */
#include <string.h>

#include "db.h"

void text_clip(const char *s, char out[256])
{
	size_t len = 0;
	while (s && *s) {
		size_t n = utf8_len(s);
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
