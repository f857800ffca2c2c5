/* trust.c - which blobs may be believed: after an end that was not clean, a blob is hashed before its first use.
 *
 * A power cut can keep a blob's name and length and lose its pages.  <state>/trust has the time up to which blobs are
 * doubted, and whether the last end was clean; it is written durably at start ("running") and at a clean end, after
 * everything else is on disk.  A blob counts as doubted while its ctime is not after that time; one that was found sound
 * gets a new ctime.  Nothing is held in memory, and nothing is read at start.
 *
 * A process that is killed loses nothing that it has written, only the machine's end does.  "running" has the boot it is of, so
 * that who was started again in place of a dead process (cache_resumes) does not mistake a power cut for that. */
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

#define TRUST_MAX 128 /* "<ns> clean <boot>\n" */
#define BOOT_MAX 40
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

struct mark {
	int64_t ns;
	char how[16], boot[BOOT_MAX + 1];
};

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

/* "": not known. */
static void this_boot(char out[BOOT_MAX + 1])
{
	CLEANUP(buf_done) struct buf text = BUF(BOOT_MAX);

	out[0] = '\0';
	if (read_file(AT_FDCWD, BOOT_ID, BOOT_MAX, &text) == 0)
		(void)sscanf(text.data ? text.data : "", "%40s", out);
}

static int trust_write(const struct cache *c, const char *how)
{
	struct blob_path p;
	char text[TRUST_MAX], boot[BOOT_MAX + 1];

	this_boot(boot);
	int n = snprintf(text, sizeof(text), "%" PRId64 " %s %s\n", (int64_t)c->doubted_ns, how,
			 boot);
	trust_path(c, &p);
	return write_file_atomic(AT_FDCWD, p.s, text, (size_t)n, 0600);
}

/* False: there is none, or it says nothing. */
static bool trust_read(const struct cache *c, struct mark *ret)
{
	CLEANUP(buf_done) struct buf text = BUF(TRUST_MAX);
	struct blob_path p;

	*ret = (struct mark){0};
	trust_path(c, &p);
	return read_file(AT_FDCWD, p.s, TRUST_MAX, &text) == 0 &&
	       sscanf(text.data ? text.data : "", "%" SCNd64 " %15s %40s", &ret->ns, ret->how,
		      ret->boot) >= 2;
}

/* Set back, more than before is doubted: that costs a look, and takes nothing for sound. */
void cache_clock_set(struct cache *c, int64_t step_us)
{
	if (step_us <= 0)
		return;
	c->doubted_ns += step_us * 1000;
	c->resumed_ns += step_us * 1000;
}

int trust_begin(struct cache *c)
{
	char boot[BOOT_MAX + 1];
	struct blob_path p;
	struct timespec t;
	struct mark last;

	/* The clock that files get their times from; before anything that is written from now on. */
	(void)clock_gettime(CLOCK_REALTIME_COARSE, &t);
	bool marked = trust_read(c, &last);
	this_boot(boot);
	c->doubted_ns = marked && strcmp(last.how, "clean") == 0 ? last.ns : ns_of(&t) - 1;
	c->resumed_ns = marked && boot[0] && strcmp(last.boot, boot) == 0 ? last.ns : c->doubted_ns;
	int r = trust_write(c, "running");
	if (r == 0)
		return 0;
	/* A full disk; what the file says must not outlive what happens now. */
	trust_path(c, &p);
	return unlink(p.s) < 0 && errno != ENOENT ? r : 0;
}

void cache_resumes(struct cache *c)
{
	c->doubted_ns = c->resumed_ns;
	(void)!trust_write(c, "running"); /* what is there doubts more */
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
