/* test-dataset-freeze.c - freezing: what comes into a dataset, that it stays, over restarts and in a catalog that was made again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "private.h"

#define ok(call) assert_int_equal((call), 0)
#define NOON_US INT64_C(1609412400000000) /* 2020-12-31T11:00:00Z */
#define DAY_US INT64_C(86400000000)

struct temp {
	char dir[64];
	struct catalog *c;
	struct datasets *d;
	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t cond;
	int done, err;
};

static void open_all(struct temp *t)
{
	ok(catalog_open(t->dir, &t->c));
	ok(datasets_open(t->c, t->dir, &t->d));
}

static void close_all(struct temp *t)
{
	t->d = datasets_close(t->d);
	t->c = catalog_close(t->c);
}

static int setup(void **state)
{
	struct temp *t = calloc(1, sizeof(*t));

	(void)snprintf(t->dir, sizeof(t->dir), "/tmp/shutterfs-freeze-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	ok(zone_set("Europe/Prague"));
	ok(pthread_mutex_init(&t->lock, NULL));
	ok(pthread_cond_init(&t->cond, NULL));
	open_all(t);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct temp *t = *state;

	close_all(t);
	ok(remove_tree(AT_FDCWD, t->dir));
	free(t);
	return 0;
}

/* A picture per camera and day; `labels` is the array's text. */
static int64_t reg(struct temp *t, int day, int n, const char *labels)
{
	CLEANUP(buf_done) struct buf text = BUF(4096);
	CLEANUP(sidecar_done) struct sidecar s = {0};
	char why[WHY_MAX];
	struct registration r = {.camera = n % 2 ? "front" : "garden",
				 .taken_us = NOON_US + day * DAY_US + n,
				 .zone_min = 60,
				 .size = 1000 + (uint64_t)n,
				 .sha = {{(uint8_t)n, (uint8_t)day, 1}},
				 .width = 200,
				 .height = 100,
				 .sidecar = &s};
	int64_t id;
	bool new;

	(void)buf_printf(&text, "{\"labels\":%s}", labels);
	ok(sidecar_parse(text.data, text.len, &s, why));
	ok(catalog_register(t->c, &r, &id, &new));
	return id;
}

static void fill(struct temp *t)
{
	for (int day = 0; day < 20; day++)
		for (int n = 0; n < 4; n++)
			reg(t, day, n,
			    n < 2 ? "[{\"kind\":\"object\",\"value\":\"cat\",\"box\":[0,0,0.5,0.5]}]"
				  : "[{\"kind\":\"object\",\"value\":\"dog\"},{\"kind\":\"object\",\"value\":"
				    "\"cat\",\"box\":[0.5,0.5,0.5,0.5]}]");
}

static void on_done(void *user, int err)
{
	struct temp *t = user;

	pthread_mutex_lock(&t->lock);
	t->done++;
	t->err = err;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

static int wait_done(struct temp *t, int64_t id)
{
	ok(datasets_wait(t->d, id, on_done, t));
	pthread_mutex_lock(&t->lock);
	while (!t->done)
		pthread_cond_wait(&t->cond, &t->lock);
	t->done = 0;
	pthread_mutex_unlock(&t->lock);
	return t->err;
}

#define QUERY "{\"query\":{\"label\":\"object/cat\"},\"seed\":7}"

static int64_t freeze(struct temp *t, const char *name)
{
	int64_t id;

	ok(datasets_make(t->d, name, &id));
	ok(datasets_freeze(t->d, id, QUERY, strlen(QUERY)));
	ok(wait_done(t, id));
	return id;
}

static void add_text(struct temp *t, int64_t id, enum dataset_file file, struct buf *out)
{
	CLEANUP(closep) int fd = -1;
	char data[4096];
	uint64_t size;
	ssize_t n;
	size_t before = out->len;

	ok(datasets_text(t->d, id, file, &fd));
	while ((n = read(fd, data, sizeof(data))) > 0)
		ok(buf_add(out, data, (size_t)n));
	ok(datasets_text_size(t->d, id, file, &size));
	assert_int_equal(size, out->len - before);
}

static int add_member(void *user, const struct dataset_member *m)
{
	return buf_printf(user, "%s %d %llu %u %llu+%llu\n", m->stem, m->split,
			  (unsigned long long)m->size, m->flags, (unsigned long long)m->boxes_at,
			  (unsigned long long)m->boxes_len);
}

/* All that a dataset shows, but for its name. */
static void all_of(struct temp *t, int64_t id, struct buf *out)
{
	for (int i = 0; i < DATASET_FILES; i++)
		add_text(t, id, (enum dataset_file)i, out);
	for (int split = 0; split < DATASET_SPLITS; split++) {
		struct dataset_class c = {.number = -1};

		ok(catalog_member_list(t->c, id, (enum dataset_split)split, -1, 0, 1000, add_member,
				       out));
		while (catalog_class_next(t->c, id, (enum dataset_split)split, c.number, &c) == 0) {
			ok(buf_printf(out, "%s:\n", c.name));
			ok(catalog_member_list(t->c, id, (enum dataset_split)split, c.number, 0,
					       1000, add_member, out));
		}
	}
	assert_true(out->len > 10000);
}

static void check_same(const struct buf *a, const struct buf *b)
{
	assert_int_equal(a->len, b->len);
	assert_memory_equal(a->data, b->data, a->len);
}

static int count(void *user, const struct dataset_member *m)
{
	++*(int *)user;
	return 0;
}

static void same_query_same_bytes(void **state)
{
	CLEANUP(buf_done) struct buf a = BUF(1 << 24);
	CLEANUP(buf_done) struct buf b = BUF(1 << 24);
	struct temp *t = *state;
	struct dataset_row row;
	int64_t one, two;
	int n = 0;

	fill(t);
	reg(t, 3, 9, "[]");
	one = freeze(t, "one");
	two = freeze(t, "two");
	all_of(t, one, &a);
	all_of(t, two, &b);
	check_same(&a, &b);
	for (int split = 0; split < DATASET_SPLITS; split++)
		ok(catalog_member_list(t->c, one, (enum dataset_split)split, -1, 0, 1000, count,
				       &n));
	assert_int_equal(n, 80);
	ok(catalog_dataset(t->c, one, &row));
	assert_int_equal(row.state, DATASET_FROZEN);
	assert_true(row.frozen_us > 0 && row.frozen_us % 1000000 == 0);
	assert_int_equal(datasets_freeze(t->d, one, QUERY, strlen(QUERY)), -EROFS);
}

/* Whatever happens to labels and pictures. */
static void frozen_is_frozen(void **state)
{
	CLEANUP(buf_done) struct buf a = BUF(1 << 24);
	CLEANUP(buf_done) struct buf b = BUF(1 << 24);
	struct temp *t = *state;
	int64_t id;

	fill(t);
	id = freeze(t, "one");
	all_of(t, id, &a);
	reg(t, 4, 1, "[{\"kind\":\"object\",\"value\":\"wolf\"}]");
	reg(t, 30, 1, "[{\"kind\":\"object\",\"value\":\"cat\"}]");
	ok(datasets_rename(t->d, id, "other"));
	close_all(t);
	open_all(t);
	all_of(t, id, &b);
	check_same(&a, &b);
}

/* Its texts are written again when they are lost. */
static void texts_come_back(void **state)
{
	CLEANUP(buf_done) struct buf a = BUF(1 << 24);
	CLEANUP(buf_done) struct buf b = BUF(1 << 24);
	struct temp *t = *state;
	char path[128];
	int64_t id;

	fill(t);
	id = freeze(t, "one");
	all_of(t, id, &a);
	close_all(t);
	(void)snprintf(path, sizeof(path), "%s/datasets", t->dir);
	ok(remove_tree(AT_FDCWD, path));
	open_all(t);
	(void)freeze(t, "after"); /* jobs are done in turn */
	all_of(t, id, &b);
	check_same(&a, &b);
}

/* As a rebuild leaves it: notes, and not one picture yet. */
static void only_notes_are_left(void **state)
{
	CLEANUP(buf_done) struct buf a = BUF(1 << 24);
	CLEANUP(buf_done) struct buf b = BUF(1 << 24);
	struct temp *t = *state;
	char key[16][KEY_MAX + 1] = {{0}};
	struct buf body[16];
	struct dataset_row row;
	struct dataset_member m;
	size_t n = 0;
	int64_t id;

	fill(t);
	all_of(t, freeze(t, "one"), &a);
	ok(datasets_rename(t->d, freeze(t, "gone"), "two"));
	while (catalog_note_next(t->c, "datasets/", n ? key[n - 1] : "", key[n]) == 0) {
		body[n] = BUF(1 << 24);
		ok(catalog_note_get(t->c, key[n], &body[n]));
		assert_true(++n < ARRAY_LEN(key));
	}
	assert_int_equal(n, 4);
	close_all(t);
	ok(remove_tree(AT_FDCWD, t->dir));
	ok(make_dirs(t->dir, 0700));
	open_all(t);
	ok(datasets_make(t->d, "two", &id)); /* the name is taken here */
	for (size_t i = 0; i < n; i++) {
		ok(catalog_note_put(t->c, key[i], body[i].data, body[i].len));
		buf_done(&body[i]);
	}
	datasets_look(t->d);
	(void)freeze(t, "after");
	ok(catalog_dataset_find(t->c, "one", &row));
	all_of(t, row.id, &b);
	check_same(&a, &b);
	ok(catalog_member_find(t->c, row.id, "20201231T12-00-00-000001_front", &m));
	assert_false(m.there);
	reg(t, 0, 1, "[]");
	ok(catalog_member_find(t->c, row.id, "20201231T12-00-00-000001_front", &m));
	assert_true(m.there);
	ok(catalog_dataset_find(t->c, "two-2", &row));
	assert_int_equal(row.state, DATASET_FROZEN);
}

/* Killed while it was freezing: with some of the rows, or before its lines were whole. */
static void goes_on_after_a_crash(void **state)
{
	CLEANUP(buf_done) struct buf a = BUF(1 << 24);
	CLEANUP(buf_done) struct buf b = BUF(1 << 24);
	CLEANUP(buf_done) struct buf c = BUF(1 << 24);
	struct temp *t = *state;
	int64_t one, two;

	fill(t);
	one = freeze(t, "one");
	all_of(t, one, &a);
	ok(datasets_make(t->d, "two", &two));
	close_all(t);
	ok(catalog_open(t->dir, &t->c));
	ok(catalog_dataset_set(t->c, one, DATASET_FREEZING, 0, NULL, 0, NULL));
	ok(catalog_dataset_set(t->c, two, DATASET_FREEZING, 0, QUERY, strlen(QUERY), NULL));
	ok(datasets_open(t->c, t->dir, &t->d));
	(void)freeze(t, "after");
	all_of(t, one, &b);
	check_same(&a, &b);
	all_of(t, two, &c);
	check_same(&a, &c);
}

static void a_bad_query_says_why(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {{"{", "line 1"},
		   {"{\"query\":{\"camera\":\"front\"},\"split\":1}", "\"split\""},
		   {"{\"before\":\"never\"}", "before"}};
	struct temp *t = *state;
	struct dataset_row row;
	int64_t id;

	fill(t);
	ok(datasets_make(t->d, "one", &id));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		CLEANUP(buf_done) struct buf text = BUF(1024);

		assert_int_equal(datasets_freeze(t->d, id, bad[i].text, strlen(bad[i].text)),
				 -EINVAL);
		ok(catalog_dataset(t->c, id, &row));
		assert_int_equal(row.state, DATASET_FAILED);
		if (!strstr(row.error, bad[i].why))
			fail_msg("%s: %s", bad[i].text, row.error);
		ok(catalog_dataset_query(t->c, id, &text));
		assert_string_equal(text.data, bad[i].text);
	}
	ok(datasets_freeze(t->d, id, QUERY, strlen(QUERY)));
	ok(wait_done(t, id));
	ok(catalog_dataset(t->c, id, &row));
	assert_string_equal(row.error, "");
	assert_int_equal(t->done, 0);
}

/* As a full disk does, when the lines are whole already. */
static void a_failure_leaves_nothing_to_the_next_query(void **state)
{
	static const char other[] = "{\"query\":{\"label\":\"object/dog\"}}";
	struct temp *t = *state;
	int64_t id;
	int n = 0;

	fill(t);
	id = freeze(t, "one");
	ok(catalog_dataset_set(t->c, id, DATASET_FAILED, 0, NULL, 0, "No space left on device"));
	ok(datasets_freeze(t->d, id, other, strlen(other)));
	ok(wait_done(t, id));
	for (int split = 0; split < DATASET_SPLITS; split++)
		ok(catalog_member_list(t->c, id, (enum dataset_split)split, -1, 0, 1000, count,
				       &n));
	assert_int_equal(n, 40);
}

static void removed_is_gone(void **state)
{
	struct temp *t = *state;
	struct dataset_row row;
	char key[KEY_MAX + 1], path[128];
	int64_t id;
	struct dataset_scratch s = {.dir = 1, .name = "a.npy"};
	int fd;

	fill(t);
	id = s.dataset = freeze(t, "one");
	ok(catalog_scratch_add(t->c, &s));
	ok(datasets_scratch(t->d, &s, O_CREAT | O_RDWR, &fd));
	ok(close(fd));
	ok(datasets_remove(t->d, id));
	assert_int_equal(catalog_dataset(t->c, id, &row), -ENOENT);
	ok(datasets_remove(t->d, freeze(t, "one"))); /* the name is free at once */
	close_all(t);
	open_all(t);
	datasets_look(t->d);
	t->d = datasets_close(t->d);
	ok(datasets_open(t->c, t->dir, &t->d));
	for (row.id = 0; catalog_dataset_each(t->c, row.id, &row) == 0;)
		if (row.state != DATASET_GONE) {
			(void)usleep(1000);
			row.id = 0;
		}
	assert_int_equal(catalog_note_next(t->c, "datasets/", "", key), -ENOENT);
	(void)snprintf(path, sizeof(path), "%s/datasets", t->dir);
	t->d = datasets_close(t->d);
	ok(rmdir(path)); /* nothing is left in it */
	ok(datasets_open(t->c, t->dir, &t->d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(same_query_same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(frozen_is_frozen, setup, teardown),
		cmocka_unit_test_setup_teardown(texts_come_back, setup, teardown),
		cmocka_unit_test_setup_teardown(only_notes_are_left, setup, teardown),
		cmocka_unit_test_setup_teardown(goes_on_after_a_crash, setup, teardown),
		cmocka_unit_test_setup_teardown(a_bad_query_says_why, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failure_leaves_nothing_to_the_next_query, setup,
						teardown),
		cmocka_unit_test_setup_teardown(removed_is_gone, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
