/* Open files and directories: nothing in them that could not be had again from the inode.
 *
 * The kernel knows them by numbers that no two processes serving the mount give out twice, so one that this process does not know is
 * opened again.  A number has, from below, 32 bits that count, 15 of the process, 16 that mark the bytes it was opened for, and
 * HANDLE_TEXT_LOST.
 *
 * Those left at the end are closed: the kernel forgets to release what is open when a mount is taken away. */
#include "nodes.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct handle **place_of(struct fs *fs, uint64_t number)
{
	struct handle **at = &fs->handle[number % HANDLE_BUCKETS];

	while (*at && (*at)->number != number)
		at = &(*at)->next;
	return at;
}

static void insert(struct fs *fs, struct handle *h, uint64_t number)
{
	struct handle **bucket = &fs->handle[number % HANDLE_BUCKETS];

	h->number = number;
	h->next = *bucket;
	*bucket = h;
}

/* `more`: bits of its number beside those that count. */
static struct handle *numbered(struct fs *fs, enum handle_kind kind, uint64_t more)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->kind = kind;
	h->fd = -1;
	h->text = BUF(64 * SIDECAR_BYTES);
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_lock(&fs->handle_lock);
	insert(fs, h, ++fs->last_handle | more);
	pthread_mutex_unlock(&fs->handle_lock);
	return h;
}

struct handle *handle_new(struct fs *fs, enum handle_kind kind)
{
	return numbered(fs, kind, kind == HANDLE_EDIT ? HANDLE_TEXT_LOST : 0);
}

/* Never 0, which marks nothing. */
static uint64_t mark_of(uint64_t size, const struct sha256 *sha)
{
	uint64_t first = 0, mixed;

	if (sha)
		memcpy(&first, sha->b, sizeof(first));
	mixed = (size ^ first) * UINT64_C(0x9e3779b97f4a7c15); /* Fibonacci hashing */
	return (mixed >> 48 | 1) << 47;
}

struct handle *handle_new_snap(struct fs *fs, const struct snap *s)
{
	struct handle *h = numbered(fs, HANDLE_SNAP, mark_of(s->size, s->has_sha ? &s->sha : NULL));

	if (h)
		h->snapshot = s->id;
	return h;
}

struct handle *handle_find(struct fs *fs, uint64_t number)
{
	struct handle *h;

	pthread_mutex_lock(&fs->handle_lock);
	h = *place_of(fs, number);
	pthread_mutex_unlock(&fs->handle_lock);
	return h;
}

struct handle *handle_renumber(struct fs *fs, struct handle *h, uint64_t number)
{
	struct handle *other;

	pthread_mutex_lock(&fs->handle_lock);
	other = *place_of(fs, number);
	if (!other) {
		*place_of(fs, h->number) = h->next;
		insert(fs, h, number);
	}
	pthread_mutex_unlock(&fs->handle_lock);
	if (!other)
		return h;
	handle_free(fs, h);
	return other;
}

bool handle_is_for(const struct handle *h, const struct snap *s, int fd)
{
	uint64_t mark = h->number & UINT64_C(0xffff) << 47, size;
	struct hashes got;
	struct stat st;

	if (!mark)
		return true;
	if (fstat(fd, &st) < 0)
		return false;
	size = (uint64_t)st.st_size;
	if (mark == mark_of(size, NULL) || (s->has_sha && mark == mark_of(size, &s->sha)))
		return true;
	/* a scan that met another file with the same bytes does not know yet that they are */
	return hash_fd(fd, &got) == 0 && mark == mark_of(size, &got.sha);
}

void handle_free(struct fs *fs, struct handle *h)
{
	int fd = h->fd;

	pthread_mutex_lock(&fs->handle_lock);
	*place_of(fs, h->number) = h->next;
	pthread_mutex_unlock(&fs->handle_lock);
	/* who was answered closes it perhaps before who answered has left his call */
	pthread_mutex_lock(&h->lock);
	pthread_mutex_unlock(&h->lock);
	if (h->file)
		ingest_release(h->file);
	if (h->edit)
		edit_release(fs, h);
	if (fd >= 0)
		(void)close(fd);
	buf_done(&h->text);
	handle_forget_names(h);
	free(h->seen);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void handle_forget_names(struct handle *h)
{
	for (size_t i = 0; i < h->n_seen; i++)
		free(h->seen[i].name);
	h->n_seen = 0;
}

void handles_end(struct fs *fs)
{
	for (size_t i = 0; i < HANDLE_BUCKETS; i++)
		while (fs->handle[i])
			handle_free(fs, fs->handle[i]);
}
