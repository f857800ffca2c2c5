/* The signer against what AWS published: the examples of the S3 documentation ("Signature Calculations for the
 * Authorization Header") and cases of the aws4_testsuite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "shutterfs/base.h"
#include "sigv4.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define S3_HOST "examplebucket.s3.amazonaws.com"
#define S3_DATE "20130524T000000Z"
#define SUITE_HOST "example.amazonaws.com"
#define SUITE_DATE "20150830T123600Z"

static struct secret s3_access = {(char[]){"AKIAIOSFODNN7EXAMPLE"}};
static struct secret s3_secret = {(char[]){"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}};
static struct secret suite_access = {(char[]){"AKIDEXAMPLE"}};
static struct secret suite_secret = {(char[]){"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"}};
static const struct sigv4_key s3_key = {"us-east-1", "s3", &s3_access, &s3_secret};
static const struct sigv4_key suite_key = {"us-east-1", "service", &suite_access, &suite_secret};

/* The rows give paths and parameters as they are, before any encoding. */
struct vector {
	const char *name, *method, *path;
	struct sigv4_field param[4];
	struct sigv4_field header[6];
	const char *payload, *signed_headers, *signature;
};

static size_t count(const struct sigv4_field *f, size_t max)
{
	size_t n = 0;

	while (n < max && f[n].name)
		n++;
	return n;
}

static void check(const struct sigv4_key *key, const char *date, const char *scope,
		  const struct vector *v)
{
	CLEANUP(buf_done) struct buf path = BUF(4096);
	CLEANUP(buf_done) struct buf query = BUF(4096);
	CLEANUP(buf_done) struct buf got = BUF(4096);
	CLEANUP(buf_done) struct buf want = BUF(4096);
	struct sigv4_request req = {
		.method = v->method,
		.header = v->header,
		.n_headers = count(v->header, 6),
		.payload_hash = v->payload,
	};

	print_message("%s\n", v->name);
	assert_int_equal(sigv4_escape(v->path, true, &path), 0);
	assert_int_equal(buf_str(&query, ""), 0);
	assert_int_equal(sigv4_query(v->param, count(v->param, 4), &query), 0);
	req.path = path.data;
	req.query = query.data;
	assert_int_equal(sigv4_sign(key, &req, date, &got), 0);
	assert_int_equal(
		buf_printf(&want,
			   "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s",
			   key->access->text, scope, v->signed_headers, v->signature),
		0);
	assert_string_equal(got.data, want.data);
}

static const struct vector documented[] = {
	{"GET object, Range",
	 "GET",
	 "/test.txt",
	 {{0}},
	 {{"Host", S3_HOST},
	  {"Range", "bytes=0-9"},
	  {"x-amz-content-sha256", EMPTY},
	  {"x-amz-date", S3_DATE}},
	 EMPTY,
	 "host;range;x-amz-content-sha256;x-amz-date",
	 "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"},
	{"PUT object",
	 "PUT",
	 "/test$file.text",
	 {{0}},
	 {{"x-amz-date", S3_DATE},
	  {"x-amz-storage-class", "REDUCED_REDUNDANCY"},
	  {"Host", S3_HOST},
	  {"Date", "Fri, 24 May 2013 00:00:00 GMT"},
	  {"x-amz-content-sha256",
	   "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"}},
	 "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
	 "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	 "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"},
	{"GET ?lifecycle",
	 "GET",
	 "/",
	 {{"lifecycle", ""}},
	 {{"Host", S3_HOST}, {"x-amz-content-sha256", EMPTY}, {"x-amz-date", S3_DATE}},
	 EMPTY,
	 "host;x-amz-content-sha256;x-amz-date",
	 "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"},
	{"list objects",
	 "GET",
	 "/",
	 {{"prefix", "J"}, {"max-keys", "2"}},
	 {{"Host", S3_HOST}, {"x-amz-content-sha256", EMPTY}, {"x-amz-date", S3_DATE}},
	 EMPTY,
	 "host;x-amz-content-sha256;x-amz-date",
	 "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"},
};

static void s3_documentation(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(documented); i++)
		check(&s3_key, S3_DATE, "20130524/us-east-1/s3/aws4_request", &documented[i]);
}

#define SUITE_HEADERS                            \
	{                                        \
		{"Host", SUITE_HOST},            \
		{                                \
			"X-Amz-Date", SUITE_DATE \
		}                                \
	}
#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

#define TOKEN                                                                                                  \
	"AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRq" \
	"TflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75Y" \
	"U9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9K" \
	"SYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="

static const struct vector suite[] = {
	{"get-vanilla",
	 "GET",
	 "/",
	 {{0}},
	 SUITE_HEADERS,
	 EMPTY,
	 "host;x-amz-date",
	 "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
	{"get-vanilla-query-order-key-case",
	 "GET",
	 "/",
	 {{"Param2", "value2"}, {"Param1", "value1"}},
	 SUITE_HEADERS,
	 EMPTY,
	 "host;x-amz-date",
	 "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
	{"get-vanilla-empty-query-key",
	 "GET",
	 "/",
	 {{"Param1", "value1"}},
	 SUITE_HEADERS,
	 EMPTY,
	 "host;x-amz-date",
	 "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
	{"get-vanilla-query-unreserved",
	 "GET",
	 "/",
	 {{UNRESERVED, UNRESERVED}},
	 SUITE_HEADERS,
	 EMPTY,
	 "host;x-amz-date",
	 "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
	{"get-vanilla-utf8-query",
	 "GET",
	 "/",
	 {{"\u1234", "bar"}},
	 SUITE_HEADERS,
	 EMPTY,
	 "host;x-amz-date",
	 "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
	{"get-utf8",
	 "GET",
	 "/\u1234",
	 {{0}},
	 SUITE_HEADERS,
	 EMPTY,
	 "host;x-amz-date",
	 "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
	{"get-unreserved",
	 "GET",
	 "/" UNRESERVED,
	 {{0}},
	 SUITE_HEADERS,
	 EMPTY,
	 "host;x-amz-date",
	 "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
	{"get-space",
	 "GET",
	 "/example space/",
	 {{0}},
	 SUITE_HEADERS,
	 EMPTY,
	 "host;x-amz-date",
	 "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
	{"get-header-value-trim",
	 "GET",
	 "/",
	 {{0}},
	 {{"Host", SUITE_HOST},
	  {"My-Header1", " value1"},
	  {"My-Header2", " \"a   b   c\""},
	  {"X-Amz-Date", SUITE_DATE}},
	 EMPTY,
	 "host;my-header1;my-header2;x-amz-date",
	 "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
	{"post-header-key-sort",
	 "POST",
	 "/",
	 {{0}},
	 {{"My-Header1", "value1"}, {"Host", SUITE_HOST}, {"X-Amz-Date", SUITE_DATE}},
	 EMPTY,
	 "host;my-header1;x-amz-date",
	 "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c"},
	{"post-sts-header-before",
	 "POST",
	 "/",
	 {{0}},
	 {{"Host", SUITE_HOST}, {"X-Amz-Date", SUITE_DATE}, {"X-Amz-Security-Token", TOKEN}},
	 EMPTY,
	 "host;x-amz-date;x-amz-security-token",
	 "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
};

static void aws4_testsuite(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(suite); i++)
		check(&suite_key, SUITE_DATE, "20150830/us-east-1/service/aws4_request", &suite[i]);
}

/* The text of the documentation's first example, so that a wrong signature shows where it went wrong. */
static void canonical_request(void **state)
{
	static const struct sigv4_field header[] = {{"Host", S3_HOST},
						    {"range", "bytes=0-9"},
						    {"x-amz-content-sha256", EMPTY},
						    {"x-amz-date", S3_DATE}};
	const struct sigv4_request req = {"GET", "/test.txt", "", header, ARRAY_LEN(header), EMPTY};
	CLEANUP(buf_done) struct buf got = BUF(4096);
	CLEANUP(buf_done) struct buf names = BUF(4096);

	assert_int_equal(sigv4_canonical(&req, &got, &names), 0);
	assert_string_equal(got.data,
			    "GET\n/test.txt\n\nhost:" S3_HOST
			    "\nrange:bytes=0-9\nx-amz-content-sha256:" EMPTY "\nx-amz-date:" S3_DATE
			    "\n\nhost;range;x-amz-content-sha256;x-amz-date\n" EMPTY);
}

static void escapes(void **state)
{
	static const struct {
		const char *text;
		bool keep_slash;
		const char *want;
	} v[] = {
		{"a b+c%2f:@", true, "a%20b%2Bc%252f%3A%40"},
		{"/a//../b/./", true, "/a//../b/./"},
		{"a/b", false, "a%2Fb"},
		{"\xc3\xa9\x01\x7f\xff", true, "%C3%A9%01%7F%FF"},
		{"", true, ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(v); i++) {
		CLEANUP(buf_done) struct buf got = BUF(256);

		assert_int_equal(buf_str(&got, ""), 0);
		assert_int_equal(sigv4_escape(v[i].text, v[i].keep_slash, &got), 0);
		assert_string_equal(got.data, v[i].want);
	}
}

static void query_is_sorted_as_encoded(void **state)
{
	/* '-' sorts before '=' would, and the encoded name counts */
	static const struct sigv4_field p[] = {
		{"a", "2"}, {"a-b", "x/y z"}, {"a", "1"}, {"\xc3\xa9", ""}, {"Z", "~"}};
	CLEANUP(buf_done) struct buf got = BUF(256);

	assert_int_equal(sigv4_query(p, ARRAY_LEN(p), &got), 0);
	assert_string_equal(got.data, "%C3%A9=&Z=~&a=1&a=2&a-b=x%2Fy%20z");
}

static void limits(void **state)
{
	struct sigv4_field many[SIGV4_FIELDS_MAX + 1];
	const struct sigv4_request req = {"GET", "/", "", many, ARRAY_LEN(many), EMPTY};
	CLEANUP(buf_done) struct buf out = BUF(256);
	CLEANUP(buf_done) struct buf names = BUF(256);
	CLEANUP(buf_done) struct buf tiny = BUF(4);

	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = (struct sigv4_field){"n", "v"};
	assert_int_equal(sigv4_query(many, ARRAY_LEN(many), &out), -E2BIG);
	assert_int_equal(sigv4_canonical(&req, &out, &names), -E2BIG);
	assert_int_equal(sigv4_query(many, 2, &tiny), -EFBIG);
}

static void dates(void **state)
{
	char date[SIGV4_DATE];

	sigv4_date(INT64_C(1440938160000000), date);
	assert_string_equal(date, SUITE_DATE);
	sigv4_date(INT64_C(1709164800999999), date);
	assert_string_equal(date, "20240229T000000Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(s3_documentation),
		cmocka_unit_test(aws4_testsuite),
		cmocka_unit_test(canonical_request),
		cmocka_unit_test(escapes),
		cmocka_unit_test(query_is_sorted_as_encoded),
		cmocka_unit_test(limits),
		cmocka_unit_test(dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
