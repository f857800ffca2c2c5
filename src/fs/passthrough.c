/* Backing files: given to the kernel at the first open of a picture whose bytes are local, taken back at the last release. */
#include "passthrough.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INODES_MAX = 16384, BUCKETS = 8192, NONE = 0, IDLE_MAX = 8192 };

/* Kernel 6.9; the headers of Debian 12 are older. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
struct open_reply {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)
#ifndef FOPEN_PASSTHROUGH
#define FOPEN_PASSTHROUGH (1 << 7)
#endif

struct slot {
	int64_t snapshot;
	uint32_t opens;        /* 0: free, or idle when it has a backing file */
	_Atomic uint32_t next; /* in its bucket, or of the free ones */
	int32_t backing;       /* 0: through the cache */
	struct backing_kept kept;
};

/* Shared with who serves the connection later.  One store puts a slot into a bucket or takes it out, so a process that is killed
 * loses no more than a slot. */
struct table {
	uint64_t layout;
	uint64_t untracked;  /* opens through the cache that found the table full */
	uint32_t used, free; /* slots that were ever used; first of the free ones */
	uint32_t idle,
		hand; /* how many are idle; where the search for the next to give up goes on */
	uint64_t idle_bytes;
	_Atomic uint32_t bucket[BUCKETS];
	struct slot slot[INODES_MAX + 1]; /* 0 is NONE */
};
#define LAYOUT (UINT64_C(0x7368757474310000) + sizeof(struct table))

struct passthrough {
	int fd;          /* borrowed: the session's; set before `on` */
	_Atomic bool on; /* set once, before the first open */
	_Atomic bool worked, refused;
	uint64_t keep_bytes; /* set before `on` */
	pthread_mutex_t lock;
	struct table *table; /* lock */
};

int passthrough_table(int *ret_fd)
{
	CLEANUP(closep) int fd = memfd_create("shutterfs-open", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, sizeof(struct table)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int passthrough_new(int table, struct passthrough **ret)
{
	struct passthrough *p = calloc(1, sizeof(*p));
	struct stat st;

	if (!p)
		return -ENOMEM;
	p->fd = -1;
	pthread_mutex_init(&p->lock, NULL);
	/* pages that no open touched cost nothing */
	p->table = fstat(table, &st) < 0 || (size_t)st.st_size < sizeof(*p->table)
			   ? MAP_FAILED
			   : mmap(NULL, sizeof(*p->table), PROT_READ | PROT_WRITE, MAP_SHARED,
				  table, 0);
	if (p->table != MAP_FAILED && !p->table->layout)
		p->table->layout = LAYOUT;
	if (p->table == MAP_FAILED || p->table->layout != LAYOUT) {
		(void)passthrough_free(p);
		return -EPROTO;
	}
	*ret = p;
	return 0;
}

struct passthrough *passthrough_free(struct passthrough *p)
{
	if (!p)
		return NULL;
	if (p->table != MAP_FAILED)
		(void)munmap(p->table, sizeof(*p->table));
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}

bool passthrough_on(const struct passthrough *p)
{
	return p && p->on;
}

bool passthrough_works(const struct passthrough *p)
{
	return passthrough_on(p) && (p->worked || !p->refused);
}

/* Its number, or -errno: -EPERM no privilege, -EOPNOTSUPP or -ELOOP not from this file system. */
static int32_t backing_open(const struct passthrough *p, int fd)
{
	struct backing_map map = {.fd = fd};
	int id = ioctl(p->fd, BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

static void backing_close(const struct passthrough *p, int32_t backing)
{
	uint32_t id = (uint32_t)backing;

	if (backing > 0)
		(void)ioctl(p->fd, BACKING_CLOSE, &id);
}

void passthrough_start(struct passthrough *p, int fd, uint64_t keep_bytes)
{
	CLEANUP(closep) int probe = memfd_create("shutterfs-probe", MFD_CLOEXEC);
	int32_t backing;

	p->fd = fd;
	p->keep_bytes = keep_bytes;
	backing = probe < 0 ? -errno : backing_open(p, probe);
	if (backing < 0) {
		log_debug("pictures are not passed through: %s", strerrordesc_np(-backing));
		return;
	}
	backing_close(p, backing);
	p->on = true;
}

/* ---- the table ---- */

/* Where the number of the snapshot's slot stands: NONE there, it has none. */
static _Atomic uint32_t *find(struct table *t, int64_t snapshot)
{
	_Atomic uint32_t *at = &t->bucket[(uint64_t)snapshot % BUCKETS];

	while (*at != NONE && t->slot[*at].snapshot != snapshot)
		at = &t->slot[*at].next;
	return at;
}

/* Out of its bucket and free; its backing file is the caller's to close. */
static int32_t take_out(struct table *t, _Atomic uint32_t *at)
{
	uint32_t i = *at;
	struct slot *s = &t->slot[i];
	int32_t backing = s->backing;

	*at = s->next;
	s->backing = 0;
	s->next = t->free;
	t->free = i;
	return backing;
}

static void idle_ends(struct table *t, const struct slot *s)
{
	t->idle--;
	t->idle_bytes -= s->kept.size;
}

/* *ret_stale: the backing file of other bytes, the caller's to close; or 0. */
static bool join(struct table *t, int64_t snapshot, const struct backing_kept *kept,
		 int32_t *ret_backing, int32_t *ret_stale)
{
	_Atomic uint32_t *at = find(t, snapshot);
	struct slot *s = &t->slot[*at];

	*ret_stale = 0;
	if (*at == NONE)
		return false;
	if (!s->opens) {
		idle_ends(t, s);
		/* An open that found no place may be of this inode. */
		if (t->untracked || !kept->stamp || kept->stamp != s->kept.stamp) {
			*ret_stale = take_out(t, at);
			return false;
		}
	}
	s->opens++;
	*ret_backing = s->backing;
	return true;
}

/* The next idle one in turn, the caller's to close; 0: there is none. */
static int32_t give_up_idle(struct table *t)
{
	for (uint32_t n = t->idle ? t->used : 0; n > 0; n--) {
		t->hand = t->hand % t->used + 1;
		struct slot *s = &t->slot[t->hand];

		if (s->opens || s->backing <= 0)
			continue;
		idle_ends(t, s);
		return take_out(t, find(t, s->snapshot));
	}
	return 0;
}

/* The backing file it is served from: none when opens are about that the table could not take, which may be of this inode. */
static int32_t insert(struct table *t, int64_t snapshot, const struct backing_kept *kept,
		      int32_t backing)
{
	_Atomic uint32_t *bucket = &t->bucket[(uint64_t)snapshot % BUCKETS];
	uint32_t i = t->free;

	if (i == NONE && t->used == INODES_MAX) {
		t->untracked++;
		return 0;
	}
	if (i == NONE)
		i = ++t->used;
	else
		t->free = t->slot[i].next;
	if (t->untracked)
		backing = 0;
	t->slot[i].snapshot = snapshot;
	t->slot[i].opens = 1;
	t->slot[i].backing = backing;
	t->slot[i].kept = *kept;
	t->slot[i].next = *bucket;
	*bucket = i;
	return backing;
}

bool passthrough_join(struct passthrough *p, int64_t snapshot, const struct backing_kept *kept,
		      int32_t *ret_backing)
{
	int32_t stale;
	bool known;

	pthread_mutex_lock(&p->lock);
	known = join(p->table, snapshot, kept, ret_backing, &stale);
	pthread_mutex_unlock(&p->lock);
	backing_close(p, stale);
	return known;
}

int32_t passthrough_enter(struct passthrough *p, int64_t snapshot, const struct backing_kept *kept,
			  int fd)
{
	int32_t mine = fd >= 0 ? backing_open(p, fd) : 0, backing, stale = 0, given_up = 0;

	if (mine > 0)
		p->worked = true;
	if (mine == -EOPNOTSUPP || mine == -ELOOP)
		p->refused = true;
	if (mine < 0)
		mine = 0;
	pthread_mutex_lock(&p->lock);
	if (!join(p->table, snapshot, kept, &backing, &stale)) { /* nobody was faster */
		if (p->table->free == NONE && p->table->used == INODES_MAX)
			given_up = give_up_idle(p->table);
		backing = insert(p->table, snapshot, kept, mine);
	}
	pthread_mutex_unlock(&p->lock);
	if (mine != backing)
		backing_close(p, mine);
	backing_close(p, stale);
	backing_close(p, given_up);
	return backing;
}

/* Kept for the next open; too many: the next one in turn goes.  What the caller is to close, or 0. */
static int32_t leave_last(const struct passthrough *p, _Atomic uint32_t *at)
{
	struct table *t = p->table;
	struct slot *s = &t->slot[*at];

	if (s->backing <= 0 || !s->kept.stamp || s->kept.size > p->keep_bytes)
		return take_out(t, at);
	t->idle++;
	t->idle_bytes += s->kept.size;
	return t->idle > IDLE_MAX || t->idle_bytes > p->keep_bytes ? give_up_idle(t) : 0;
}

void passthrough_leave(struct passthrough *p, int64_t snapshot)
{
	int32_t backing = 0;

	pthread_mutex_lock(&p->lock);
	struct table *t = p->table;
	_Atomic uint32_t *at = find(t, snapshot);
	struct slot *s = &t->slot[*at];

	if (*at == NONE || !s->opens)
		t->untracked -= t->untracked > 0;
	else if (--s->opens == 0)
		backing = leave_last(p, at);
	pthread_mutex_unlock(&p->lock);
	backing_close(p, backing);
}

int passthrough_reply(fuse_req_t req, const struct fuse_file_info *fi, int32_t backing)
{
	const struct open_reply reply = {.fh = fi->fh,
					 .open_flags = FOPEN_PASSTHROUGH | FOPEN_NOFLUSH,
					 .backing_id = backing};

	return fuse_reply_buf(req, (const char *)&reply, sizeof(reply));
}
