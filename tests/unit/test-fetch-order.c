/* test-fetch-order.c - single flight and eviction under orders of threads that seldom happen (test-perturb.h): readers ask for the
 * same and neighbouring pictures, leave, and hold what they got open, while requests fail, objects are replaced and scanned, and
 * the cache is too small for all.
 *
 * Told by what goes through here on its way to the stores and the disk: at most one request per picture at a time, none for what
 * is in the cache, each reader told once, right bytes or the right errno, and a spool that nobody evicts.
 * ORDER_SEED=n: the round of that seed alone; DEEP=1: more of them. */
#include "test-fetch.h"

#include "shutterfs/codec.h"
#include "test-perturb.h"

#include <dirent.h>
#include <pthread.h>

#define S INT64_C(1000000)

enum {
	STEADY = 20,          /* so many are never replaced; the even ones are in both stores */
	REFUSED = STEADY + 4, /* by the store that has it; those before are replaced */
	GONE,                 /* since the scan */
	PICTURES,
	VERSIONS_APART = 1000, /* picture n in its version v is picture(n + v * VERSIONS_APART) */
	SPOOLED = 900,
	KEPT = 10, /* pictures for which the cache has room */
	READERS = 16,
	HELD = 4,
	LATE = 50,
	ROUNDS = 4,
	ROUNDS_DEEP = 200
};

/* ---- what passes on its way down ---- */

static struct {
	_Atomic unsigned under_way, gets, failed, unkept, unlinked;
} seen[PICTURES];
static struct sha256 sha_of[STEADY]; /* before threads */
static _Atomic bool failing;
static _Atomic uint64_t fail_dice;
static _Thread_local bool unkept;

#define must(what)                                                                     \
	do {                                                                           \
		if (!(what)) {                                                         \
			print_error("%s:%d: not so: %s\n", __FILE__, __LINE__, #what); \
			abort();                                                       \
		}                                                                      \
	} while (0)

int __real_store_get(struct store *s, struct call *c, const char *key, uint64_t max,
		     store_sink *sink, void *user, struct store_head *ret);
int __wrap_store_get(struct store *s, struct call *c, const char *key, uint64_t max,
		     store_sink *sink, void *user, struct store_head *ret);
bool __real_room_reserve(struct cache *c, uint64_t bytes);
bool __wrap_room_reserve(struct cache *c, uint64_t bytes);
int __real_unlink(const char *path);
int __wrap_unlink(const char *path);

static unsigned number_of(const char *key)
{
	return (unsigned)strtoul(strrchr(key, '/') + 1, NULL, 10);
}

int __wrap_store_get(struct store *s, struct call *c, const char *key, uint64_t max,
		     store_sink *sink, void *user, struct store_head *ret)
{
	unsigned n = number_of(key);
	int r;

	must(n < PICTURES);
	must(seen[n].under_way++ == 0);
	seen[n].gets++;
	seen[n].unkept += unkept;
	unkept = false;
	if (n == REFUSED)
		r = -EACCES;
	else if (++fail_dice * UINT64_C(0x9e3779b97f4a7c15) >> 58 == 0 && failing)
		r = -ECONNRESET;
	else
		r = __real_store_get(s, c, key, max, sink, user, ret);
	/* a scan may pass the answer on its way */
	(void)usleep((useconds_t)(fail_dice % 64) * (n >= STEADY ? 600 : 20));
	if (r < 0) {
		seen[n].failed++;
		call_why(c, "fails as drawn");
	}
	must(seen[n].under_way-- == 1);
	return r;
}

/* False: what is got next in this thread will not be in the cache. */
bool __wrap_room_reserve(struct cache *c, uint64_t bytes)
{
	bool ok = __real_room_reserve(c, bytes);

	unkept = !ok;
	return ok;
}

int __wrap_unlink(const char *path)
{
	const char *name = strrchr(path, '/');
	struct sha256 sha;
	int r = __real_unlink(path);

	if (r < 0 || !name || hex_decode(name + 1, sha.b, sizeof(sha.b)) < 0)
		return r;
	must(!strstr(path, "/spool/"));
	for (unsigned n = 0; n < STEADY; n++)
		if (memcmp(&sha, &sha_of[n], sizeof(sha)) == 0)
			seen[n].unlinked++;
	return r;
}

/* ---- the world ---- */

struct land {
	struct world w;
	int64_t id[PICTURES];
	/* of the replaced: what a reader who comes now gets at least, and what there may be */
	_Atomic unsigned least[PICTURES], most[PICTURES];
	_Atomic bool over;
	_Atomic uint64_t reads;
	uint64_t seed;
};

static void put_version(struct world *w, size_t store, unsigned n, unsigned version)
{
	char path[128], data[1024];
	size_t len = picture(n + version * VERSIONS_APART, data);

	file_of(w, store, n, path);
	must(write_file_atomic(AT_FDCWD, path, data, len, 0600) == 0);
}

static struct sha256 hash_of(unsigned n)
{
	char data[1024];
	struct hash *h;
	struct hashes got;

	assert_int_equal(hash_new(&h), 0);
	assert_int_equal(hash_add(h, data, picture(n, data)), 0);
	assert_int_equal(hash_end(h, &got), 0);
	(void)hash_free(h);
	return got.sha;
}

/* No store has it: nobody may take it for a copy. */
static void spool_one(struct land *l)
{
	struct sha256 sha = hash_of(SPOOLED);
	struct blob_writer *b;
	char data[1024];
	size_t len = picture(SPOOLED, data);

	assert_int_equal(blob_begin(l->w.cache, BLOB_SPOOL, len, &b), 0);
	assert_int_equal(blob_write(b, data, len), 0);
	assert_int_equal(blob_commit(b, &sha, false, NULL), 0);
}

static void land_new(struct land *l, uint64_t seed)
{
	const char *rules[] = {"", ""};
	char data[1024], path[128];
	struct world *w = &l->w;

	memset(seen, 0, sizeof(seen));
	memset(l, 0, sizeof(*l));
	l->seed = seed;
	fail_dice = seed;
	setup(w, 60 * S, rules, 2);
	w->f = fetch_free(w->f);
	w->cache = cache_free(w->cache);
	assert_int_equal(cache_new(w->state, w->cache_dir, KEPT * picture(1, data), &w->cache), 0);
	fetch_begin(w);
	for (unsigned n = 0; n < PICTURES; n++) {
		put_object(w, 0, n);
		if (n < STEADY && n % 2 == 0)
			put_object(w, 1, n);
		if (n < STEADY)
			sha_of[n] = hash_of(n);
	}
	scan(w, 0);
	scan(w, 1);
	for (unsigned n = 0; n < PICTURES; n++)
		l->id[n] = snap_of(w, n).id;
	file_of(w, 0, GONE, path);
	assert_int_equal(unlink(path), 0);
	spool_one(l);
}

/* ---- what readers may see ---- */

struct ask { /* one reader's question; its own until it was told */
	struct land *l;
	unsigned n, least;
	_Atomic unsigned told;
	_Atomic bool stopping;
};

/* The version that these bytes are. */
static unsigned check_bytes(const struct ask *a, int fd)
{
	char want[1024], got[1024] = "";
	unsigned most = a->l->most[a->n], version = a->least;
	size_t len = picture(a->n, want);
	struct stat st;

	must(fstat(fd, &st) == 0 && (size_t)st.st_size == len);
	must(pread_all(fd, got, len, 0) == 0);
	for (; version <= most; version++) {
		(void)picture(a->n + version * VERSIONS_APART, want);
		if (memcmp(got, want, len) == 0)
			break;
	}
	must(version <= most);
	return version;
}

static void check_error(const struct ask *a, int err)
{
	if (err == -ECANCELED)
		must(a->stopping);
	else if (a->n == REFUSED)
		must(err == -EACCES);
	else if (a->n == GONE)
		must(err == -ESTALE);
	else /* only a replaced one has an error: between the replacing and its scan */
		must(a->n >= STEADY && err == -ESTALE);
}

static void on_told(void *user, int err, int fd, const char *why)
{
	struct ask *a = user;

	if (err == 0)
		(void)check_bytes(a, fd);
	else
		check_error(a, err);
	must(err == 0 || why[0]);
	closep(&fd);
	a->told++;
}

/* ---- who is at work ---- */

struct reader {
	struct land *l;
	unsigned seed;
	pthread_t thread;
	struct held {
		int fd; /* 0: none */
		struct ask ask;
		unsigned version;
	} held[HELD];
};

static struct ask ask_for(struct reader *r)
{
	unsigned n = (unsigned)rand_r(&r->seed) % (2 * PICTURES);

	if (n >= PICTURES) /* half of them ask for the same few */
		n = STEADY - 2 + n % (REFUSED + 2 - STEADY);
	return (struct ask){.l = r->l, .n = n, .least = r->l->least[n]};
}

/* What was held may have been evicted, or replaced, since. */
static void let_go(struct held *h)
{
	if (!h->fd)
		return;
	h->ask.least = h->version;
	must(check_bytes(&h->ask, h->fd) == h->version);
	closep(&h->fd);
	h->fd = 0;
}

static void read_one(struct reader *r, int64_t patience_us)
{
	struct held *h = &r->held[(unsigned)rand_r(&r->seed) % HELD];
	struct call c = {.deadline_us = patience_us ? mono_us() + patience_us : 0};
	int err;

	let_go(h);
	h->ask = ask_for(r);
	err = fetch_wait(r->l->w.f, r->l->id[h->ask.n], &c, &h->fd);
	r->l->reads++;
	if (err == 0) {
		h->version = check_bytes(&h->ask, h->fd);
		return;
	}
	h->fd = 0;
	if (err != -ETIMEDOUT || !patience_us)
		check_error(&h->ask, err);
}

static void ask_and_leave(struct reader *r)
{
	struct ask a = ask_for(r);
	uint64_t ticket;

	must(fetch_start(r->l->w.f, r->l->id[a.n], on_told, &a, &ticket) == 0);
	if (rand_r(&r->seed) % 2 && fetch_cancel(r->l->w.f, ticket)) {
		must(a.told == 0);
		return;
	}
	while (!a.told)
		(void)usleep(500);
	must(!fetch_cancel(r->l->w.f, ticket));
	must(a.told == 1);
}

static void drop(struct reader *r)
{
	(void)!cache_drop(r->l->w.cache, &sha_of[(unsigned)rand_r(&r->seed) % STEADY], BLOB_CACHE);
}

static void *read_many(void *arg)
{
	struct reader *r = arg;
	struct snap s;

	while (!r->l->over) {
		switch (rand_r(&r->seed) % 16) {
		case 0:
			drop(r);
			break;
		case 1:
		case 2:
			ask_and_leave(r);
			break;
		case 3:
			read_one(r, 1000 + rand_r(&r->seed) % 20000);
			break;
		case 4:
			if (catalog_snap(r->l->w.catalog, r->l->id[ask_for(r).n], &s) == 0)
				fetch_opened(r->l->w.f, &s);
			break;
		default:
			read_one(r, 0);
		}
	}
	for (unsigned i = 0; i < HELD; i++)
		let_go(&r->held[i]);
	return NULL;
}

/* Who joins a flight gets what it began with; so the new bytes are certain when one has ended that began after the scan. */
static void *replace_many(void *arg)
{
	struct land *l = arg;
	unsigned dice = (unsigned)l->seed;

	while (!l->over) {
		unsigned n = STEADY + (unsigned)rand_r(&dice) % (REFUSED - STEADY);
		unsigned version = l->most[n] + 1;

		l->most[n] = version;
		put_version(&l->w, 0, n, version);
		(void)usleep((unsigned)rand_r(&dice) % 3000);
		scan(&l->w, 0);
		for (unsigned i = 0; i < 2; i++) {
			struct call c = {0};
			int fd = -1, r = fetch_wait(l->w.f, l->id[n], &c, &fd);

			must(r == 0 || r == -ESTALE);
			closep(&fd);
		}
		l->least[n] = version;
		(void)usleep((unsigned)rand_r(&dice) % 10000);
	}
	return NULL;
}

/* ---- a round ---- */

static void look_back(struct land *l)
{
	for (unsigned n = 0; n < STEADY; n++) {
		unsigned why = 1 + seen[n].failed + seen[n].unkept + seen[n].unlinked;

		if (seen[n].gets > why)
			print_error("picture %u: %u requests, reasons for %u\n", n, seen[n].gets,
				    why);
		assert_true(seen[n].gets <= why);
	}
	enum blob_area area;
	struct sha256 sha = hash_of(SPOOLED);
	assert_true(cache_has(l->w.cache, &sha, &area) && area == BLOB_SPOOL);
}

/* All ends while readers wait. */
static void end_at_once(struct land *l)
{
	static struct ask late[LATE];
	uint64_t ticket;

	for (unsigned i = 0; i < LATE; i++) {
		unsigned n = i % PICTURES;

		late[i] = (struct ask){.l = l, .n = n, .least = l->least[n], .stopping = true};
		must(fetch_start(l->w.f, l->id[n], on_told, &late[i], &ticket) == 0);
	}
	l->w.f = fetch_free(l->w.f);
	for (unsigned i = 0; i < LATE; i++)
		assert_int_equal(late[i].told, 1);
}

static void one_round(uint64_t seed, int64_t for_us)
{
	static struct land l;
	static struct reader r[READERS];
	pthread_t replacer;

	land_new(&l, seed);
	failing = true;
	perturb(seed);
	assert_int_equal(pthread_create(&replacer, NULL, replace_many, &l), 0);
	for (unsigned i = 0; i < READERS; i++) {
		r[i] = (struct reader){.l = &l, .seed = (unsigned)seed + i};
		assert_int_equal(pthread_create(&r[i].thread, NULL, read_many, &r[i]), 0);
	}
	(void)usleep((useconds_t)for_us);
	l.over = true;
	failing = false;
	assert_int_equal(pthread_join(replacer, NULL), 0);
	for (unsigned i = 0; i < READERS; i++)
		assert_int_equal(pthread_join(r[i].thread, NULL), 0);
	for (int i = 0; i < 4000 && totals(&l.w).in_flight; i++)
		(void)usleep(5000);
	assert_int_equal(totals(&l.w).in_flight, 0);
	assert_int_equal(l.w.f->n_waiters, 0);
	look_back(&l);
	end_at_once(&l);
	perturb(0);
	print_message("ORDER_SEED=%llu: %llu reads\n", (unsigned long long)seed,
		      (unsigned long long)l.reads);
	teardown(&l.w);
}

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *d;

	codec_end(); /* those of the cages come and go */
	d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n;
}

static void orders_of_threads(void **state)
{
	const char *given = getenv("ORDER_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)now_us() % 1000000000 + 1;
	unsigned rounds = given ? 1 : getenv("DEEP") ? ROUNDS_DEEP : ROUNDS, before = descriptors();

	for (unsigned i = 0; i < rounds; i++) {
		print_message("ORDER_SEED=%llu\n", (unsigned long long)seed + i);
		(void)fflush(NULL);
		one_round(seed + i, S);
		assert_int_equal(descriptors(), before);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(orders_of_threads)};

	return cmocka_run_group_tests_name("fetch orders", tests, NULL, NULL);
}
