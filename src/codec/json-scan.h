/* json-scan.h - strict JSON, checked and cut into its top-level members without building anything. */
#pragma once

#include "shutterfs/base.h"

/* A top-level member: its decoded key and the extent of its value in the text (borrowed).  Non-zero ends the scan with it. */
typedef int json_member_fn(void *user, const char *key, const char *raw, size_t raw_len);

/* `text` must be one object: RFC 8259, UTF-8, depth <= 64, no key twice in an object, no NUL characters, no lone surrogates.
 * Members are reported as they are read, so a caller keeps what it got only when the whole returned 0.  -EBADMSG with why
 * naming line and column. */
int json_scan(const char *text, size_t len, json_member_fn *each, void *user, char *why) MUST_CHECK;
