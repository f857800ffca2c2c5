/* datasets.c - the room: names, jobs of the one worker, files.
 *
 * What a job has to do follows from the dataset's row alone, so nothing is lost with the process: a dataset that is FREEZING is frozen
 * (or, if its lines are whole, only written out), one that is REMOVED is cleared, one that is FROZEN without its texts gets them. */
#include "work.h"

#include "shutterfs/query.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { JOBS = 1024 };

struct datasets {
	struct catalog *catalog;
	int dirfd; /* <state>/datasets */
	struct pool *pool;
	_Atomic bool stop;
	_Atomic bool looking; /* a job that looks at all of them is queued */
};

struct job {
	struct datasets *d;
	int64_t id; /* 0: look at all */
	dataset_done_fn *done;
	void *user;
};

static void text_dir(int64_t id, char out[64])
{
	(void)snprintf(out, 64, "%lld", (long long)id);
}

static bool stopped(void *user)
{
	const struct datasets *d = user;

	return d->stop;
}

/* ---- what the worker does ---- */
static int fail(struct datasets *d, const struct dataset_row *row, const char *why)
{
	int r = catalog_dataset_set(d->catalog, row->id, DATASET_FAILED, 0, NULL, 0, why);

	log_warn("dataset \"%s\" cannot be frozen: %s", row->name, why);
	return r;
}

/* The texts appear whole, under the directory's name. */
static int write_out(struct datasets *d, const struct dataset_row *row, const struct head *head,
		     bool rows)
{
	struct derive job = {.catalog = d->catalog,
			     .dataset = row->id,
			     .head = head,
			     .rows = rows,
			     .stop = stopped,
			     .user = d};
	CLEANUP(closep) int fd = -1;
	char name[64], fresh[80];
	int r;

	text_dir(row->id, name);
	(void)snprintf(fresh, sizeof(fresh), "%s.new", name);
	r = remove_tree(d->dirfd, fresh);
	if (r == 0)
		r = remove_tree(d->dirfd, name);
	if (r == 0 && mkdirat(d->dirfd, fresh, 0700) < 0)
		r = -errno;
	if (r < 0)
		return r;
	job.dirfd = fd = openat(d->dirfd, fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = derive(&job);
	if (r < 0)
		return r;
	if (fsync(fd) < 0 || renameat(d->dirfd, fresh, d->dirfd, name) < 0 || fsync(d->dirfd) < 0)
		return -errno;
	return 0;
}

static int freeze(struct datasets *d, const struct dataset_row *row)
{
	CLEANUP(buf_done) struct buf query = BUF(DATASET_QUERY_BYTES);
	CLEANUP(head_done) struct head head = {0};
	struct dataset_row now;
	char why[WHY_MAX] = "";
	int r = catalog_dataset_clear(d->catalog, row->id);

	if (r == 0)
		r = head_read(d->catalog, row->uid, &head);
	if (r == -ENOENT) {
		r = lines_remove(d->catalog, row->uid);
		if (r == 0)
			r = catalog_dataset_query(d->catalog, row->id, &query);
		if (r == 0)
			r = freeze_lines(d->catalog, row, query.data ? query.data : "", stopped, d,
					 why);
		if (r == 0)
			r = head_read(d->catalog, row->uid, &head);
	}
	if (r == 0)
		r = lines_there(d->catalog, &head);
	if (r == 0)
		r = write_out(d, row, &head, true);
	if (r == 0)
		r = catalog_dataset_set(d->catalog, row->id, DATASET_FROZEN, head.frozen_us,
					head.query, strlen(head.query), NULL);
	if (r == 0)
		r = catalog_dataset(d->catalog, row->id, &now);
	if (r == 0 && strcmp(now.name, head.name) != 0) /* renamed meanwhile */
		r = head_rename(d->catalog, row->uid, now.name);
	/* Stopped, removed meanwhile, or not all notes are here yet: that is no failure. */
	if (r < 0 && r != -ECANCELED && r != -ENOENT)
		(void)!fail(d, row, why[0] ? why : strerrordesc_np(-r));
	return r;
}

static int clear(struct datasets *d, const struct dataset_row *row)
{
	char name[64], other[80];
	int r;

	text_dir(row->id, name);
	r = remove_tree(d->dirfd, name);
	(void)snprintf(other, sizeof(other), "%s.new", name);
	if (r == 0)
		r = remove_tree(d->dirfd, other);
	(void)snprintf(other, sizeof(other), "%s.scratch", name);
	if (r == 0)
		r = remove_tree(d->dirfd, other);
	if (r == 0)
		r = lines_remove(d->catalog, row->uid);
	return r < 0 ? r : catalog_dataset_clear(d->catalog, row->id);
}

static int write_again(struct datasets *d, const struct dataset_row *row)
{
	CLEANUP(head_done) struct head head = {0};
	char name[64];
	int r;

	text_dir(row->id, name);
	if (faccessat(d->dirfd, name, F_OK, 0) == 0)
		return 0;
	r = head_read(d->catalog, row->uid, &head);
	return r < 0 ? r : write_out(d, row, &head, false);
}

static int work_on(struct datasets *d, const struct dataset_row *row)
{
	switch (row->state) {
	case DATASET_FREEZING:
		return freeze(d, row);
	case DATASET_REMOVED:
		return clear(d, row);
	case DATASET_FROZEN:
		return write_again(d, row);
	default:
		return 0;
	}
}

/* ---- datasets that are among the notes only: the catalog was made again ---- */
static int take_in(struct datasets *d, const char *uid)
{
	CLEANUP(head_done) struct head head = {0};
	struct dataset_row row;
	char name[NAME_LIMIT + 1];
	int64_t id;
	int r = catalog_dataset_by_uid(d->catalog, uid, &row);

	if (r != -ENOENT)
		return r;
	r = head_read(d->catalog, uid, &head);
	if (r < 0)
		return r;
	r = catalog_dataset_make(d->catalog, head.name, uid, &id);
	for (int n = 2; r == -EEXIST && n < 1000; n++) { /* another one has the name by now */
		(void)snprintf(name, sizeof(name), "%.240s-%d", head.name, n);
		r = catalog_dataset_make(d->catalog, name, uid, &id);
	}
	if (r == 0)
		r = catalog_dataset_set(d->catalog, id, DATASET_FREEZING, 0, head.query,
					strlen(head.query), NULL);
	return r;
}

static int take_in_all(struct datasets *d)
{
	static const char last[] = "/dataset.json";
	char key[KEY_MAX + 1] = "", uid[DATASET_UID_MAX + 1];
	int r = 0;

	while (!d->stop && (r = catalog_note_next(d->catalog, DATASET_NOTES, key, key)) == 0) {
		const char *from = key + sizeof(DATASET_NOTES) - 1;
		size_t len = strcspn(from, "/");

		if (strcmp(from + len, last) != 0 || len == 0 || len >= sizeof(uid))
			continue;
		(void)snprintf(uid, sizeof(uid), "%.*s", (int)len, from);
		r = take_in(d, uid);
		if (r < 0)
			log_warn("the dataset in note \"%s\" cannot be taken in: %s", key,
				 strerrordesc_np(-r));
	}
	return r == -ENOENT ? 0 : r;
}

static int look_at_all(struct datasets *d)
{
	struct dataset_row row = {0};
	int r = take_in_all(d);

	while (!d->stop && catalog_dataset_each(d->catalog, row.id, &row) == 0) {
		int one = work_on(d, &row);

		if (one < 0 && one != -ECANCELED && one != -ENOENT)
			log_warn("dataset \"%s\": %s", row.name, strerrordesc_np(-one));
	}
	return r;
}

static int look_at(struct datasets *d, int64_t id)
{
	struct dataset_row row;
	int r = catalog_dataset_each(d->catalog, id - 1, &row);

	if (r == 0 && row.id != id)
		r = -ENOENT;
	return r < 0 ? r : work_on(d, &row);
}

static void run(void *arg)
{
	struct job *j = arg;
	int r = -ECANCELED;

	if (!j->id)
		j->d->looking = false;
	if (!j->d->stop)
		r = j->id ? look_at(j->d, j->id) : look_at_all(j->d);
	if (j->done)
		j->done(j->user, r);
	free(j);
}

static int queue(struct datasets *d, int64_t id, dataset_done_fn *done, void *user)
{
	struct job *j = malloc(sizeof(*j));
	int r;

	if (!j)
		return -ENOMEM;
	*j = (struct job){.d = d, .id = id, .done = done, .user = user};
	r = pool_run(d->pool, run, j);
	if (r < 0)
		free(j);
	return r;
}

/* ---- the door ---- */
int datasets_open(struct catalog *c, const char *state_dir, struct datasets **ret)
{
	CLEANUP(buf_done) struct buf path = BUF(4096);
	struct datasets *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->catalog = c;
	d->dirfd = -1;
	(void)buf_printf(&path, "%s/datasets", state_dir);
	r = path.error ? path.error : make_dirs(path.data, 0700);
	if (r == 0) {
		d->dirfd = open(path.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = d->dirfd < 0 ? -errno : pool_new("dataset", 1, JOBS, &d->pool);
	}
	if (r == 0)
		r = queue(d, 0, NULL, NULL);
	if (r < 0) {
		(void)datasets_close(d);
		return r;
	}
	*ret = d;
	return 0;
}

struct datasets *datasets_close(struct datasets *d)
{
	if (!d)
		return NULL;
	d->stop = true;
	d->pool = pool_free(d->pool);
	closep(&d->dirfd);
	free(d);
	return NULL;
}

int datasets_make(struct datasets *d, const char *name, int64_t *ret_id)
{
	char uid[DATASET_UID_MAX + 1], when[IMG_ID_MAX + 1];
	uint32_t chance;

	/* Two machines may share a store. */
	if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
		return -EIO;
	(void)img_id_format(now_us(), 0, when);
	(void)snprintf(uid, sizeof(uid), "%s-%08x", when, chance);
	return catalog_dataset_make(d->catalog, name, uid, ret_id);
}

int datasets_rename(struct datasets *d, int64_t id, const char *name)
{
	struct dataset_row row;
	int r = catalog_dataset(d->catalog, id, &row);

	if (r == 0)
		r = catalog_dataset_rename(d->catalog, id, name);
	return r < 0 ? r : head_rename(d->catalog, row.uid, name);
}

int datasets_remove(struct datasets *d, int64_t id)
{
	int r = catalog_dataset_remove(d->catalog, id);

	if (r == 0)
		(void)!queue(d, id, NULL, NULL); /* too many: at the next start */
	return r;
}

static int check_query(const char *text, size_t len, char why[WHY_MAX])
{
	CLEANUP(spec_done) struct spec spec = {0};
	struct query *q;
	int r = spec_parse(text, len, &spec, why);

	if (r == 0)
		r = query_parse(spec.query, strlen(spec.query), &q, why);
	if (r == 0)
		(void)query_free(q);
	return r;
}

int datasets_freeze(struct datasets *d, int64_t id, const char *text, size_t len)
{
	char why[WHY_MAX] = "";
	struct dataset_row row;
	int r = catalog_dataset(d->catalog, id, &row);

	if (r == 0 && row.state != DATASET_NEW && row.state != DATASET_FAILED)
		r = -EROFS;
	if (r < 0)
		return r;
	r = check_query(text, len, why);
	if (r == -EBADMSG || r == -EFBIG) {
		r = catalog_dataset_set(d->catalog, id, DATASET_FAILED, 0, text,
					len < DATASET_QUERY_BYTES ? len : DATASET_QUERY_BYTES, why);
		return r < 0 ? r : -EINVAL;
	}
	/* What an earlier query left when its dataset could not be written out. */
	if (r == 0 && row.state == DATASET_FAILED)
		r = lines_remove(d->catalog, row.uid);
	if (r == 0)
		r = catalog_dataset_set(d->catalog, id, DATASET_FREEZING, 0, text, len, NULL);
	return r < 0 ? r : queue(d, id, NULL, NULL);
}

int datasets_wait(struct datasets *d, int64_t id, dataset_done_fn *done, void *user)
{
	return queue(d, id, done, user);
}

void datasets_look(struct datasets *d)
{
	if (!atomic_exchange(&d->looking, true) && queue(d, 0, NULL, NULL) < 0)
		d->looking = false;
}

/* ---- files ---- */
static void text_path(int64_t id, enum dataset_file file, char out[128])
{
	(void)snprintf(out, 128, "%lld/%s", (long long)id, dataset_file_name[file]);
}

int datasets_text(struct datasets *d, int64_t id, enum dataset_file file, int *ret_fd)
{
	char path[128];
	int fd;

	text_path(id, file, path);
	fd = openat(d->dirfd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int datasets_text_size(struct datasets *d, int64_t id, enum dataset_file file, uint64_t *ret)
{
	char path[128];
	struct stat st;

	text_path(id, file, path);
	if (fstatat(d->dirfd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

static void scratch_path(const struct dataset_scratch *s, char out[128])
{
	(void)snprintf(out, 128, "%lld.scratch/%lld", (long long)s->dataset, (long long)s->id);
}

int datasets_scratch(struct datasets *d, const struct dataset_scratch *s, int flags, int *ret_fd)
{
	char path[128];
	int fd;

	scratch_path(s, path);
	if (flags & O_CREAT) {
		path[strcspn(path, "/")] = '\0';
		if (mkdirat(d->dirfd, path, 0700) < 0 && errno != EEXIST)
			return -errno;
		scratch_path(s, path);
	}
	fd = openat(d->dirfd, path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int datasets_scratch_remove(struct datasets *d, const struct dataset_scratch *s)
{
	char path[128];
	int r = catalog_scratch_remove(d->catalog, s->id);

	scratch_path(s, path);
	if (r == 0 && unlinkat(d->dirfd, path, 0) < 0 && errno != ENOENT)
		r = -errno;
	return r;
}
