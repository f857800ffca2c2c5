/* test-catalog-scan.c - scans of thousands, in pages and batches, killed between them; and random listings against the rules that
 * must hold after any scan. */
#include "test-catalog-listing.h"

#include <sys/wait.h>
#include <unistd.h>

enum { MANY = 5000, PAGE = 500 };

struct many {
	struct listed item[MANY];
	char key[MANY][24], etag[MANY][16];
};

static struct many *many(void)
{
	struct many *m = calloc(1, sizeof(*m));

	for (int i = 0; i < MANY; i++) {
		(void)snprintf(m->key[i], sizeof(m->key[i]), "yard/%05d.jpg", i);
		(void)snprintf(m->etag[i], sizeof(m->etag[i]), "e%d", i);
		m->item[i] = foreign(m->key[i], m->etag[i], 100, NOON_US + i / 3);
	}
	return m;
}

/* From where the scan stands to its end, or through `pages` pages. */
static struct scan_counts go_on(struct temp *t, const struct many *m, int pages)
{
	struct scan_counts c = {0};
	char after[KEY_MAX + 1];
	int64_t gen;
	bool left;
	int i = 0;

	ok(catalog_scan_begin(t->c, t->cloud, &gen, after));
	while (i < MANY && strcmp(m->item[i].key, after) <= 0)
		i++;
	for (; i < MANY && pages > 0; i += PAGE, pages--)
		ok(catalog_scan_page(t->c, t->cloud, gen, &m->item[i], PAGE, &c));
	if (i < MANY)
		return c;
	do
		ok(catalog_scan_end(t->c, t->cloud, gen, &c, &left));
	while (left);
	return c;
}

static void five_thousand_twice(void **state)
{
	struct temp *t = *state;
	struct many *m = many();
	struct feed f = {0};
	struct catalog_totals totals;
	int64_t before;

	assert_counts(go_on(t, m, MANY), MANY, 0, 0, 0);
	ok(catalog_totals(t->c, &totals));
	assert_int_equal(totals.snapshots, MANY);
	catalog_on_change(t->c, count_feed, &f);
	before = catalog_changed_us(t->c);
	assert_counts(go_on(t, m, MANY), 0, 0, 0, 0);
	assert_int_equal(catalog_changed_us(t->c), before);
	assert_int_equal(peek(t, "SELECT count(*) FROM object WHERE seen = 2"), MANY);
	/* half of them changed, then all gone, then all back */
	for (int i = 0; i < MANY; i += 2)
		m->item[i].size = 101;
	assert_counts(go_on(t, m, MANY), 0, MANY / 2, 0, 0);
	assert_int_equal(f.n[CHANGE_BYTES], MANY / 2);
	assert_counts(scan(t, t->cloud, NULL, 0), 0, 0, 0, MANY);
	assert_int_equal(f.n[CHANGE_GONE], MANY);
	ok(catalog_totals(t->c, &totals));
	assert_int_equal(totals.snapshots, 0);
	assert_counts(go_on(t, m, MANY), MANY, 0, 0, 0);
	assert_int_equal(f.n[CHANGE_ADDED], MANY);
	assert_int_equal(peek(t, "SELECT count(*) FROM snapshot"), MANY);
	catalog_on_change(t->c, NULL, NULL);
	free(m);
}

static void removed_in_batches(void **state)
{
	struct temp *t = *state;
	struct many *m = many();
	struct scan_counts c = {0};
	char after[KEY_MAX + 1];
	int64_t gen;
	bool left;

	(void)go_on(t, m, MANY);
	ok(catalog_scan_begin(t->c, t->cloud, &gen, after));
	ok(catalog_scan_page(t->c, t->cloud, gen, &m->item[2500], 10, &c));
	ok(catalog_scan_end(t->c, t->cloud, gen, &c, &left));
	assert_int_equal(c.gone, 1000);
	assert_true(left);
	temp_reopen(t); /* and it goes on where it was */
	ok(catalog_scan_begin(t->c, t->cloud, &gen, after));
	assert_string_equal(after, m->item[2509].key);
	for (int i = 1; left; i++) {
		assert_true(i < 10);
		ok(catalog_scan_end(t->c, t->cloud, gen, &c, &left));
	}
	assert_int_equal(c.gone, MANY - 10);
	assert_int_equal(visible(t), 10);
	assert_int_equal(catalog_scan_end(t->c, t->cloud, gen, &c, &left), -ESTALE);
	free(m);
}

static void killed_between_pages(void **state)
{
	struct temp *t = *state;
	struct many *m = many();
	struct scan_counts c = {0};
	char after[KEY_MAX + 1];
	struct store_row row;
	int64_t gen, again;
	int status;
	pid_t pid;

	t->c = catalog_close(t->c);
	pid = fork();
	if (pid == 0) {
		ok(catalog_open(t->dir, &t->c));
		(void)go_on(t, m, 4);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	ok(catalog_open(t->dir, &t->c));
	assert_int_equal(visible(t), 4 * PAGE);
	ok(catalog_scan_begin(t->c, t->cloud, &gen, after));
	assert_string_equal(after, m->item[4 * PAGE - 1].key);
	ok(catalog_scan_failed(t->c, t->cloud, "timed out"));
	assert_errors(t, "store cloud=timed out;");
	ok(catalog_store(t->c, t->cloud, false, &row));
	assert_string_equal(row.error, "timed out");
	ok(catalog_scan_begin(t->c, t->cloud, &again, after));
	assert_int_equal(again, gen);
	assert_counts(go_on(t, m, MANY), MANY - 4 * PAGE, 0, 0, 0);
	assert_int_equal(visible(t), MANY);
	assert_errors(t, "");
	/* a page of a scan that has ended changes nothing */
	assert_int_equal(catalog_scan_page(t->c, t->cloud, gen, m->item, 1, &c), -ESTALE);
	assert_int_equal(catalog_scan_page(t->c, 99, gen, m->item, 1, &c), -ENOENT);
	assert_int_equal(catalog_scan_page(t->c, t->cloud, gen, m->item, 1001, &c), -E2BIG);
	assert_int_equal(c.listed, 0);
	assert_int_equal(catalog_scan_begin(t->c, 99, &gen, after), -ENOENT);
	assert_int_equal(catalog_scan_failed(t->c, 99, "x"), -ENOENT);
	free(m);
}

/* ---- anything may be listed ---- */
enum { KEYS = 24, ROUNDS = 200 };

struct bucket {
	int64_t store;
	bool there[KEYS], broken[KEYS];
	int version[KEYS]; /* of the etag; the size follows from it */
};

static void mutate(struct bucket *b)
{
	for (int i = 0; i < 4; i++) {
		int k = rand() % KEYS;

		switch (rand() % 5) {
		case 0:
			b->there[k] = false;
			break;
		case 1:
			b->broken[k] = !b->broken[k];
			break;
		case 2:
			b->version[k] = rand() % 6;
			break;
		default:
			b->there[k] = true;
		}
	}
}

/* Even keys have stems of ours, some of them the same in two keys; odd ones are foreign, some of the same time. */
static size_t list(const struct bucket *b, struct listed *item, char text[KEYS][3][64])
{
	size_t n = 0;

	for (int k = 0; k < KEYS; k++) {
		if (!b->there[k])
			continue;
		(void)snprintf(text[k][0], 64, "dir/%02d.jpg", k);
		(void)snprintf(text[k][1], 64, "etag-%d", b->version[k]);
		(void)snprintf(text[k][2], 64, "20201231T12-00-%02d-000000_front", k / 4);
		item[n] = k % 2 ? foreign(text[k][0], text[k][1], 10 + (uint64_t)b->version[k] / 2,
					  NOON_US + k / 4)
				: ours(text[k][0], text[k][1], 10 + (uint64_t)b->version[k] / 2,
				       text[k][2]);
		if (b->broken[k])
			item[n].error = "broken";
		n++;
	}
	return n;
}

static void assert_rules(struct temp *t)
{
	/* seen are those that somebody has, or that are on their way */
	assert_int_equal(peek(t, "SELECT count(*) FROM snapshot"
				 " WHERE gone = (replicas > 0 OR queued > 0)"),
			 0);
	/* nobody reads other bytes than the size says */
	assert_int_equal(peek(t, "SELECT count(*) FROM object o JOIN snapshot s"
				 " ON s.id = o.snapshot WHERE o.sidecar = 0 AND o.size <> s.size"),
			 0);
	/* one with a stem of ours is that snapshot */
	assert_int_equal(peek(t, "SELECT count(*) FROM object o JOIN snapshot s"
				 " ON s.id = o.snapshot WHERE substr(o.key, 5, 2) % 2 = 0"
				 " AND s.stem NOT LIKE '20201231T12-00-__-000000_front'"),
			 0);
	assert_int_equal(
		peek(t, "SELECT count(*) FROM object WHERE (outcome = 1) <> (error IS NOT NULL)"
			" OR (snapshot IS NULL) <> (outcome = 1)"),
		0);
}

static void random_listings_keep_the_rules(void **state)
{
	struct temp *t = *state;
	struct bucket bucket[2] = {{.store = t->cloud}, {.store = t->attic}};
	struct listed item[KEYS];
	char text[KEYS][3][64];
	struct store_row row;
	struct scan_counts c;

	srand(2020);
	for (int round = 0; round < ROUNDS; round++) {
		struct bucket *b = &bucket[rand() % 2];
		size_t n;

		mutate(b);
		n = list(b, item, text);
		(void)scan(t, b->store, item, n);
		assert_rules(t);
		ok(catalog_store(t->c, b->store, true, &row));
		assert_int_equal(row.objects, n);
		/* what gave way to a name may have freed it for another one, which the next scan sees; then all is quiet */
		(void)scan(t, b->store, item, n);
		c = scan(t, b->store, item, n);
		assert_counts(c, 0, 0, (unsigned)c.rejected, 0);
		assert_rules(t);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, temp_open, temp_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(five_thousand_twice),
		TEST(removed_in_batches),
		TEST(killed_between_pages),
		TEST(random_listings_keep_the_rules),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
