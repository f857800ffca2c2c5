/* Fetching while calls fail: whoever asks gets the right bytes or an error, and then, asked again, the bytes. */
#include "../unit/test-fetch.h"
#include "torture.h"

enum { PICTURES = 5, BESIDE = PICTURES }; /* the last is in a directory that is read in place */

static void *begin(void)
{
	static const char *const rules[] = {"", NULL};
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	setup(w, INT64_C(20000000), rules, 2);
	for (unsigned n = 0; n < PICTURES; n++)
		put_object(w, 0, n);
	put_object(w, 1, BESIDE);
	scan(w, 0);
	scan(w, 1);
	w->f = fetch_free(w->f);
	return w;
}

static int64_t id_of(struct world *w, unsigned n)
{
	bool was_armed = shim_pause();
	int64_t id = snap_of(w, n).id;

	if (was_armed)
		shim_resume();
	return id;
}

static int try_get(struct world *w, unsigned n)
{
	CLEANUP(closep) int fd = -1;
	struct call c = {.deadline_us = mono_us() + INT64_C(15000000)};
	int r = fetch_wait(w->f, id_of(w, n), &c, &fd);
	bool was_armed = shim_pause();

	if (r == 0)
		check_fd(fd, n);
	else
		assert_true(c.why[0]);
	if (was_armed)
		shim_resume();
	return r;
}

static int try_begin(struct world *w)
{
	return fetch_new(&w->conf, w->catalog, w->cache, w->slot, w->n, &w->f);
}

static void work(void *data)
{
	struct world *w = data;

	again(try_begin(w));
	for (unsigned n = 0; n <= PICTURES; n++)
		again(try_get(w, n));
	for (unsigned n = 0; n <= PICTURES; n++)
		again(try_get(w, n));
	w->f = fetch_free(w->f);
	again(try_begin(w));
	again(try_get(w, 0));
}

static void end(void *data)
{
	struct world *w = data;

	for (unsigned n = 0; n <= PICTURES; n++)
		assert_int_equal(get(w, n), 0);
	assert_int_equal(totals(w).in_flight, 0);
	assert_int_equal(w->n, 2);
	teardown(w);
	free(w);
}

int main(void)
{
	static const struct scenario all[] = {{"fetch", begin, work, end}};

	return torture(all, ARRAY_LEN(all));
}
