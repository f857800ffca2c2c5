/* test-fetch-ahead.c - the read-ahead policy against traces of readers as there are: copiers, thumbnailers, loaders, people. */
#include "test-fetch-ahead.h"

static void in_order(struct sim *w, size_t from, size_t n, int64_t think_us)
{
	struct reader *r = reader_new(w, n, think_us);

	for (size_t i = 0; i < n; i++)
		r->id[i] = (int64_t)(from + i) + 1;
}

static void report(const char *what, const struct sim *w, const struct outcome *o, int64_t took,
		   int64_t alone)
{
	print_message("%s: %u opened, %u got, %u ahead, %u in vain, %.1f times as fast, %u jobs\n",
		      what, o->opened, o->got, o->ahead, o->vain, (double)alone / (double)took,
		      w->jobs);
}

static void cp_r_reads_days_in_order(void **state)
{
	struct outcome o;
	struct sim w;

	sim_new(&w, 4, 500, 1);
	in_order(&w, 0, 2000, MS / 2);
	int64_t took = sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("cp -r", &w, &o, took, one_by_one(&w, 2000, MS / 2));
	assert_int_equal(o.got, 2000);
	assert_true(took * 5 < one_by_one(&w, 2000, MS / 2));
	assert_true(took < 2000 * w.each_us * 5 / 4); /* what the server can give */
	assert_true(w.jobs < 2000 + 600);
	sim_free(&w);
}

static void small_days_are_one_order(void **state)
{
	struct outcome o;
	struct sim w;

	sim_new(&w, 300, 4, 1);
	in_order(&w, 0, 1200, MS / 2);
	int64_t took = sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("small days", &w, &o, took, one_by_one(&w, 1200, MS / 2));
	assert_true(took * 4 < one_by_one(&w, 1200, MS / 2));
	sim_free(&w);
}

/* The first pass only stats, which the policy does not hear of; the second one's files are read by one process in order, but not
 * those that are there already. */
static void rsync_leaves_some_out(void **state)
{
	struct outcome o;
	struct sim w;

	sim_new(&w, 2, 1000, 1);
	struct reader *r = reader_new(&w, 2000, MS);
	r->n = 0;
	for (int64_t i = 0; i < 2000; i++)
		if (i < 700 || i >= 900) /* a stretch is up to date */
			r->id[r->n++] = i + 1;
	int64_t took = sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("rsync", &w, &o, took, one_by_one(&w, 1800, MS));
	assert_true(took * 5 < one_by_one(&w, 1800, MS));
	assert_true(o.vain <= 64);
	sim_free(&w);
}

/* Four threads take the next file each; a decoder needs some time. */
static void thumbnailer_with_four_threads(void **state)
{
	struct outcome o;
	struct sim w;
	unsigned seed = 7;

	sim_new(&w, 1, 1000, 1);
	for (size_t t = 0; t < 4; t++) {
		struct reader *r = reader_new(&w, 250, 4 * MS + (int64_t)dice(&seed, 2000));

		for (size_t i = 0; i < 250; i++)
			r->id[i] = (int64_t)(i * 4 + t) + 1;
	}
	int64_t took = sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("thumbnailer", &w, &o, took, one_by_one(&w, 250, 5 * MS));
	assert_int_equal(o.got, 1000);
	assert_true(took * 2 < one_by_one(&w, 250, 5 * MS));
	sim_free(&w);
}

/* Workers of a loader take batches in turn: other processes, the same order. */
static void loader_in_order_with_four_workers(void **state)
{
	struct outcome o;
	struct sim w;

	sim_new(&w, 1, 4096, 1);
	for (size_t t = 0; t < 4; t++) {
		struct reader *r = reader_new(&w, 1024, 2 * MS);

		for (size_t i = 0; i < 1024; i++)
			r->id[i] = (int64_t)(i / 32 * 128 + t * 32 + i % 32) + 1;
	}
	int64_t took = sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("loader in order", &w, &o, took, one_by_one(&w, 1024, 2 * MS));
	assert_int_equal(o.got, 4096);
	assert_true(took < 4096 * w.each_us * 5 / 4);
	sim_free(&w);
}

static void loader_shuffles(void **state)
{
	struct outcome o;
	struct sim w;

	for (size_t workers = 1; workers <= 4; workers *= 4) {
		sim_new(&w, 5, 2000, 1);
		int64_t *id = calloc(2000, sizeof(*id));

		for (int64_t i = 0; i < 2000; i++)
			id[i] = 4000 + i + 1;
		shuffle(id, 2000, 3);
		for (size_t t = 0; t < workers; t++) {
			struct reader *r = reader_new(&w, 2000 / workers, MS / 2);

			memcpy(r->id, id + t * r->n, r->n * sizeof(*id));
		}
		free(id);
		int64_t took = sim_run(&w, 1000 * S);
		o = sim_outcome(&w);
		report("shuffled", &w, &o, took, one_by_one(&w, 2000 / workers, MS / 2));
		assert_int_equal(o.got, 2000);
		assert_true(took < 2000 * w.each_us * 3 / 2); /* what the server can give */
		sim_free(&w);
	}
}

/* Chance meets few of what was fetched in these: that alone is no other reader. */
static void unlucky_shuffles_are_read_ahead(void **state)
{
	static const unsigned unlucky[] = {8 * 7919, 18 * 7919, 24 * 7919, 31 * 7919, 112 * 7919};

	for (size_t k = 0; k < ARRAY_LEN(unlucky); k++) {
		struct sim w;

		sim_new(&w, 5, 2000, 1);
		struct reader *r = reader_new(&w, 2000, MS / 2);
		for (int64_t i = 0; i < 2000; i++)
			r->id[i] = 4000 + i + 1;
		shuffle(r->id, 2000, unlucky[k]);
		assert_true(sim_run(&w, 1000 * S) < 2000 * w.each_us * 3 / 2);
		sim_free(&w);
	}
}

/* ImageFolder over many classes or days, by one process and by several. */
static void loader_shuffles_many_directories(void **state)
{
	struct outcome o;
	struct sim w;

	for (size_t workers = 1; workers <= 4; workers *= 4) {
		sim_new(&w, 40, 200, 2);
		for (size_t i = 0; i < w.n; i++)
			w.pic[i].snap.size =
				80000; /* the budget of bytes has room for all of them */
		int64_t *id = calloc(4000, sizeof(*id));

		for (int64_t i = 0; i < 4000; i++)
			id[i] = i + 2001; /* 20 directories of 40 */
		shuffle(id, 4000, 3);
		for (size_t t = 0; t < workers; t++) {
			struct reader *r = reader_new(&w, 4000 / workers, MS / 2);

			memcpy(r->id, id + t * r->n, r->n * sizeof(*id));
		}
		free(id);
		int64_t took = sim_run(&w, 1000 * S);
		o = sim_outcome(&w);
		report("shuffled, 20 directories", &w, &o, took,
		       one_by_one(&w, 4000 / workers, MS / 2));
		assert_int_equal(o.got, 4000);
		assert_int_equal(o.vain, 0);
		assert_true(took < 4000 * w.each_us * 2); /* what the server can give */
		sim_free(&w);
	}
}

/* The same directories, each picture as likely again. */
static void random_walk_in_many_directories(void **state)
{
	struct outcome o;
	struct sim w;

	for (unsigned seed = 1; seed <= 12; seed++) {
		unsigned dice_seed = seed;

		sim_new(&w, 40, 200, 2);
		struct reader *r = reader_new(&w, 500 * (seed % 4 + 1), MS);
		for (size_t i = 0; i < r->n; i++)
			r->id[i] = (int64_t)dice(&dice_seed, 4000) + 2001;
		(void)sim_run(&w, 1000 * S);
		o = sim_outcome(&w);
		report("walk in 20 directories", &w, &o, 1, 1);
		assert_true(o.vain * 5 <= o.got);
		sim_free(&w);
	}
}

static void random_walk_costs_little(void **state)
{
	static const unsigned each[] = {1, 10, 50, 300, 1250};
	struct outcome o;
	struct sim w;

	for (size_t run = 1; run <= 12;
	     run += run == 1 ? 2 : 9) /* pictures in a row, then elsewhere */
		for (size_t k = 0; k < ARRAY_LEN(each); k++) {
			unsigned seed = 5;

			sim_new(&w, 10000 / each[k] < 400 ? 10000 / each[k] : 400, each[k], 1);
			if (w.n <= run) {
				sim_free(&w);
				continue;
			}
			struct reader *r = reader_new(&w, 1200, MS);
			for (size_t i = 0; i < r->n; i++)
				r->id[i] = i % run ? r->id[i - 1] + 1
						   : (int64_t)dice(&seed, w.n - run) + 1;
			(void)sim_run(&w, 1000 * S);
			o = sim_outcome(&w);
			print_message("walk of %zu in days of %u: %u got, %u in vain\n", run,
				      each[k], o.got, o.vain);
			assert_true(o.vain * 5 <= o.got);
			sim_free(&w);
		}
}

static void reader_that_stops_wastes_little(void **state)
{
	struct outcome o;
	struct sim w;

	for (size_t n = 1; n < 600; n += n < 12 ? 1 : n) {
		sim_new(&w, 1, 2000, 1);
		in_order(&w, 100, n, MS);
		struct reader *later = reader_new(&w, 1, 0);
		later->id[0] = 1;
		later->ready_us = w.now_us + 60 * S;
		(void)sim_run(&w, 100 * S);
		o = sim_outcome(&w);
		assert_true(o.vain <= (n < 3 ? 0 : n < 12 ? 4 : n * 2 / 3));
		sim_free(&w);
	}
}

static void viewer_going_backwards(void **state)
{
	struct outcome o;
	struct sim w;

	sim_new(&w, 1, 600, 1);
	struct reader *r = reader_new(&w, 500, 10 * MS);
	for (int64_t i = 0; i < 500; i++)
		r->id[i] = 600 - i;
	int64_t took = sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("backwards", &w, &o, took, one_by_one(&w, 500, 10 * MS));
	assert_true(took * 2 < one_by_one(&w, 500, 10 * MS));
	assert_true(o.ahead > 450);
	sim_free(&w);
}

static void two_cameras(void **state)
{
	struct outcome o;
	struct sim w;

	for (int all = 0; all < 2; all++) {
		sim_new(&w, 1, 2000, 2);
		struct reader *r = reader_new(&w, 2000, MS);
		r->n = 0;
		for (int64_t i = 0; i < 2000; i++)
			if (all || i % 2)
				r->id[r->n++] = i + 1;
		int64_t took = sim_run(&w, 1000 * S);
		o = sim_outcome(&w);
		report(all ? "dates/" : "one of two cameras", &w, &o, took,
		       one_by_one(&w, r->n, MS));
		assert_true(took * 5 < one_by_one(&w, r->n, MS));
		assert_int_equal(o.vain, 0);
		sim_free(&w);
	}
}

/* labels/<kind>/<value>/<day>: every tenth picture, at random. */
static void label_in_order(void **state)
{
	struct outcome o;
	struct sim w;
	unsigned seed = 11;

	sim_new(&w, 20, 500, 1);
	struct reader *r = reader_new(&w, w.n, MS);
	r->n = 0;
	for (size_t i = 0; i < w.n; i++) {
		w.pic[i].labels = dice(&seed, 2) ? 2u : 0;
		if (dice(&seed, 10))
			continue;
		w.pic[i].labels |= 8u;
		r->id[r->n++] = (int64_t)i + 1;
	}
	int64_t took = sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("label", &w, &o, took, one_by_one(&w, r->n, MS));
	assert_true(took * 4 < one_by_one(&w, r->n, MS));
	assert_true(o.vain * 5 <= o.got);
	sim_free(&w);
}

/* A subset at random, which the directory is not worth. */
static void sparse_subset_stops_the_warming(void **state)
{
	struct outcome o;
	struct sim w;

	sim_new(&w, 1, 4000, 1);
	struct reader *r = reader_new(&w, 200, MS);
	for (int64_t i = 0; i < 200; i++)
		r->id[i] = 3801 + i; /* the end of it, where listing order comes last */
	shuffle(r->id, 200, 9);
	(void)sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("subset", &w, &o, 1, 1);
	assert_true(o.vain < w.n / 5);
	sim_free(&w);
}

static void many_readers_at_once(void **state)
{
	struct outcome o;
	struct sim w;

	sim_new(&w, 16, 400, 1);
	for (size_t t = 0; t < 16; t++)
		in_order(&w, t * 400, 399, MS);
	int64_t took = sim_run(&w, 1000 * S);
	o = sim_outcome(&w);
	report("16 readers", &w, &o, took, one_by_one(&w, 399, MS));
	assert_true(took < 16 * 400 * w.each_us * 5 / 4);
	assert_true(o.vain <= 64 * 16);
	sim_free(&w);
}

static void warm_directory_is_left_alone(void **state)
{
	struct sim w;

	sim_new(&w, 1, 3000, 1);
	for (size_t i = 0; i < w.n; i++)
		w.pic[i].local = true;
	in_order(&w, 0, 3000, MS);
	(void)sim_run(&w, 1000 * S);
	assert_int_equal(sim_outcome(&w).got, 0);
	assert_int_equal(w.jobs, 0);
	sim_free(&w);
}

/* Streams live on after the last of their pictures has come: who reads those again wakes nobody. */
static void nothing_to_do_is_known(void **state)
{
	struct ahead_counts counts;
	unsigned woken = 0;
	struct sim w;

	sim_new(&w, 2, 400, 1);
	in_order(&w, 0, 400, MS);
	struct reader *r = reader_new(&w, 400, MS);

	for (size_t i = 0; i < r->n; i++)
		r->id[i] = 401 + (int64_t)i;
	shuffle(r->id, r->n, 1);
	(void)sim_run(&w, 1000 * S);
	ahead_counts(w.a, &counts);
	assert_true(counts.streams > 0);
	for (size_t i = 0; i < w.n; i++) {
		assert_true(w.pic[i].local);
		woken += ahead_opened(w.a, w.now_us, &w.pic[i * 7 % w.n].snap);
		sim_jobs(&w);
	}
	assert_in_range(woken, 0, 4); /* one may have been about to list what follows */
	sim_free(&w);
}

/* 2 Mbit/s: more at a time would only make everybody wait longer. */
static void slow_link_is_not_swamped(void **state)
{
	struct ahead_counts counts;
	struct sim w;

	sim_new(&w, 1, 400, 1);
	w.each_us = 700 * MS;
	w.latency_us = 700 * MS;
	in_order(&w, 0, 200, MS);
	(void)sim_run(&w, 1000 * S);
	ahead_counts(w.a, &counts);
	assert_in_range(counts.link, 2, 4);
	assert_true(counts.flights <= 4);
	assert_true(sim_outcome(&w).got >= 200);
	sim_free(&w);
}

static void hung_store_ends_it(void **state)
{
	struct ahead_counts counts;
	struct sim w;

	sim_new(&w, 64, 100, 1);
	in_order(&w, 0, 50, MS);
	(void)sim_run(&w, 1000 * S);
	w.hung = true;
	for (size_t t = 1; t < 30; t++)
		in_order(&w, t * 100, 90, MS);
	(void)sim_run(&w, 1000 * S);
	ahead_counts(w.a, &counts);
	assert_true(counts.flights <= 64);
	unsigned before = counts.flights;
	/* Readers who try again later find nothing more under way. */
	for (size_t i = 0; i < w.n_readers; i++) {
		w.reader[i].waits = 0;
		w.reader[i].at++;
		w.reader[i].ready_us = w.now_us + 10 * S;
	}
	(void)sim_run(&w, 1000 * S);
	ahead_counts(w.a, &counts);
	assert_int_equal(counts.flights, before);
	sim_free(&w);
}

static void failures_are_not_repeated(void **state)
{
	struct outcome o;
	struct sim w;

	sim_new(&w, 1, 2000, 1);
	w.failing = true;
	in_order(&w, 0, 1000, MS);
	/* those that fail ahead are got again for the reader; sim counts requests, so look at jobs only */
	for (size_t i = 0; i < w.n; i += 2)
		w.pic[i].local = true;
	(void)sim_run(&w, 5 * S);
	o = (struct outcome){0};
	for (size_t i = 0; i < w.n; i++)
		o.ahead += w.pic[i].gets && w.pic[i].ahead && !w.pic[i].local;
	assert_in_range(o.ahead, 1, 200);
	sim_free(&w);
}

/* Streams, items and opens are bounded whatever readers do. */
static void anything_goes(void **state)
{
	struct ahead_counts counts;
	unsigned seed = 1;
	struct sim w;

	sim_new(&w, 40, 300, 3);
	for (size_t t = 0; t < READERS_MAX; t++) {
		struct reader *r = reader_new(&w, 600, MS + (int64_t)dice(&seed, 3000));
		int64_t step = (int64_t)dice(&seed, 7) - 3;

		for (size_t i = 0; i < r->n; i++) {
			int64_t last = i ? r->id[i - 1] : 6000, id = last + step;

			if (!dice(&seed, 20) || id < 1 || id > (int64_t)w.n)
				id = (int64_t)dice(&seed, w.n) + 1;
			r->id[i] = id;
		}
	}
	for (size_t i = 0; i < w.n; i++) {
		w.pic[i].labels = dice(&seed, 256);
		w.pic[i].snap.starred = !dice(&seed, 3);
		w.pic[i].snap.size = dice(&seed, 400000) + 1;
	}
	(void)sim_run(&w, 2000 * S);
	ahead_counts(w.a, &counts);
	assert_true(counts.streams <= AHEAD_STREAMS);
	assert_true(counts.unused_bytes <= UINT64_C(256) << 20);
	struct outcome o = sim_outcome(&w);
	report("anything", &w, &o, 1, 1);
	assert_true(o.vain * 5 <= o.got);
	sim_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cp_r_reads_days_in_order),
		cmocka_unit_test(small_days_are_one_order),
		cmocka_unit_test(rsync_leaves_some_out),
		cmocka_unit_test(thumbnailer_with_four_threads),
		cmocka_unit_test(loader_in_order_with_four_workers),
		cmocka_unit_test(loader_shuffles),
		cmocka_unit_test(unlucky_shuffles_are_read_ahead),
		cmocka_unit_test(loader_shuffles_many_directories),
		cmocka_unit_test(random_walk_in_many_directories),
		cmocka_unit_test(random_walk_costs_little),
		cmocka_unit_test(reader_that_stops_wastes_little),
		cmocka_unit_test(viewer_going_backwards),
		cmocka_unit_test(two_cameras),
		cmocka_unit_test(label_in_order),
		cmocka_unit_test(sparse_subset_stops_the_warming),
		cmocka_unit_test(many_readers_at_once),
		cmocka_unit_test(warm_directory_is_left_alone),
		cmocka_unit_test(nothing_to_do_is_known),
		cmocka_unit_test(slow_link_is_not_swamped),
		cmocka_unit_test(hung_store_ends_it),
		cmocka_unit_test(failures_are_not_repeated),
		cmocka_unit_test(anything_goes),
	};

	return cmocka_run_group_tests_name("read-ahead", tests, NULL, NULL);
}
