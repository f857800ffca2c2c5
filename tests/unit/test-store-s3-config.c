/* Where the s3 driver finds its bucket, by what the config says; and configs that it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "s3.h"

static void addresses(void **state)
{
	static const struct {
		const char *endpoint, *region, *bucket;
		int path_style; /* -1: not said */
		const char *origin, *host, *base;
	} v[] = {
		{NULL, "eu-west-1", "snaps", -1, "https://snaps.s3.eu-west-1.amazonaws.com",
		 "snaps.s3.eu-west-1.amazonaws.com", ""},
		{NULL, "cn-north-1", "snaps", -1, "https://snaps.s3.cn-north-1.amazonaws.com.cn",
		 "snaps.s3.cn-north-1.amazonaws.com.cn", ""},
		{NULL, "eu-west-1", "my.snaps", -1, "https://s3.eu-west-1.amazonaws.com",
		 "s3.eu-west-1.amazonaws.com", "/my.snaps"},
		{NULL, "eu-west-1", "Snaps", -1, "https://s3.eu-west-1.amazonaws.com",
		 "s3.eu-west-1.amazonaws.com", "/Snaps"},
		{NULL, "eu-west-1", "snaps", 1, "https://s3.eu-west-1.amazonaws.com",
		 "s3.eu-west-1.amazonaws.com", "/snaps"},
		{"https://S3.Example.org:443/", "x", "snaps", -1, "https://snaps.s3.example.org",
		 "snaps.s3.example.org", ""},
		{"http://localhost:9000", "x", "snaps", -1, "http://localhost:9000",
		 "localhost:9000", "/snaps"},
		{"http://[::1]:9000", "x", "snaps", -1, "http://[::1]:9000", "[::1]:9000",
		 "/snaps"},
		{"http://10.0.0.7", "x", "snaps", -1, "http://10.0.0.7", "10.0.0.7", "/snaps"},
		{"https://p.example.org/storage/v1/s3/", "x", "snaps", 1, "https://p.example.org",
		 "p.example.org", "/storage/v1/s3/snaps"},
	};

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		CLEANUP(buf_done) struct buf err = BUF(1024);
		const struct store_config conf = {
			.name = (char *)"cloud",
			.endpoint = (char *)v[i].endpoint,
			.bucket = (char *)v[i].bucket,
			.has_path_style = v[i].path_style >= 0,
			.path_style = v[i].path_style > 0,
		};
		struct s3 s = {.conf = &conf, .region = v[i].region, .own_endpoint = v[i].endpoint};

		s.origin = s.host = s.base = BUF(1024);
		assert_int_equal(s3_locate(&s, &err), 0);
		assert_string_equal(s.origin.data, v[i].origin);
		assert_string_equal(s.host.data, v[i].host);
		assert_string_equal(s.base.data, v[i].base);
		buf_done(&s.origin);
		buf_done(&s.host);
		buf_done(&s.base);
	}
}

static void bad_config(void **state)
{
	struct store_config conf = {.name = (char *)"cloud", .driver = (char *)"s3"};
	CLEANUP(buf_done) struct buf err = BUF(4096);
	struct store *s = NULL;

	assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
	assert_non_null(strstr(err.data, "bucket"));
	conf.bucket = (char *)"snaps";
	assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
	assert_non_null(strstr(err.data, "access_key_file"));
	conf.access_key.text = conf.secret_key.text = (char *)"x";
	conf.endpoint = (char *)"s3.example.org";
	assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
	assert_non_null(strstr(err.data, "endpoint must be like"));
	conf.endpoint = (char *)"https://user:pw@s3.example.org";
	assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
	assert_null(strstr(err.data, "pw"));
	conf.endpoint = NULL;
	conf.region = (char *)"evil.example/";
	assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
	conf.region = NULL;
	conf.bucket = (char *)"a/b";
	assert_int_equal(store_new(&conf, &err, &s), -EINVAL);
	conf.bucket = (char *)"snaps";
	assert_int_equal(store_new(&conf, &err, &s), 0);
	s = store_free(s);
}

static int start_net(void **state)
{
	return net_init();
}

static int end_net(void **state)
{
	net_done();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses),
		cmocka_unit_test(bad_config),
	};

	return cmocka_run_group_tests(tests, start_net, end_net);
}
