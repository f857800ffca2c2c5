/* target.h - a parser of foreign bytes as the corpus and the fuzzer see it. */
#pragma once

#include "shutterfs/base.h"

#include <stdio.h>
#include <stdlib.h>

#define TARGET_WHY 8192

struct parser {
	const char *name; /* of its rows: tests/corpus/<name>.rows; NULL ends a table */
	/* Parses the bytes, checks what must hold of any result, and returns what the parser did; its words in `why`. */
	int (*run)(const uint8_t *data, size_t len, char why[TARGET_WHY]);
};
extern const struct parser model_targets[], config_targets[], net_targets[], codec_targets[],
	foreign_targets[], store_targets[], query_targets[], fs_targets[], cli_targets[];
/* NULL after the last one. */
const struct parser *target_at(size_t i);
/* Zone, environment: the same everywhere. */
void targets_setup(void);

/* What must hold, whatever the bytes; an abort is what fuzzers look for. */
#define HOLDS(x)                                                                                \
	do {                                                                                    \
		if (!(x)) {                                                                     \
			(void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
				      #x);                                                      \
			abort();                                                                \
		}                                                                               \
	} while (0)

/* The bytes as a C string, cut at their first NUL; owned. */
char *text_of(const uint8_t *data, size_t len);
/* Words for people are one line of UTF-8. */
void holds_line(const char *text);
