/* trust.c - which blobs may be believed: after an end that was not clean, a blob is hashed before its first use.
 *
 * A power cut can keep a blob's name and length and lose its pages.  <state>/trust has the time up to which blobs are
 * doubted, and whether the last end was clean; it is written durably at start ("running") and at a clean end, after
 * everything else is on disk.  A blob counts as doubted while its ctime is not after that time; one that was found sound
 * gets a new ctime.  Nothing is held in memory, and nothing is read at start. */
#define LOG_ROOM "cache"
#include "private.h"

#include "shutterfs/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRUST_MAX 64 /* "<ns> clean\n" */

static int64_t ns_of(const struct timespec *t)
{
	return t->tv_sec * INT64_C(1000000000) + t->tv_nsec;
}

static int64_t now_ns(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	return ns_of(&t);
}

static void trust_path(const struct cache *c, struct blob_path *ret)
{
	(void)snprintf(ret->s, sizeof(ret->s), "%s/trust", c->home[BLOB_SPOOL]);
}

static int trust_write(const struct cache *c, const char *how)
{
	struct blob_path p;
	char text[TRUST_MAX];
	int n = snprintf(text, sizeof(text), "%" PRId64 " %s\n", c->doubted_ns, how);

	trust_path(c, &p);
	return write_file_atomic(AT_FDCWD, p.s, text, (size_t)n, 0600);
}

/* False: the last end was not clean, or says nothing. */
static bool trust_read(const struct cache *c, int64_t *ret_doubted_ns)
{
	CLEANUP(buf_done) struct buf text = BUF(TRUST_MAX);
	struct blob_path p;
	char how[16];
	int64_t ns;

	trust_path(c, &p);
	if (read_file(AT_FDCWD, p.s, TRUST_MAX, &text) < 0 ||
	    sscanf(text.data ? text.data : "", "%" SCNd64 " %15s", &ns, how) != 2 ||
	    strcmp(how, "clean") != 0)
		return false;
	*ret_doubted_ns = ns;
	return true;
}

int trust_begin(struct cache *c)
{
	struct blob_path p;
	struct timespec t;

	/* The clock that files get their times from; before anything that is written from now on. */
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
	if (!trust_read(c, &c->doubted_ns))
		c->doubted_ns = ns_of(&t) - 1;
	int r = trust_write(c, "running");
	if (r == 0)
		return 0;
	/* A full disk; what the file says must not outlive what happens now. */
	trust_path(c, &p);
	return unlink(p.s) < 0 && errno != ENOENT ? r : 0;
}

static int sync_home(const struct cache *c, enum blob_area area)
{
	CLEANUP(closep) int fd = open(c->home[area], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return syncfs(fd) < 0 ? -errno : 0;
}

void trust_end(const struct cache *c)
{
	int r = sync_home(c, BLOB_SPOOL);

	if (r == 0)
		r = sync_home(c, BLOB_CACHE);
	if (r == 0)
		r = trust_write(c, "clean");
	if (r < 0)
		log_debug("the next start will doubt its blobs: %s", strerrordesc_np(-r));
}

int blob_believe(const struct cache *c, const struct sha256 *sha, int fd)
{
	struct sha256 got;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	/* From the future: the clock was set back, and its age says nothing. */
	if (ns_of(&st.st_ctim) > c->doubted_ns && ns_of(&st.st_ctim) <= now_ns())
		return 0;
	int r = sha256_fd(fd, &got);
	if (r < 0)
		return r;
	if (memcmp(&got, sha, sizeof(*sha)) != 0)
		return -EBADMSG;
	(void)fchmod(fd, st.st_mode & 07777); /* only for its ctime */
	return 0;
}
