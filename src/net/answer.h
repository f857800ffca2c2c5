/* answer.h - an HTTP answer's header lines, taken apart one by one within a budget; knows nothing of transfers. */
#pragma once

#include "shutterfs/net.h"

struct answer {
	struct http_answer *out; /* borrowed */
	int64_t retry_after_us;
	size_t bytes,
		lines; /* of all headers of this request, also of answers that were followed by another */
	bool chunked;
	bool complete; /* the blank line came: what follows are trailers, which say nothing */
};

/* One line as libcurl hands it over, its line end included.  -EPROTO: over budget, or lines that contradict each other. */
int answer_line(struct answer *a, const char *line, size_t len) MUST_CHECK;
