/* test-codec-hash.c - the hashes against published vectors (FIPS 180-2, RFC 1321, RFC 4231) and over files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void assert_hex(const uint8_t *data, size_t len, const char *want)
{
	char hex[129];

	hex_encode(data, len, hex);
	assert_string_equal(hex, want);
}

static void both_in_one_pass(void **state)
{
	struct hash *h = NULL;
	struct hashes got;

	assert_int_equal(hash_new(&h), 0);
	assert_int_equal(hash_add(h, "a", 1), 0);
	assert_int_equal(hash_add(h, "", 0), 0);
	assert_int_equal(hash_add(h, "bc", 2), 0);
	assert_int_equal(hash_end(h, &got), 0);
	assert_hex(got.sha.b, 32,
		   "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_hex(got.md5, 16, "900150983cd24fb0d6963f7d28e17f72");
	assert_null(hash_free(h));
	assert_null(hash_free(NULL));
}

static void of_nothing(void **state)
{
	struct sha256 got;

	assert_int_equal(sha256_of("", 0, &got), 0);
	assert_hex(got.b, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void of_a_file_from_its_start(void **state)
{
	enum { N = 1000000 };
	int fd = memfd_create("hash", MFD_CLOEXEC);
	char *text = malloc(N);
	struct hashes got;
	struct sha256 sha;

	assert_true(fd >= 0);
	memset(text, 'a', N);
	assert_int_equal(write_all(fd, text, N), 0);
	/* the descriptor stands at its end now, which must not matter */
	assert_int_equal(hash_fd(fd, &got), 0);
	assert_hex(got.sha.b, 32,
		   "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	assert_hex(got.md5, 16, "7707d6ae4e027c70eea2a935c2296f21");
	assert_int_equal(sha256_fd(fd, &sha), 0);
	assert_memory_equal(&sha, &got.sha, sizeof(sha));
	close(fd);
	free(text);
	assert_int_equal(hash_fd(-1, &got), -EBADF);
	assert_int_equal(sha256_fd(-1, &sha), -EBADF);
}

static void hmac_vectors(void **state)
{
	uint8_t key[131], out[32];
	const char *long_key = "Test Using Larger Than Block-Size Key - Hash Key First";

	hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
	assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof(key));
	hmac_sha256(key, sizeof(key), long_key, strlen(long_key), out);
	assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	hmac_sha256(NULL, 0, "", 0, out);
	assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_in_one_pass),
		cmocka_unit_test(of_nothing),
		cmocka_unit_test(of_a_file_from_its_start),
		cmocka_unit_test(hmac_vectors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
