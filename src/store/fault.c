/* The fault store: a plain directory that fails as told; for the tests of what stands above.
 *
 * path = [fault:]DIR?rule&rule...   A rule is `op=ERROR[@when]` (the call fails with it), `op_hang=SECONDS[@when]` (or
 * `20ms`: the call first waits so long, or until its deadline or cancel), `truncate=N[@when]` (get loses the last N bytes) or
 * `flip=N[@when]` (get inverts byte N).  op is list, get, head, put or delete; when counts the calls of that op from 1:
 * `2` the second, `2-4`, `3-` from the third on; absent: every one.  There is no open_local: reads go through get. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "drivers.h"
#include "shutterfs/net.h"

enum op { OP_LIST, OP_GET, OP_HEAD, OP_PUT, OP_DELETE, OPS };
static const char *const op_name[OPS] = {"list", "get", "head", "put", "delete"};
enum action { ACT_FAIL, ACT_HANG, ACT_TRUNCATE, ACT_FLIP };
enum { RULES_MAX = 16 };

struct rule {
	enum op op;
	enum action action;
	int error;      /* ACT_FAIL: negative */
	uint64_t value; /* microseconds, bytes, offset */
	unsigned long first, last;
};

struct fault {
	struct store_config conf; /* the directory's: its path without the rules */
	char *path;
	void *inner;
	struct rule rule[RULES_MAX];
	size_t n_rules;
	atomic_ulong calls[OPS];
};

static const struct {
	const char *name;
	int error;
} errors[] = {
	{"EIO", EIO},
	{"EACCES", EACCES},
	{"EAGAIN", EAGAIN},
	{"ENOENT", ENOENT},
	{"ENOSPC", ENOSPC},
	{"EFBIG", EFBIG},
	{"EPROTO", EPROTO},
	{"ETIMEDOUT", ETIMEDOUT},
	{"ECONNREFUSED", ECONNREFUSED},
	{"ECONNRESET", ECONNRESET},
	{"EHOSTUNREACH", EHOSTUNREACH},
	{"ENETUNREACH", ENETUNREACH},
};

static int parse_error(const char *text, int *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
		if (strcmp(errors[i].name, text) == 0) {
			*ret = -errors[i].error;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_number(const char *text, uint64_t *ret)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end || errno)
		return -EINVAL;
	*ret = n;
	return 0;
}

/* "2" seconds, "20ms" */
static int parse_wait(char *text, uint64_t *ret_us)
{
	char *ms = strstr(text, "ms");
	uint64_t n;

	if (ms && ms[2] == '\0')
		*ms = '\0';
	else
		ms = NULL;
	if (parse_number(text, &n) < 0 || n > UINT32_MAX)
		return -EINVAL;
	*ret_us = n * (ms ? 1000 : 1000000);
	return 0;
}

/* "2", "2-4", "3-" */
static int parse_when(char *text, struct rule *rule)
{
	char *dash = strchr(text, '-');
	uint64_t first, last;

	if (dash)
		*dash++ = '\0';
	if (parse_number(text, &first) < 0)
		return -EINVAL;
	last = first;
	if (dash && *dash == '\0')
		last = UINT32_MAX;
	else if (dash && parse_number(dash, &last) < 0)
		return -EINVAL;
	rule->first = first;
	rule->last = last;
	return 0;
}

static int parse_op(const char *name, struct rule *rule)
{
	for (size_t i = 0; i < OPS; i++) {
		size_t n = strlen(op_name[i]);

		if (strncmp(name, op_name[i], n) != 0)
			continue;
		rule->op = (enum op)i;
		rule->action = name[n] == '\0' ? ACT_FAIL : ACT_HANG;
		return name[n] == '\0' || strcmp(name + n, "_hang") == 0 ? 0 : -EINVAL;
	}
	rule->op = OP_GET;
	rule->action = strcmp(name, "flip") == 0 ? ACT_FLIP : ACT_TRUNCATE;
	return strcmp(name, "flip") == 0 || strcmp(name, "truncate") == 0 ? 0 : -EINVAL;
}

static int parse_rule(char *text, struct rule *rule)
{
	char *value = strchr(text, '='), *when;

	if (!value)
		return -EINVAL;
	*value++ = '\0';
	when = strchr(value, '@');
	if (when)
		*when++ = '\0';
	rule->first = 1;
	rule->last = UINT32_MAX;
	if (parse_op(text, rule) < 0 || (when && parse_when(when, rule) < 0))
		return -EINVAL;
	if (rule->action == ACT_HANG)
		return parse_wait(value, &rule->value);
	return rule->action == ACT_FAIL ? parse_error(value, &rule->error)
					: parse_number(value, &rule->value);
}

static int parse_rules(struct fault *f, char *text)
{
	char *t;

	while ((t = strsep(&text, "&"))) {
		if (f->n_rules == RULES_MAX)
			return -E2BIG;
		if (parse_rule(t, &f->rule[f->n_rules++]) < 0)
			return -EINVAL;
	}
	return 0;
}

static void fault_close(void *self)
{
	struct fault *f = self;

	if (f->inner)
		store_dir.close(f->inner);
	free(f->path);
	free(f);
}

static int fault_open(const struct store_config *conf, struct buf *err, void **ret_self)
{
	const char *path = conf->path ? conf->path : "";
	struct fault *f = calloc(1, sizeof(*f));
	char *rules;
	int r = 0;

	if (!f)
		return -ENOMEM;
	if (strncmp(path, "fault:", 6) == 0)
		path += 6;
	f->path = strdup(path);
	if (!f->path) {
		fault_close(f);
		return -ENOMEM;
	}
	rules = strchr(f->path, '?');
	if (rules) {
		*rules++ = '\0';
		r = parse_rules(f, rules);
	}
	if (r < 0)
		buf_printf(err,
			   "store \"%s\": the rules after '?' in its path are not understood\n",
			   conf->name);
	f->conf = *conf;
	f->conf.path = f->path;
	if (r == 0)
		r = store_dir.open(&f->conf, err, &f->inner);
	if (r < 0) {
		fault_close(f);
		return r;
	}
	*ret_self = f;
	return 0;
}

/* Runs the rules of this call that wait or fail; `ret_n` is the call's number. */
static int play(struct fault *f, struct call *c, enum op op, unsigned long *ret_n)
{
	unsigned long n = atomic_fetch_add(&f->calls[op], 1) + 1;

	*ret_n = n;
	for (size_t i = 0; i < f->n_rules; i++) {
		const struct rule *rule = &f->rule[i];
		int64_t end = mono_us() + (int64_t)rule->value;
		int r = 0;

		if (rule->op != op || n < rule->first || n > rule->last)
			continue;
		while (rule->action == ACT_HANG && r == 0 && mono_us() < end) {
			r = call_check(c);
			if (r == 0)
				r = retry_sleep(c, 10000);
		}
		if (rule->action == ACT_FAIL)
			r = rule->error;
		if (r < 0) {
			call_why(c, "store \"%s\": %s fails as scripted", f->conf.name,
				 op_name[op]);
			return r;
		}
	}
	return 0;
}

/* The bytes of a get on their way to the caller, spoilt. */
struct spoil {
	store_sink *sink;
	void *user;
	uint64_t at, end;
	uint64_t flip; /* UINT64_MAX: none */
};

static int spoil_sink(void *user, const void *data, size_t len)
{
	struct spoil *s = user;
	CLEANUP(freep) uint8_t *copy = malloc(len);
	uint64_t at = s->at;

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, len);
	s->at += len;
	if (s->flip >= at && s->flip < s->at)
		copy[s->flip - at] ^= 0xff;
	if (at >= s->end)
		return 0;
	return s->sink(s->user, copy, s->at > s->end ? (size_t)(s->end - at) : len);
}

static int fault_get(void *self, struct call *c, const char *key, uint64_t max, store_sink *sink,
		     void *user, struct store_head *ret_head)
{
	struct fault *f = self;
	struct spoil s = {.sink = sink, .user = user, .end = UINT64_MAX, .flip = UINT64_MAX};
	struct store_head head;
	unsigned long n;
	int r = play(f, c, OP_GET, &n);

	if (r == 0)
		r = store_dir.head(f->inner, c, key, &head);
	if (r < 0)
		return r;
	for (size_t i = 0; i < f->n_rules; i++) {
		const struct rule *rule = &f->rule[i];

		if (n < rule->first || n > rule->last)
			continue;
		if (rule->action == ACT_TRUNCATE)
			s.end = head.size > rule->value ? head.size - rule->value : 0;
		if (rule->action == ACT_FLIP)
			s.flip = rule->value;
	}
	return store_dir.get(f->inner, c, key, max, spoil_sink, &s, ret_head);
}

static int fault_list(void *self, struct call *c, const char *prefix, const char *after,
		      store_object_fn *each, void *user)
{
	struct fault *f = self;
	unsigned long n;
	int r = play(f, c, OP_LIST, &n);

	return r < 0 ? r : store_dir.list(f->inner, c, prefix, after, each, user);
}

static int fault_head(void *self, struct call *c, const char *key, struct store_head *ret)
{
	struct fault *f = self;
	unsigned long n;
	int r = play(f, c, OP_HEAD, &n);

	return r < 0 ? r : store_dir.head(f->inner, c, key, ret);
}

static int fault_put(void *self, struct call *c, const char *key, int fd, uint64_t size,
		     const char *mime, const struct sha256 *sha, const uint8_t md5[16],
		     const struct store_meta *meta, struct store_head *ret)
{
	struct fault *f = self;
	unsigned long n;
	int r = play(f, c, OP_PUT, &n);

	return r < 0 ? r : store_dir.put(f->inner, c, key, fd, size, mime, sha, md5, meta, ret);
}

static int fault_delete(void *self, struct call *c, const char *key)
{
	struct fault *f = self;
	unsigned long n;
	int r = play(f, c, OP_DELETE, &n);

	return r < 0 ? r : store_dir.delete(f->inner, c, key);
}

const struct store_driver store_fault = {
	.name = "fault",
	.open = fault_open,
	.close = fault_close,
	.list = fault_list,
	.get = fault_get,
	.head = fault_head,
	.put = fault_put,
	.delete = fault_delete,
};
