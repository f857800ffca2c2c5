/* The table of upload entries that are open or being looked at: what their users share. */
#include "ingest_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

void upload_file_name(int64_t id, char out[24])
{
	(void)snprintf(out, 24, "%lld", (long long)id);
}

static struct entry **slot_of(struct ingest *in, int64_t id)
{
	struct entry **p = &in->table[(uint64_t)id % TABLE];

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

/* A registered picture has no file of its own any more; a stray one (a crash between commit and unlink) is not looked at. */
static int open_bytes(struct ingest *in, struct entry *e, const struct upload_row *row)
{
	char name[24];

	e->is_dir = row->is_dir;
	e->registered = row->state == UPLOAD_REGISTERED;
	e->snapshot = e->registered ? row->snapshot : 0;
	e->fresh = row->state == UPLOAD_OPEN && row->due_us == 0;
	if (e->is_dir || e->registered)
		return 0;
	upload_file_name(e->id, name);
	e->fd = openat(in->dir, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return e->fd < 0 ? -errno : 0;
}

static void entry_free(struct entry *e)
{
	int fd = e->fd;

	if (fd >= 0)
		(void)close(fd);
	pthread_rwlock_destroy(&e->lock);
	free(e);
}

static int add(struct ingest *in, int64_t id, const struct upload_row *known, struct entry **ret)
{
	struct upload_row row;
	struct entry *e;
	int r = known ? 0 : catalog_upload(in->cat, id, &row);

	if (r < 0)
		return r;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->id = id;
	e->fd = -1;
	pthread_rwlock_init(&e->lock, NULL);
	r = open_bytes(in, e, known ? known : &row);
	if (r < 0)
		entry_free(e);
	else
		*ret = e;
	return r;
}

int entry_get(struct ingest *in, int64_t id, const struct upload_row *known, bool writer,
	      struct entry **ret)
{
	struct entry **p;
	int r = 0;

	pthread_mutex_lock(&in->lock);
	p = slot_of(in, id);
	if (!*p)
		r = add(in, id, known, p);
	if (r == 0) {
		(*p)->users++;
		(*p)->writers += writer;
		*ret = *p;
	}
	pthread_mutex_unlock(&in->lock);
	return r;
}

struct entry *entry_find(struct ingest *in, int64_t id)
{
	struct entry *e;

	pthread_mutex_lock(&in->lock);
	e = *slot_of(in, id);
	if (e)
		e->users++;
	pthread_mutex_unlock(&in->lock);
	return e;
}

void entry_put(struct ingest *in, struct entry *e, bool writer)
{
	bool last;

	pthread_mutex_lock(&in->lock);
	e->writers -= writer;
	last = --e->users == 0;
	if (last)
		*slot_of(in, e->id) = e->next;
	pthread_mutex_unlock(&in->lock);
	if (last)
		entry_free(e);
}

bool entry_has_writers(struct ingest *in, const struct entry *e)
{
	bool has;

	pthread_mutex_lock(&in->lock);
	has = e->writers > 0;
	pthread_mutex_unlock(&in->lock);
	return has;
}

void entry_live(struct ingest *in, const struct entry *e, struct upload_row *row)
{
	struct stat st;
	char name[24];
	int r;

	if (row->is_dir || row->state == UPLOAD_REGISTERED)
		return;
	upload_file_name(row->id, name);
	r = e && e->fd >= 0 ? fstat(e->fd, &st) : fstatat(in->dir, name, &st, AT_SYMLINK_NOFOLLOW);
	if (r < 0) { /* handed over meanwhile: then the row knows */
		struct upload_row now;

		if (catalog_upload(in->cat, row->id, &now) == 0)
			*row = now;
		return;
	}
	int64_t mtime_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
	int64_t ctime_ns = (int64_t)st.st_ctim.tv_sec * 1000000000 + st.st_ctim.tv_nsec;

	row->size = (uint64_t)st.st_size;
	row->mtime_set = row->mtime_set && row->mtime_ns == mtime_ns; /* a later write unsets it */
	row->mtime_ns = mtime_ns;
	if (row->ctime_ns < ctime_ns) /* written since */
		row->ctime_ns = ctime_ns;
}
