/* test-sync-model.c - the rooms below fs against a model in memory: uploads, labels, stars, reads, evictions, restarts, what others put
 * into a store and take away, with stores that fail now and then.
 *
 * A sequence is made from a seed, which is printed, and runs in a process of its own, with a clock that waits for nobody
 * (test-clock.h).  Of one that fails, steps are left out for as long as it still fails; what is left is printed as a line for
 * `kept` below.  MODEL_SEED=n runs the sequence of that seed alone, MODEL_STEPS="..." these steps; MODEL_SEQUENCES=n runs that many;
 * DEEP=1: 2,000. */
#include "test-sync.h"

#include "test-clock.h"

#include <math.h>
#include <sys/wait.h>

enum {
	STEPS = 40,
	OURS = 8,
	THEIRS = 4,
	PICTURES = OURS + THEIRS,
	LABELS = 4,
	PLACES = 2,
	TRIES = 6,
	AT_ONCE = 4,
	SEQUENCES = 24,
	SEQUENCES_DEEP = 2000
};

/* Whether the first store has it, once it was taken from there by others. */
enum fate { KEPT, SENT_AGAIN, GONE, EITHER };
struct known {
	bool there, entry[PLACES], starred, label[LABELS];
	bool sent; /* by both stores, surely */
	bool met,
		met_surely; /* by a scan of the first one, so that it is not missed as lost when it is taken */
	enum fate fate;
};

static struct {
	struct town town;
	struct known picture[PICTURES];
	int64_t dir[PLACES];
} m;

static void stem_of(unsigned n, char out[STEM_MAX + 1])
{
	(void)snprintf(out, STEM_MAX + 1, "20201231T15-00-%02u-000000_front", n);
}

static void key_of(unsigned n, char out[128])
{
	(void)snprintf(out, 128, "front/2020/12/31/20201231T15-00-%02u-000000_front.jpg", n);
}

/* Row of picture n in a view; -ENOENT. */
static int find(struct view v, unsigned n, struct snap *ret)
{
	char stem[STEM_MAX + 1];

	stem_of(n, stem);
	return catalog_find(m.town.house.cat, v, day_from_civil(2020, 12, 31), stem, ret);
}

static struct snap row(unsigned n)
{
	struct snap s;

	ok(find((struct view){VIEW_ALL, 0}, n, &s));
	return s;
}

static bool label_row(unsigned label, struct label_row *ret)
{
	char value[8];
	struct label_row kind;

	(void)snprintf(value, sizeof(value), "v%u", label);
	return catalog_kind_find(m.town.house.cat, "object", &kind) == 0 &&
	       catalog_label_find(m.town.house.cat, kind.id, value, ret) == 0;
}

/* ---- what is there must be what the model says ---- */

static void look_at(unsigned n)
{
	const struct known *k = &m.picture[n];
	struct label_row label;
	unsigned links = 2 + k->starred;
	struct snap s;

	assert_int_equal(find((struct view){VIEW_ALL, 0}, n, &s), k->there ? 0 : -ENOENT);
	for (unsigned i = 0; i < LABELS; i++) {
		links += k->label[i];
		if (label_row(i, &label))
			assert_int_equal(find((struct view){VIEW_LABEL, label.id}, n, &s),
					 k->label[i] ? 0 : -ENOENT);
		else
			assert_false(k->label[i]);
	}
	assert_int_equal(find((struct view){VIEW_STARRED, 0}, n, &s), k->starred ? 0 : -ENOENT);
	if (k->there)
		assert_int_equal(row(n).links, links);
}

static void look(void)
{
	for (unsigned n = 0; n < PICTURES; n++)
		look_at(n);
}

/* A store may fail a few times; wrong bytes it may never give. */
static void read_one(unsigned n)
{
	char data[PICTURE_MAX], got[PICTURE_MAX + 1];
	size_t len = picture(n, NULL, data);
	CLEANUP(closep) int fd = -1;
	int r = -EIO;

	for (int i = 0; i < TRIES && r < 0; i++) {
		struct call c = {.deadline_us = mono_us() + 20000000};

		r = fetch_wait(m.town.fetch, row(n).id, &c, &fd);
	}
	ok(r);
	assert_int_equal(pread(fd, got, sizeof(got), 0), len);
	assert_memory_equal(got, data, len);
}

/* ---- steps: each takes a picture and a number ---- */

static void do_upload(unsigned n, unsigned x)
{
	unsigned place = x % PLACES;
	char name[32];

	n %= OURS;
	(void)snprintf(name, sizeof(name), "20201231_1500%02u.jpg", n);
	if (m.picture[n].entry[place]) {
		ok(ingest_unlink(m.town.house.in, m.dir[place], name, false));
	} else {
		int64_t id = copy_picture(&m.town.house, m.dir[place], name, n);

		assert_int_equal(row_of(&m.town.house, id).state, UPLOAD_REGISTERED);
		assert_int_equal(row_of(&m.town.house, id).snapshot, row(n).id);
		m.picture[n].there = true;
		if (m.picture[n].fate == GONE) /* who brings it again may mean it */
			m.picture[n].fate = EITHER;
	}
	m.picture[n].entry[place] = !m.picture[n].entry[place];
}

static void do_label(unsigned n, unsigned x)
{
	bool *has = &m.picture[n].label[x % LABELS];
	char value[8];
	struct label l = {
		.kind = (char *)"object", .value = value, .by = (char *)"me", .score = NAN};

	if (!m.picture[n].there)
		return;
	(void)snprintf(value, sizeof(value), "v%u", x % LABELS);
	assert_int_equal(catalog_label_add(m.town.house.cat, row(n).id, &l), *has ? -EEXIST : 0);
	*has = true;
}

static void do_unlabel(unsigned n, unsigned x)
{
	bool *has = &m.picture[n].label[x % LABELS];
	struct label_row label;

	if (!m.picture[n].there || !label_row(x % LABELS, &label))
		return;
	assert_int_equal(catalog_label_remove(m.town.house.cat, row(n).id, label.id, "me"),
			 *has ? 0 : -ENOENT);
	*has = false;
}

static void do_star(unsigned n, unsigned x)
{
	if (!m.picture[n].there)
		return;
	m.picture[n].starred = x % 2;
	ok(catalog_star(m.town.house.cat, row(n).id, x % 2, "me"));
}

static void do_read(unsigned n, unsigned x)
{
	if (!m.picture[n].there)
		return;
	read_one(n);
	for (unsigned i = 0; i < OURS; i++) /* wrong bytes make sync look at the store by itself */
		m.picture[i].met |= m.picture[i].there;
}

static void do_evict(unsigned n, unsigned x)
{
	struct snap s;

	if (m.picture[n].there && (s = row(n)).has_sha)
		(void)!cache_drop(m.town.house.cache, &s.sha, BLOB_CACHE);
}

/* Each picture is there once; what was taken before any scan met it is sent again; what others put into one store stays its own. */
static void look_at_stores(void)
{
	unsigned all = 0, sure = 0, most = 0;

	for (unsigned n = 0; n < PICTURES; n++) {
		const struct known *k = &m.picture[n];

		all += n < OURS && k->there;
		sure += k->there && (k->fate == KEPT || k->fate == SENT_AGAIN);
		most += k->there && k->fate != GONE;
	}
	for (size_t i = 0; i < m.town.n; i++) {
		pictures_found = sidecars_found = 0;
		(void)nftw(m.town.root[i], count_object, 16, FTW_PHYS);
		assert_in_range(pictures_found, i == 0 ? sure : all, i == 0 ? most : all);
	}
}

static void do_drain(unsigned n, unsigned x)
{
	char why[256] = "";
	int r = -EIO;

	for (int i = 0; i < TRIES && r < 0; i++)
		r = drain(&m.town, why);
	if (r < 0)
		fail_msg("%s", why);
	for (unsigned i = 0; i < OURS; i++)
		m.picture[i].sent = m.picture[i].there;
	look_at_stores();
}

static void scan(const char *store)
{
	struct scan_counts counts;
	int r = -EIO;

	for (int i = 0; i < TRIES && r < 0; i++) {
		struct call c = {.deadline_us = mono_us() + 20000000};

		r = sync_scan(m.town.sync, store, &c, NULL, NULL, &counts);
	}
	ok(r);
	for (unsigned n = 0; n < OURS && strcmp(store, "cloud") == 0; n++) {
		m.picture[n].met |= m.picture[n].there;
		m.picture[n].met_surely |= m.picture[n].sent;
	}
}

static void do_scan(unsigned n, unsigned x)
{
	scan(x % 2 ? "cloud" : "attic");
}

/* Somebody else puts a picture into the first store, or takes one of ours that the other has, too. */
static void do_others(unsigned n, unsigned x)
{
	struct known *k = &m.picture[n];
	char key[128], path[256], data[PICTURE_MAX];

	key_of(n, key);
	if (n >= OURS) {
		put_file(&m.town, 0, key, data, picture(n, NULL, data));
		k->there = true;
	} else if (k->sent && k->fate == KEPT) {
		(void)snprintf(path, sizeof(path), "%s/%s", m.town.root[0], key);
		ok(unlink(path));
		k->fate = k->met_surely ? GONE : k->met ? EITHER : SENT_AGAIN;
	}
	scan("cloud");
}

/* What is flipped is what every picture begins with: of the first bytes of a picture of others nothing else is known. */
static const char *faults(unsigned n)
{
	static const char *const rules[] = {"",
					    "",
					    "put=EIO@1-2",
					    "put=ECONNRESET@2-4",
					    "head=EPROTO@1-2",
					    "get=ECONNRESET@1",
					    "get=EIO@2-3",
					    "truncate=5@1-2",
					    "flip=0@2",
					    "list=EIO@1",
					    "put=EPROTO@3&get=EAGAIN@1"};

	return rules[n % ARRAY_LEN(rules)];
}

static void find_dirs(void)
{
	struct upload_row r;
	struct ingest *in = m.town.house.in;

	m.dir[0] = ingest_lookup(in, 0, "front", &r) == 0 ? r.id
							  : make_dir(&m.town.house, 0, "front");
	m.dir[1] = ingest_lookup(in, m.dir[0], "again", &r) == 0
			   ? r.id
			   : make_dir(&m.town.house, m.dir[0], "again");
}

static void start_up(void)
{
	ok(sync_start(m.town.sync));
	find_dirs();
}

/* The numbers say how the stores fail from here on. */
static void do_restart(unsigned n, unsigned x)
{
	town_restart(&m.town, faults(n), faults(x));
	start_up();
}

static const struct kind {
	const char *name;
	void (*run)(unsigned n, unsigned x);
	unsigned weight;
} kinds[] = {{"upload", do_upload, 24}, {"label", do_label, 18}, {"unlabel", do_unlabel, 8},
	     {"star", do_star, 8},      {"read", do_read, 14},   {"evict", do_evict, 10},
	     {"drain", do_drain, 4},    {"scan", do_scan, 5},    {"others", do_others, 7},
	     {"restart", do_restart, 2}};
enum { RESTART = ARRAY_LEN(kinds) - 1, NUMBERS = 12, TEXT_MAX = STEPS * 16 };

/* ---- sequences ---- */

struct step {
	unsigned kind, n, x;
};
struct sequence { /* the first step begins it: a restart */
	struct step step[STEPS];
	size_t n;
};

static unsigned roll(uint64_t *dice, unsigned n)
{
	*dice = *dice * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)((*dice >> 33) % n);
}

static struct sequence from_seed(uint64_t seed)
{
	struct sequence q = {.n = STEPS};

	for (size_t i = 0; i < STEPS; i++) {
		unsigned n = roll(&seed, NUMBERS), x = roll(&seed, NUMBERS), at = roll(&seed, 100),
			 kind = 0;

		while (at >= kinds[kind].weight)
			at -= kinds[kind++].weight;
		q.step[i] = (struct step){i ? kind : RESTART, n, x};
	}
	return q;
}

static struct sequence from_text(const char *text)
{
	struct sequence q = {0};
	struct step s;
	char name[16];
	int len;

	for (; sscanf(text, " %15[a-z] %u %u%n", name, &s.n, &s.x, &len) == 3; text += len) {
		for (s.kind = 0; strcmp(kinds[s.kind].name, name) != 0; s.kind++)
			assert_true(s.kind < RESTART);
		assert_true(q.n < STEPS && s.n < NUMBERS && s.x < NUMBERS);
		q.step[q.n++] = s;
		text += text[len] == ',';
	}
	assert_true(!*text && q.n && q.step[0].kind == RESTART);
	return q;
}

static void to_text(const struct sequence *q, char out[TEXT_MAX])
{
	size_t at = 0;

	for (size_t i = 0; i < q->n; i++)
		at += (size_t)snprintf(out + at, TEXT_MAX - at, "%s%s %u %u", i ? ", " : "",
				       kinds[q->step[i].kind].name, q->step[i].n, q->step[i].x);
}

static void run(const struct sequence *q)
{
	clock_start();
	town_new(&m.town, faults(q->step[0].n), faults(q->step[0].x), 2);
	start_up();
	for (size_t i = 1; i < q->n; i++) {
		kinds[q->step[i].kind].run(q->step[i].n, q->step[i].x);
		look_at(q->step[i].n);
	}
	look();
	do_drain(0, 0);
	for (unsigned n = 0; n < PICTURES; n++) {
		do_evict(n, 0);
		do_read(n, 0);
	}
	look();
	town_end(&m.town);
}

/* In another process; a failed assertion ends it with the status of a failed group of tests. */
static pid_t start(const struct sequence *q, bool say)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (!say)
			assert_non_null(freopen("/dev/null", "w", stderr));
		run(q);
		_exit(0);
	}
	return pid;
}

static bool passed(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status == 0;
}

/* Without `count` steps from `at` on. */
static struct sequence without(const struct sequence *q, size_t at, size_t count)
{
	struct sequence less = *q;

	less.n -= count;
	memmove(&less.step[at], &q->step[at + count], (less.n - at) * sizeof(less.step[0]));
	return less;
}

/* Leaves out what it fails without: first many steps at a time, then each. */
static struct sequence shrink(struct sequence q)
{
	for (size_t count = q.n / 2; count; count /= 2) {
		for (size_t at = q.n - 1; at >= 1; at--) {
			struct sequence less;

			if (at + count > q.n)
				continue;
			less = without(&q, at, count);
			if (!passed(start(&less, false)))
				q = less;
		}
	}
	return q;
}

static void fail_on(const struct sequence *q)
{
	struct sequence least = shrink(*q);
	char text[TEXT_MAX];

	(void)passed(start(&least, true));
	to_text(&least, text);
	fail_msg("MODEL_STEPS=\"%s\"", text);
}

/* ---- the tests ---- */

/* What has failed once. */
static const char *const kept[] = {
	/* the first bytes that anybody has of a picture of others are damaged on their way */
	"restart 8 0, others 8 0, read 8 0, evict 8 0, others 9 0, read 9 0",
	/* bytes of a picture of ours are damaged on their way, and its hash is not looked at */
	"restart 7 6, upload 1 4, upload 3 11, restart 8 6",
};

static void kept_sequences(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		struct sequence q = from_text(kept[i]);

		assert_true(passed(start(&q, true)));
	}
}

static unsigned how_many(void)
{
	const char *n = getenv("MODEL_SEQUENCES");

	return n ? (unsigned)strtoul(n, NULL, 10) : getenv("DEEP") ? SEQUENCES_DEEP : SEQUENCES;
}

static void random_sequences(void **state)
{
	const char *seed_text = getenv("MODEL_SEED"), *steps = getenv("MODEL_STEPS");
	uint64_t seed = seed_text ? strtoull(seed_text, NULL, 10) : (uint64_t)now_us() % 1000000000;
	unsigned all = seed_text || steps ? 1 : how_many();
	struct sequence q[AT_ONCE];
	pid_t pid[AT_ONCE];
	bool good[AT_ONCE];

	for (unsigned done = 0; done < all; done += AT_ONCE) {
		unsigned n = all - done < AT_ONCE ? all - done : AT_ONCE;

		for (unsigned i = 0; i < n; i++) {
			q[i] = steps ? from_text(steps) : from_seed(seed + done + i);
			pid[i] = start(&q[i], false);
		}
		for (unsigned i = 0; i < n; i++)
			good[i] = passed(pid[i]);
		for (unsigned i = 0; i < n; i++) {
			if (good[i])
				continue;
			print_message("MODEL_SEED=%llu fails\n",
				      (unsigned long long)(seed + done + i));
			fail_on(&q[i]);
		}
	}
	print_message("MODEL_SEED=%llu: %u sequences of %d steps\n", (unsigned long long)seed, all,
		      STEPS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(kept_sequences),
					   cmocka_unit_test(random_sequences)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
