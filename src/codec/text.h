/* text.h - small things about text that several files of this room need. */
#pragma once

#include "shutterfs/codec.h"

/* Length of the valid UTF-8 sequence at the start of p[0..n): 1-4; 0: none there (also surrogates, overlong forms). */
size_t utf8_sequence(const char *p, size_t n);
/* The longest length <= max that does not cut a character of the valid UTF-8 text s. */
size_t utf8_cut(const char *s, size_t len, size_t max);
/* Decimal digits only; -EBADMSG otherwise or on overflow. */
int parse_u64(const char *s, uint64_t *ret) MUST_CHECK;
