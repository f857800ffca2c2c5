/* rows.h - the corpus: hostile and honest inputs as rows of text, each named for the rule that it breaks.
 *
 *   # a comment
 *   let NAME = TEXT
 *   name of the rule | RESULT | words that it says | TEXT
 *
 * RESULT: 0, a number, an errno's name, or "any".  The words may be empty.  A name that ends in *N stands for N rows, in whose
 * TEXT a lone # as a count is 1 to N.  TEXT is literal but for:
 *
 *   \\ \n \r \t \0 \s (a space) \xNN    one byte
 *   \{NAME}                              what `let` named so
 *   \*N{TEXT}                            N times
 *   \<N{TEXT}  \>N{TEXT}                 its first N bytes; all but its last N */
#pragma once

#include "shutterfs/base.h"

enum { ROW_BYTES = 32 * 1024 * 1024, ROW_ANY = 1 << 30 };

struct row {
	const char *name, *says; /* borrowed */
	int result;              /* ROW_ANY: whatever */
	const uint8_t *data;     /* borrowed */
	size_t len;
};
typedef void row_fn(void *user, const struct row *row);
/* Calls fn for each row of the file; ends the program with "file:line: ..." when it is not one.  Returns how many there were. */
size_t rows_each(const char *path, row_fn *fn, void *user);
/* The bytes as TEXT. */
int row_text(const uint8_t *data, size_t len, struct buf *out);
