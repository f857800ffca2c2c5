/* Queries while calls fail: every match, or an error; a query that cannot be read for want of memory is not a wrong one. */
#include "../unit/test-catalog-temp.h"
#include "shutterfs/codec.h"
#include "shutterfs/query.h"
#include "torture.h"

enum { PICTURES = 6 };

static const char text[] =
	"{\"camera\":\"front\",\"after\":\"2020-01-01\",\"label.label_direction\":2}";

static void *begin(void)
{
	char body[128];
	void *state;
	struct temp *t;

	ok(temp_open(&state));
	t = state;
	for (unsigned n = 0; n < PICTURES; n++) {
		int64_t id = add_picture(t, "front", n, 0);

		(void)snprintf(body, sizeof(body),
			       "{\"label\":{\"label_direction\":%u,\"label_speed\":%u}}", 1 + n % 2,
			       n);
		ok(catalog_document_add(t->c, id, body, "me", NULL));
	}
	return t;
}

static int add_text(void *user, const void *data, size_t len)
{
	return buf_add(user, data, len);
}

static int count(void *user, const struct snap *s)
{
	++*(unsigned *)user;
	return 0;
}

static int try_all(struct temp *t, const struct query *q)
{
	CLEANUP(buf_done) struct buf out = BUF(65536);
	unsigned n = 0;
	int r = query_each(q, t->c, 0, NULL, count, &n);

	if (r < 0)
		return r;
	assert_int_equal(n, PICTURES / 2);
	r = query_labels(q, t->c, QUERY_LABELS, NULL, add_text, &out);
	n = 0;
	for (const char *p = out.data; r == 0 && (p = strstr(p, "label_direction")); p++)
		n++;
	assert_true(r < 0 || n == PICTURES / 2);
	return r;
}

/* r, q and why: what became of its text. */
static int try_understood(struct temp *t, int r, struct query *q, const char *why)
{
	if (r == -EBADMSG)
		fail_msg("%s", why);
	if (r < 0)
		return r;
	r = try_all(t, q);
	(void)query_free(q);
	return r;
}

static int try_text(struct temp *t)
{
	struct query *q;
	char why[WHY_MAX];
	int r = query_parse(text, sizeof(text) - 1, &q, why);

	return try_understood(t, r, q, why);
}

static int try_words(struct temp *t)
{
	static const char *const word[] = {"label.label_direction:2", "camera:front"};
	struct query *q;
	char why[WHY_MAX];
	int r = query_words(word, ARRAY_LEN(word), &q, why);

	return try_understood(t, r, q, why);
}

static void work(void *data)
{
	again(try_text(data));
	again(try_words(data));
}

static void end(void *data)
{
	ok(try_text(data));
	ok(temp_close(&data));
}

int main(void)
{
	static const struct scenario all[] = {{"query", begin, work, end}};

	return torture(all, ARRAY_LEN(all));
}
