/* replay.c - every row of the corpus through its target, then as many small changes of rows as fit into a moment.
 *
 *   corpus DIR [TARGET]             checks results and words, time (2 s a row) and memory (150 MiB a target)
 *   corpus --write DIR TARGET TO    the rows as files, for the fuzzer to begin with
 *   corpus --list                   the targets
 *   corpus --row FILE               a file as the TEXT of a row
 *
 * SEED chooses other changes; MOMENT_MS is how long they go on for each target. */
#include "rows.h"
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	KEPT = 64 * 1024, /* larger rows are not changed */
	RSS_KIB = 150 * 1024,
	ROW_LIMIT_US = 2000000,
	ROWS_LEAST = 10
};

#ifdef __SANITIZE_ADDRESS__
/* So much freed memory is kept for checks that large rows cost more than all the rest. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "quarantine_size_mb=4";
}
#endif

/* What the parent needs to know when its child dies. */
struct shared {
	char name[256];
	uint64_t rows, changes, failed;
	uint8_t data[KEPT];
	size_t len;
};

struct run {
	const struct parser *target;
	struct shared *shared;
	struct {
		uint8_t *data;
		size_t len;
	} * row; /* the small ones */
	size_t n_rows;
};

static int64_t cpu_us(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/* In memory of just its size: what reads beyond it is seen. */
static int run_one(const struct parser *t, const uint8_t *data, size_t len, char *why)
{
	CLEANUP(freep) uint8_t *copy = malloc(len ? len : 1);

	HOLDS(copy);
	if (len)
		memcpy(copy, data, len);
	why[0] = '\0';
	return t->run(copy, len, why);
}

static const char *result_name(int r)
{
	return r == 0 ? "0" : r < 0 && strerrorname_np(-r) ? strerrorname_np(-r) : "a number";
}

static void check_row(void *user, const struct row *row)
{
	struct run *run = user;
	struct shared *s = run->shared;
	static char why[TARGET_WHY];
	int64_t began = cpu_us();
	int r;

	(void)snprintf(s->name, sizeof(s->name), "%s", row->name);
	r = run_one(run->target, row->data, row->len, why);
	s->rows++;
	if ((row->result != ROW_ANY && r != row->result) || !strstr(why, row->says)) {
		printf("%s: \"%s\": %s (%d), \"%s\"; expected %s, \"%s\"\n", run->target->name,
		       row->name, result_name(r), r, why,
		       row->result == ROW_ANY ? "any" : result_name(row->result), row->says);
		s->failed++;
	}
	if (cpu_us() - began > ROW_LIMIT_US) {
		printf("%s: \"%s\": took %lld ms\n", run->target->name, row->name,
		       (long long)(cpu_us() - began) / 1000);
		s->failed++;
	}
	if (row->len > KEPT / 2)
		return;
	run->row = reallocarray(run->row, run->n_rows + 1, sizeof(*run->row));
	HOLDS(run->row);
	run->row[run->n_rows].data = malloc(row->len + 1);
	HOLDS(run->row[run->n_rows].data);
	memcpy(run->row[run->n_rows].data, row->data ? (const char *)row->data : "", row->len);
	run->row[run->n_rows++].len = row->len;
}

/* ---- changes ---- */
static uint64_t dice_state;

static size_t dice(size_t sides)
{
	dice_state ^= dice_state << 13;
	dice_state ^= dice_state >> 7;
	dice_state ^= dice_state << 17;
	return sides ? dice_state % sides : 0;
}

static void insert(struct shared *s, size_t at, const uint8_t *data, size_t len)
{
	if (len > KEPT - s->len)
		return;
	memmove(s->data + at + len, s->data + at, s->len - at);
	memcpy(s->data + at, data, len);
	s->len += len;
}

static void change(const struct run *run)
{
	struct shared *s = run->shared;
	size_t at = dice(s->len + 1), other = dice(run->n_rows), n;
	uint8_t byte = (uint8_t)dice(256);

	switch (dice(6)) {
	case 0:
		if (at < s->len)
			s->data[at] = byte;
		break;
	case 1:
		if (at < s->len)
			s->data[at] ^= (uint8_t)(1 << dice(8));
		break;
	case 2:
		insert(s, at, &byte, 1);
		break;
	case 3: /* cut a piece out */
		n = dice(s->len - at + 1);
		memmove(s->data + at, s->data + at + n, s->len - at - n);
		s->len -= n;
		break;
	case 4: /* a piece of another row */
		n = dice(run->row[other].len + 1);
		insert(s, at, run->row[other].data + dice(run->row[other].len - n + 1), n);
		break;
	case 5: /* the same again */
		n = dice(s->len - at + 1);
		insert(s, at, s->data + at, n > 64 ? 64 : n);
		break;
	}
}

static void change_rows(struct run *run, int64_t moment_us)
{
	static char why[TARGET_WHY];
	int64_t until = cpu_us() + moment_us;
	struct shared *s = run->shared;

	(void)snprintf(s->name, sizeof(s->name), "a changed row");
	while (run->n_rows && cpu_us() < until) {
		size_t i = dice(run->n_rows), n = 1 + dice(4);

		s->len = run->row[i].len;
		memcpy(s->data, run->row[i].data, s->len);
		while (n-- > 0)
			change(run);
		(void)run_one(run->target, s->data, s->len, why);
		s->changes++;
	}
}

/* ---- one target ---- */
static long number_from(const char *name, long other)
{
	const char *text = getenv(name);

	return text && *text ? strtol(text, NULL, 10) : other;
}

static void path_of(const char *dir, const struct parser *t, char *out, size_t size)
{
	HOLDS((size_t)snprintf(out, size, "%s/%s.rows", dir, t->name) < size);
}

static void child(struct run *run, const char *dir)
{
	char path[4096];

	path_of(dir, run->target, path, sizeof(path));
	(void)rows_each(path, check_row, run);
	change_rows(run, number_from("MOMENT_MS", 150) * 1000);
	for (size_t i = 0; i < run->n_rows; i++)
		free(run->row[i].data);
	free(run->row);
	exit(0);
}

static void show_death(const struct run *run, int status)
{
	CLEANUP(buf_done) struct buf text = BUF(KEPT * 4);

	printf("%s: \"%s\": died (%s %d)\n", run->target->name, run->shared->name,
	       WIFSIGNALED(status) ? "signal" : "status",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	if (run->shared->len && row_text(run->shared->data, run->shared->len, &text) == 0)
		printf("  as a row: new | any | | %s\n", text.data);
}

static bool replay(const char *dir, const struct parser *t)
{
	struct run run = {.target = t};
	struct rusage used;
	bool good = true;
	int status = 0;
	pid_t pid;

	run.shared = mmap(NULL, sizeof(*run.shared), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	HOLDS(run.shared != MAP_FAILED);
	(void)fflush(stdout);
	pid = fork();
	HOLDS(pid >= 0);
	if (pid == 0)
		child(&run, dir);
	HOLDS(wait4(pid, &status, 0, &used) == pid);
	if (status) {
		show_death(&run, status);
		good = false;
	}
#ifndef SANITIZED
	if (used.ru_maxrss > RSS_KIB) {
		printf("%s: took %ld KiB of memory\n", t->name, used.ru_maxrss);
		good = false;
	}
#endif
	if (run.shared->rows < ROWS_LEAST) {
		printf("%s: only %llu rows\n", t->name, (unsigned long long)run.shared->rows);
		good = false;
	}
	printf("%-14s %4llu rows, %7llu changes, %3lld ms, %3ld MiB%s\n", t->name,
	       (unsigned long long)run.shared->rows, (unsigned long long)run.shared->changes,
	       used.ru_utime.tv_sec * 1000LL + used.ru_utime.tv_usec / 1000, used.ru_maxrss / 1024,
	       good && !run.shared->failed ? "" : "  FAILED");
	good = good && !run.shared->failed;
	(void)munmap(run.shared, sizeof(*run.shared));
	return good;
}

/* ---- files ---- */
struct writer {
	const char *dir;
	unsigned n;
};

static void write_row(void *user, const struct row *row)
{
	struct writer *w = user;
	CLEANUP(closep) int fd = -1;
	char path[4096];

	HOLDS((size_t)snprintf(path, sizeof(path), "%s/%04u", w->dir, w->n++) < sizeof(path));
	if (row->len > KEPT)
		return;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	HOLDS(fd >= 0 && write_all(fd, row->data, row->len) == 0);
}

static int write_rows(const char *dir, const char *name, const char *to)
{
	struct writer w = {.dir = to};
	char path[4096];

	for (size_t i = 0; target_at(i); i++) {
		if (strcmp(target_at(i)->name, name) != 0)
			continue;
		path_of(dir, target_at(i), path, sizeof(path));
		return rows_each(path, write_row, &w) > 0 ? 0 : 1;
	}
	(void)fprintf(stderr, "no target \"%s\"\n", name);
	return 1;
}

static int show_file(const char *path)
{
	CLEANUP(buf_done) struct buf file = BUF(ROW_BYTES);
	CLEANUP(buf_done) struct buf text = BUF(ROW_BYTES * 4u);

	if (read_file(AT_FDCWD, path, ROW_BYTES, &file) < 0 ||
	    row_text((const uint8_t *)file.data, file.len, &text) < 0)
		return 1;
	(void)puts(text.data ? text.data : "");
	return 0;
}

int main(int argc, char **argv)
{
	unsigned done = 0, failed = 0;

	if (argc == 5 && strcmp(argv[1], "--write") == 0)
		return write_rows(argv[2], argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "--row") == 0)
		return show_file(argv[2]);
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (size_t i = 0; target_at(i); i++)
			(void)puts(target_at(i)->name);
		return 0;
	}
	targets_setup();
	dice_state = (uint64_t)number_from("SEED", 1) * 0x9e3779b97f4a7c15u + 1;
	printf("SEED=%ld\n", number_from("SEED", 1));
	for (size_t i = 0; argc > 1 && target_at(i); i++) {
		if (argc > 2 && strcmp(argv[2], target_at(i)->name) != 0)
			continue;
		done++;
		failed += !replay(argv[1], target_at(i));
	}
	printf("%u targets, %u failed\n", done, failed);
	return done == 0 || failed > 0;
}
