/* hex.c - digests as text: lower-case digits out, either case in. */
#include <errno.h>
#include <string.h>

#include "shutterfs/base.h"

void hex_encode(const uint8_t *data, size_t len, char *out)
{
	static const char digit[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		out[2 * i] = digit[data[i] >> 4];
		out[2 * i + 1] = digit[data[i] & 15];
	}
	out[2 * len] = '\0';
}

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int hex_decode(const char *hex, uint8_t *out, size_t len)
{
	size_t i;

	if (strnlen(hex, 2 * len + 1) != 2 * len)
		return -EINVAL;
	for (i = 0; i < 2 * len; i++) {
		if (digit_value(hex[i]) < 0)
			return -EINVAL;
	}
	for (i = 0; i < len; i++)
		out[i] = (uint8_t)(digit_value(hex[2 * i]) << 4 | digit_value(hex[2 * i + 1]));
	return 0;
}
