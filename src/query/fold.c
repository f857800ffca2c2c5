/* fold.c - texts as people search them: words without case, whatever stands between them. */
#include "private.h"

#include <wchar.h>
#include <wctype.h>

/* One character; what is not UTF-8 counts as a byte that belongs to no word. */
static wint_t next_char(const unsigned char *p, size_t n, size_t *ret_len)
{
	wint_t c = p[0];
	size_t len = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : 4;

	*ret_len = 1;
	if (len == 1)
		return c;
	if (c < 0xc2 || c > 0xf4 || len > n)
		return 0;
	c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	*ret_len = len;
	return c;
}

static void put_char(wint_t c, struct buf *out)
{
	unsigned char b[4];
	size_t n = 0;

	if (c < 0x80) {
		b[n++] = (unsigned char)c;
	} else if (c < 0x800) {
		b[n++] = (unsigned char)(0xc0 | c >> 6);
	} else if (c < 0x10000) {
		b[n++] = (unsigned char)(0xe0 | c >> 12);
		b[n++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
	} else {
		b[n++] = (unsigned char)(0xf0 | c >> 18);
		b[n++] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
		b[n++] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
	}
	if (c >= 0x80)
		b[n++] = (unsigned char)(0x80 | (c & 0x3f));
	(void)buf_add(out, b, n);
}

int fold(locale_t locale, const char *text, size_t len, struct buf *out)
{
	const unsigned char *p = (const unsigned char *)text;
	bool in_word = false;

	for (size_t i = 0, n = 0; i < len; i += n) {
		wint_t c = next_char(p + i, len - i, &n);
		bool word = c == '_' || iswalnum_l(c, locale);

		if (word != in_word && (in_word || !out->len))
			(void)buf_add(out, " ", 1);
		if (word)
			put_char(towlower_l(c, locale), out);
		in_word = word;
	}
	return buf_add(out, " ", in_word ? 1 : 0);
}
