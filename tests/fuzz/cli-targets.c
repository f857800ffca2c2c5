/* cli-targets.c - a verb's words through the control socket, mount(8)'s, and paths as people type them. */
#include "target.h"

#include "cli.h"

#include <errno.h>
#include <string.h>

/* Words that end in a NUL each, and an empty one. */
static int run_request(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(buf_done) struct buf request = BUF(REQUEST_MAX);
	CLEANUP(buf_done) struct buf err = BUF(4096);
	CLEANUP(args_done) struct args args = {0};
	CLEANUP(freep) const char **word = NULL;
	const struct verb *v;
	int n = 0, r = buf_add(&request, data, len);

	/* as it is read: until then more is waited for */
	if (r < 0 || len < 2 || data[len - 1] || data[len - 2])
		return -EAGAIN;
	r = args_split(&request, &word, &n);
	if (r < 0)
		return r;
	v = n > 0 ? verb_find(word[0]) : NULL;
	if (!v)
		return -ENOENT;
	r = args_parse(v->options, v->least, v->most, n, word, &args, &err);
	if (r < 0) {
		HOLDS(err.len > 0 || r != -EINVAL);
		(void)snprintf(why, TARGET_WHY, "%s", err.len ? err.data : "");
		return r;
	}
	HOLDS(args.help || (args.n_operands >= v->least && args.n_operands <= v->most));
	(void)snprintf(why, TARGET_WHY, "%s operands %zu", v->name, args.n_operands);
	return r;
}

/* One word a line. */
static int run_helper(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	enum { WORDS = 64 };
	CLEANUP(freep) char *text = text_of(data, len);
	CLEANUP(buf_done) struct buf err = BUF(4096);
	CLEANUP(args_done) struct args args = {0};
	const char *word[WORDS + 1] = {"mount.shutterfs"};
	bool fake = false;
	char *save = NULL;
	int n = 1, r;

	for (char *p = strtok_r(text, "\n", &save); p && n < WORDS; p = strtok_r(NULL, "\n", &save))
		word[n++] = p;
	r = args_parse_helper(n, word, &args, &fake, &err);
	if (r < 0) {
		HOLDS(err.len > 0);
		(void)snprintf(why, TARGET_WHY, "%s", err.data);
		return r;
	}
	HOLDS(args.n_operands == 1);
	(void)snprintf(why, TARGET_WHY, "at %s options [%s]", args.operand[0],
		       args.mount.len ? args.mount.data : "");
	return r;
}

static int run_path(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	CLEANUP(freep) char *path = NULL;
	int r = tree_path_of(text, "/mnt/cameras", &path);

	if (r < 0)
		return r;
	HOLDS(path && path[0] != '/');
	(void)snprintf(why, TARGET_WHY, "[%s]", path);
	return r;
}

const struct parser cli_targets[] = {
	{"request", run_request}, {"mount-words", run_helper}, {"tree-path", run_path}, {0}};
