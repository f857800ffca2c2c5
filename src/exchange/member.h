/* member.h - one member of a JSON object that is read for little else. */
#pragma once

#include "shutterfs/base.h"

/* Its JSON text (owned), or what a string says, appended. -ENOENT; -EBADMSG: the text is no object, or the member no string */
int member_of(const char *text, size_t len, const char *key, char **ret) MUST_CHECK;
int member_text(const char *text, size_t len, const char *key, struct buf *out) MUST_CHECK;
