/* damage.c - after an end that was not clean: bytes in the spool that a power cut took.
 *
 * Nothing was promised for them yet (they were closed less than a second before, and never synced), but they must not be
 * served either.  Their uploads become rejected ones that say so; what is left of the bytes stays with them. */
#include "ingest_private.h"

#include <errno.h>
#include <stdio.h>

#define WHY "a power cut took its bytes before they were on disk; please upload it again"

struct keep {
	struct ingest *in;
	const struct sha256 *sha;
};

/* Before the row says "rejected": a rejected entry is read from its own file. */
static int keep_bytes(void *user, int64_t id)
{
	struct keep *k = user;
	char name[24];
	int r;

	upload_file_name(id, name);
	r = cache_disown(k->in->cache, k->sha, k->in->dir, name);
	return r == -EEXIST ? 0 : r;
}

static int take_back(struct ingest *in, const struct sha256 *sha)
{
	struct keep k = {.in = in, .sha = sha};
	char hex[SHA256_HEX];
	int64_t n = 0;
	int r = catalog_uploads_of(in->cat, sha, keep_bytes, &k);

	if (r == 0)
		r = catalog_take_back(in->cat, sha, WHY, &n);
	if (r == 0)
		r = cache_drop(in->cache, sha, BLOB_SPOOL);
	hex_encode(sha->b, sizeof(sha->b), hex);
	if (n > 0)
		log_err("%lld pictures with SHA-256 %s are taken back: a power cut took their bytes before they were on disk",
			(long long)n, hex);
	return r;
}

int look_at_spooled(struct ingest *in, const struct sha256 *sha)
{
	int r;

	pthread_rwlock_wrlock(adopting_of(in, sha));
	r = cache_check(in->cache, sha);
	if (r == -EBADMSG)
		r = take_back(in, sha);
	pthread_rwlock_unlock(adopting_of(in, sha));
	return r == -ENOENT ? 0 : r;
}
