/* drivers.h - the drivers behind the table; private to the store room. */
#pragma once

#include "shutterfs/store.h"

extern const struct store_driver store_dir, store_s3, store_null, store_fault;

enum { KEY_SHOWN_MAX = 80 };
/* The key for a message: at most KEY_SHOWN_MAX bytes of it, control bytes as '?'. */
const char *key_shown(const char *key, char out[KEY_SHOWN_MAX + 4]);
/* Has the call been cancelled, or its time run out? 0, -ECANCELED, -ETIMEDOUT. */
int call_check(struct call *c);
