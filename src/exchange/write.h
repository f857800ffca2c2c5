/* write.h - what the writers of files share. */
#pragma once

#include "shutterfs/exchange.h"

/* Labels that have been met, each with its number, in the order in which they came. */
struct numbers {
	char **name; /* owned: "kind/value" */
	size_t n, cap;
	size_t *slot; /* hash table of 1 + index; owned */
	size_t slots;
};
void numbers_done(struct numbers *t);
int numbers_of(struct numbers *t, const char *kind, const char *value, size_t *ret) MUST_CHECK;
/* A picture's documents, each after it was read: nothing is held while fn waits for somebody. */
typedef int copied_fn(void *user, const char *fp1, const char *body);
int each_document(struct catalog *cat, int64_t snapshot, copied_fn *fn, void *user) MUST_CHECK;
/* "cameras/front/2026-11-22/x.jpg": as the picture stands in the tree. */
void picture_path(const struct snap *s, char *out, size_t size);
