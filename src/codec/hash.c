/* hash.c - SHA-256 and MD5 of pictures and requests, by libcrypto.
 *
 * Both in one pass where a store is concerned, which may know an object by its MD5 (ETag) only; MD5 costs as much again. */
#include "shutterfs/codec.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hash {
	EVP_MD_CTX *sha, *md5; /* md5 NULL: not wanted */
};

struct hash *hash_free(struct hash *h)
{
	if (!h)
		return NULL;
	EVP_MD_CTX_free(h->sha);
	EVP_MD_CTX_free(h->md5);
	free(h);
	return NULL;
}

static void hash_freep(struct hash **h)
{
	*h = hash_free(*h);
}

static int hash_of(bool md5, struct hash **ret)
{
	CLEANUP(hash_freep) struct hash *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->sha = EVP_MD_CTX_new();
	h->md5 = md5 ? EVP_MD_CTX_new() : NULL;
	if (!h->sha || (md5 && !h->md5))
		return -ENOMEM;
	if (!EVP_DigestInit_ex(h->sha, EVP_sha256(), NULL) ||
	    (md5 && !EVP_DigestInit_ex(h->md5, EVP_md5(), NULL)))
		return -ENOTSUP;
	*ret = TAKE(h);
	return 0;
}

int hash_new(struct hash **ret)
{
	return hash_of(true, ret);
}

int hash_add(struct hash *h, const void *data, size_t len)
{
	if (!EVP_DigestUpdate(h->sha, data, len) ||
	    (h->md5 && !EVP_DigestUpdate(h->md5, data, len)))
		return -EIO;
	return 0;
}

int hash_end(struct hash *h, struct hashes *ret)
{
	struct hashes out = {0};

	if (!EVP_DigestFinal_ex(h->sha, out.sha.b, NULL) ||
	    (h->md5 && !EVP_DigestFinal_ex(h->md5, out.md5, NULL)))
		return -EIO;
	*ret = out;
	return 0;
}

static int add_fd(struct hash *h, int fd)
{
	enum { CHUNK = 64 * 1024 };
	CLEANUP(freep) char *chunk = malloc(CHUNK);
	off_t off = 0;

	if (!chunk)
		return -ENOMEM;
	for (;;) {
		ssize_t n = pread(fd, chunk, CHUNK, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return 0;
		int r = hash_add(h, chunk, (size_t)n);
		if (r < 0)
			return r;
		off += n;
	}
}

int hash_fd(int fd, struct hashes *ret)
{
	CLEANUP(hash_freep) struct hash *h = NULL;
	int r = hash_new(&h);

	if (r == 0)
		r = add_fd(h, fd);
	return r < 0 ? r : hash_end(h, ret);
}

int sha256_fd(int fd, struct sha256 *ret)
{
	CLEANUP(hash_freep) struct hash *h = NULL;
	struct hashes both;
	int r = hash_of(false, &h);

	if (r == 0)
		r = add_fd(h, fd);
	if (r == 0)
		r = hash_end(h, &both);
	if (r == 0)
		*ret = both.sha;
	return r;
}

/* An output of zeros (no memory) signs nothing: the peer refuses the request, which is then tried again. */
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32])
{
	if (key_len > INT_MAX ||
	    !HMAC(EVP_sha256(), key ? key : "", (int)key_len, data, len, out, NULL))
		memset(out, 0, 32);
}

int sha256_of(const void *data, size_t len, struct sha256 *ret)
{
	struct sha256 out;

	if (!EVP_Digest(data, len, out.b, NULL, EVP_sha256(), NULL))
		return -EIO;
	*ret = out;
	return 0;
}
