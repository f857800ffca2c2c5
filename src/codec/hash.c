/* hash.c - SHA-256 and MD5 of pictures and requests, by libcrypto.
 *
 * Both in one pass, because a store may know an object by its MD5 (ETag) only and a picture is read once. */
#include "shutterfs/codec.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct hash {
	EVP_MD_CTX *sha, *md5;
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

int hash_new(struct hash **ret)
{
	CLEANUP(hash_freep) struct hash *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->sha = EVP_MD_CTX_new();
	h->md5 = EVP_MD_CTX_new();
	if (!h->sha || !h->md5)
		return -ENOMEM;
	if (!EVP_DigestInit_ex(h->sha, EVP_sha256(), NULL) ||
	    !EVP_DigestInit_ex(h->md5, EVP_md5(), NULL))
		return -ENOTSUP;
	*ret = TAKE(h);
	return 0;
}

int hash_add(struct hash *h, const void *data, size_t len)
{
	if (!EVP_DigestUpdate(h->sha, data, len) || !EVP_DigestUpdate(h->md5, data, len))
		return -EIO;
	return 0;
}

int hash_end(struct hash *h, struct hashes *ret)
{
	struct hashes out;

	if (!EVP_DigestFinal_ex(h->sha, out.sha.b, NULL) ||
	    !EVP_DigestFinal_ex(h->md5, out.md5, NULL))
		return -EIO;
	*ret = out;
	return 0;
}

int hash_fd(int fd, struct hashes *ret)
{
	enum { CHUNK = 64 * 1024 };
	CLEANUP(hash_freep) struct hash *h = NULL;
	CLEANUP(freep) char *chunk = malloc(CHUNK);
	off_t off = 0;
	int r;

	if (!chunk)
		return -ENOMEM;
	r = hash_new(&h);
	if (r < 0)
		return r;
	for (;;) {
		ssize_t n = pread(fd, chunk, CHUNK, off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return hash_end(h, ret);
		r = hash_add(h, chunk, (size_t)n);
		if (r < 0)
			return r;
		off += n;
	}
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
