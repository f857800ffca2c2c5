/* objects.c - the buckets of the benchmark's S3 server: one sorted array under a read-write lock. */
#include "objects.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct object **sorted; /* protected by lock */
static size_t n_objects, room; /* protected by lock */

/* The first that is not below `key`. */
static size_t place_of(const char *key)
{
	size_t low = 0, high = n_objects;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(sorted[mid]->key, key) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_at(size_t i, const char *key)
{
	return i < n_objects && strcmp(sorted[i]->key, key) == 0;
}

void object_unref(struct object *o)
{
	if (!o || atomic_fetch_sub(&o->refs, 1) > 1)
		return;
	free(o->key);
	free(o->headers);
	free(o->data);
	free(o);
}

static struct object *object_new(const char *key, uint8_t *data, size_t size, char *headers)
{
	struct object *o = calloc(1, sizeof(*o));
	uint8_t md5[16];

	if (!o) {
		free(data);
		free(headers);
		return NULL;
	}
	*o = (struct object){
		.refs = 1, .size = size, .data = data, .headers = headers, .modified = time(NULL)};
	o->key = strdup(key);
	if (!o->key || !EVP_Digest(data, size, md5, NULL, EVP_md5(), NULL)) {
		object_unref(o);
		return NULL;
	}
	hex_encode(md5, sizeof(md5), o->etag);
	return o;
}

static int grow(void)
{
	size_t more = room ? room * 2 : 1024;
	struct object **grown;

	if (n_objects < room)
		return 0;
	grown = realloc(sorted, more * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	sorted = grown;
	room = more;
	return 0;
}

int object_put(const char *key, uint8_t *data, size_t size, char *headers)
{
	struct object *o = object_new(key, data, size, headers), *old = NULL;
	size_t i;

	if (!o)
		return -ENOMEM;
	pthread_rwlock_wrlock(&lock);
	i = place_of(key);
	if (is_at(i, key)) {
		old = sorted[i];
		sorted[i] = o;
	} else if (grow() == 0) {
		memmove(&sorted[i + 1], &sorted[i], (n_objects - i) * sizeof(*sorted));
		sorted[i] = o;
		n_objects++;
	} else {
		old = o;
	}
	pthread_rwlock_unlock(&lock);
	object_unref(old);
	return old == o ? -ENOMEM : 0;
}

struct object *object_get(const char *key)
{
	struct object *o = NULL;
	size_t i;

	pthread_rwlock_rdlock(&lock);
	i = place_of(key);
	if (is_at(i, key)) {
		o = sorted[i];
		atomic_fetch_add(&o->refs, 1);
	}
	pthread_rwlock_unlock(&lock);
	return o;
}

void object_delete(const char *key)
{
	struct object *o = NULL;
	size_t i;

	pthread_rwlock_wrlock(&lock);
	i = place_of(key);
	if (is_at(i, key)) {
		o = sorted[i];
		memmove(&sorted[i], &sorted[i + 1], (--n_objects - i) * sizeof(*sorted));
	}
	pthread_rwlock_unlock(&lock);
	object_unref(o);
}

/* ---- filling ---- */
static const char *load_bucket; /* for nftw's callback; loading is done before any thread */
static size_t load_skip;

static int load_file(const char *path, const struct stat *st, int type, struct FTW *where)
{
	CLEANUP(closep) int fd = -1;
	char key[4096];
	uint8_t *data;

	if (type != FTW_F)
		return 0;
	(void)where;
	(void)snprintf(key, sizeof(key), "%s/%s", load_bucket, path + load_skip);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	data = malloc((size_t)st->st_size + 1);
	if (fd < 0 || !data || pread_all(fd, data, (size_t)st->st_size, 0) < 0) {
		free(data);
		return -1;
	}
	return object_put(key, data, (size_t)st->st_size, NULL) < 0 ? -1 : 0;
}

int objects_load(const char *bucket, const char *dir)
{
	load_bucket = bucket;
	load_skip = strlen(dir) + 1;
	return nftw(dir, load_file, 64, FTW_PHYS) == 0 ? 0 : -EIO;
}

/* ---- listing ---- */
static void xml(struct buf *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '&')
			buf_str(out, "&amp;");
		else if (text[i] == '<')
			buf_str(out, "&lt;");
		else
			buf_add(out, text + i, 1);
	}
}

static void one_object(struct buf *out, const struct object *o, const char *key)
{
	char when[40];
	struct tm tm;

	(void)gmtime_r(&o->modified, &tm);
	(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S.000Z", &tm);
	buf_str(out, "<Contents><Key>");
	xml(out, key, strlen(key));
	buf_printf(out,
		   "</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag>"
		   "<Size>%zu</Size><StorageClass>STANDARD</StorageClass></Contents>",
		   when, o->etag, o->size);
}

/* Past everything that begins with the first `len` bytes of the key at i. */
static size_t after_prefix(size_t i, size_t len)
{
	char *next = strndup(sorted[i]->key, len);

	if (!next)
		return n_objects;
	next[len - 1]++;
	i = place_of(next);
	free(next);
	return i;
}

struct page {
	const struct listing *l;
	struct buf body;
	const char *last; /* the last key or common prefix: points into a key */
	size_t last_len, skip, want;
	unsigned n;
	bool more;
};

/* With the lock held. */
static void fill_page(struct page *p, size_t i, const char *start)
{
	const char *delimiter = p->l->delimiter;

	while (i < n_objects && strncmp(sorted[i]->key, start, p->want) == 0) {
		const char *key = sorted[i]->key + p->skip;
		const char *cut = delimiter[0] ? strstr(key + (p->want - p->skip), delimiter)
					       : NULL;

		if (p->n == p->l->max) {
			p->more = true;
			return;
		}
		p->n++;
		p->last = key;
		p->last_len = cut ? (size_t)(cut - key) + strlen(delimiter) : strlen(key);
		if (!cut) {
			one_object(&p->body, sorted[i], key);
			i++;
			continue;
		}
		buf_str(&p->body, "<CommonPrefixes><Prefix>");
		xml(&p->body, key, p->last_len);
		buf_str(&p->body, "</Prefix></CommonPrefixes>");
		i = after_prefix(i, p->skip + p->last_len);
	}
}

static size_t start_of(const struct listing *l, const char *start, size_t skip)
{
	CLEANUP(freep) char *after = NULL;
	size_t len = strlen(l->after), i;

	if (!len)
		return place_of(start);
	if (asprintf(&after, "%s/%s", l->bucket, l->after) < 0)
		return n_objects;
	i = place_of(strcmp(after, start) > 0 ? after : start);
	/* a common prefix as marker stands for everything below it */
	if (i < n_objects && l->delimiter[0] && l->after[len - 1] == l->delimiter[0] &&
	    strncmp(sorted[i]->key, after, skip + len) == 0)
		return after_prefix(i, skip + len);
	return is_at(i, after) ? i + 1 : i;
}

int objects_list(const struct listing *l, struct buf *out)
{
	CLEANUP(freep) char *start = NULL;
	struct page p = {.l = l, .body = BUF(64 << 20), .skip = strlen(l->bucket) + 1};

	if (asprintf(&start, "%s/%s", l->bucket, l->prefix) < 0)
		return -ENOMEM;
	p.want = strlen(start);
	pthread_rwlock_rdlock(&lock);
	fill_page(&p, start_of(l, start, p.skip), start);
	buf_printf(out,
		   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult "
		   "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>%s</Name><Prefix>",
		   l->bucket);
	xml(out, l->prefix, strlen(l->prefix));
	buf_printf(out,
		   "</Prefix><MaxKeys>%u</MaxKeys><KeyCount>%u</KeyCount><IsTruncated>%s"
		   "</IsTruncated>",
		   l->max, p.n, p.more ? "true" : "false");
	if (p.more) {
		const char *name = l->v2 ? "NextContinuationToken" : "NextMarker";

		buf_printf(out, "<%s>", name);
		xml(out, p.last, p.last_len);
		buf_printf(out, "</%s>", name);
	}
	pthread_rwlock_unlock(&lock);
	if (p.body.len)
		buf_add(out, p.body.data, p.body.len);
	buf_str(out, "</ListBucketResult>");
	out->error = out->error ? out->error : p.body.error;
	buf_done(&p.body);
	return out->error;
}
