/* Uploads and sending while calls fail: what was accepted is there, in the views and once in the store, and a scan that failed hides
 * nothing. */
#include "../unit/test-sync.h"
#include "torture.h"

enum { PICTURES = 4 };

struct story {
	struct town town;
	int64_t dir, entry[PICTURES];
};

static void *story_new(void)
{
	struct story *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	town_new(&s->town, NULL, NULL, 1);
	return s;
}

static int try_dir(struct story *s)
{
	struct upload_row row;
	int r = ingest_mkdir(s->town.house.in, 0, "front", 0755, 0, 0, &row);

	if (r == -EEXIST)
		r = ingest_lookup(s->town.house.in, 0, "front", &row);
	if (r == 0)
		s->dir = row.id;
	return r;
}

/* As a program that sees an error and copies once more. */
static int try_upload(struct story *s, unsigned n)
{
	char name[32], data[PICTURE_MAX];
	size_t len = picture(n, NULL, data);
	struct upload_row row;
	struct upload_file *f;
	int r;

	(void)snprintf(name, sizeof(name), "20201231_1500%02u.jpg", n);
	r = ingest_create(s->town.house.in, s->dir, name, O_WRONLY | O_TRUNC, 0644, 0, 0, &row, &f);
	if (r < 0)
		return r;
	s->entry[n] = row.id;
	r = ingest_write(f, data, len, 0);
	if (r == 0)
		r = ingest_flush(f);
	ingest_release(f);
	return r;
}

static int try_due(struct story *s)
{
	int64_t next;

	return ingest_run_due(s->town.house.in, now_us() + 20000000, &next);
}

static int try_drain(struct story *s)
{
	struct call c = {.deadline_us = mono_us() + 20000000};

	return sync_drain(s->town.sync, true, &c, NULL, NULL);
}

static int try_scan(struct story *s)
{
	struct call c = {.deadline_us = mono_us() + 20000000};
	struct scan_counts n = {0};
	int r = sync_scan(s->town.sync, "cloud", &c, NULL, NULL, &n);

	assert_int_equal(n.gone + n.lost, 0);
	return r;
}

static void work_upload(void *data)
{
	struct story *s = data;

	again(try_dir(s));
	for (unsigned n = 0; n < PICTURES; n++)
		again(try_upload(s, n));
	again(try_due(s));
	again(ingest_fsync_all(s->town.house.in));
}

static void work_sync(void *data)
{
	struct story *s = data;

	again(sync_start(s->town.sync));
	again(try_drain(s));
	again(try_scan(s));
	again(try_drain(s));
	again(try_scan(s));
}

static void *begin_sync(void)
{
	struct story *s = story_new();

	work_upload(s);
	return s;
}

static void story_end(void *data)
{
	struct story *s = data;
	struct town *t = &s->town;
	char picture_bytes[PICTURE_MAX], why[256];
	_Atomic bool cancel = false;

	for (int life = 0; life < 2; life++) {
		ok(ingest_recover(t->house.in, &cancel));
		ok(try_due(s));
		for (unsigned n = 0; n < PICTURES; n++) {
			size_t len = picture(n, NULL, picture_bytes);
			struct snap x = snap_of(&t->house, s->entry[n]);
			CLEANUP(closep) int fd = -1;
			struct call c = {.deadline_us = mono_us() + 20000000};
			char got[PICTURE_MAX];

			ok(fetch_wait(t->fetch, x.id, &c, &fd));
			ok(pread_all(fd, got, len, 0));
			assert_memory_equal(got, picture_bytes, len);
		}
		assert_int_equal(snapshots(&t->house), PICTURES);
		if (life == 0)
			town_restart(t, NULL, NULL);
	}
	ok(sync_start(t->sync));
	ok(drain(t, why));
	ok(try_scan(s));
	assert_int_equal(snapshots(&t->house), PICTURES);
	assert_objects(t->root[0], PICTURES, PICTURES);
	town_end(t);
	free(s);
}

int main(void)
{
	static const struct scenario all[] = {
		{"uploads", story_new, work_upload, story_end},
		{"sync and scan", begin_sync, work_sync, story_end},
	};

	return torture(all, ARRAY_LEN(all));
}
