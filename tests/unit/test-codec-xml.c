/* test-codec-xml.c - S3's answers as AWS, Swift and MinIO write them, a Foscam's, and XML that means harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shutterfs/codec.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct seen {
	int n, stop_at;
	char key[8][1100], etag[8][64];
	uint64_t size[8];
	int64_t modified_us[8];
};

static int see(void *user, const struct s3_object *o)
{
	struct seen *s = user;

	if (s->n < 8) {
		(void)snprintf(s->key[s->n], sizeof(s->key[0]), "%s", o->key);
		(void)snprintf(s->etag[s->n], sizeof(s->etag[0]), "%s", o->etag);
		s->size[s->n] = o->size;
		s->modified_us[s->n] = o->modified_us;
	}
	s->n++;
	return s->n == s->stop_at ? 77 : 0;
}

static int list(const char *xml, struct seen *s, struct s3_list_page *page, char why[WHY_MAX])
{
	memset(page, 0, sizeof(*page));
	return s3_list_parse(xml, strlen(xml), see, s, page, why);
}

#define HEAD \
	"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
#define TAIL "</ListBucketResult>"
#define OBJECT(key)                                                                         \
	"<Contents><Key>" key "</Key><LastModified>2020-12-31T14:45:55.000Z</LastModified>" \
	"<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>183422</Size>"      \
	"<StorageClass>STANDARD</StorageClass><Owner><ID>1</ID><DisplayName>Key</DisplayName></Owner></Contents>"

static void listing(void **state)
{
	struct seen s = {0};
	struct s3_list_page page;
	char why[WHY_MAX];

	assert_int_equal(
		list(HEAD
		     "\n <Name>b</Name><Prefix>x/</Prefix><KeyCount>2</KeyCount><IsTruncated>true</IsTruncated>\n" OBJECT(
			     "a &amp; b+c%20.jpg") "\n" OBJECT("\xc3\xa9.jpg") "<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>"
									       "<NextContinuationToken>1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J==</NextContinuationToken>" TAIL,
		     &s, &page, why),
		0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.key[0], "a & b+c%20.jpg"); /* not url-encoded: as it stands */
	assert_string_equal(s.etag[0], "d41d8cd98f00b204e9800998ecf8427e");
	assert_int_equal(s.size[0], 183422);
	assert_int_equal(s.modified_us[0], 1609425955000000);
	assert_string_equal(s.key[1], "\xc3\xa9.jpg");
	assert_true(page.truncated);
	assert_string_equal(page.next, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J==");
}

static void url_encoded_listing(void **state)
{
	struct seen s = {0};
	struct s3_list_page page;
	char why[WHY_MAX];

	/* EncodingType stands behind the objects, as AWS documents it */
	assert_int_equal(
		list(HEAD OBJECT("a+b%2Bc%20d%C3%A9%0a.jpg") OBJECT("nul%00.jpg") OBJECT(
			     "last") "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>" TAIL,
		     &s, &page, why),
		0);
	assert_int_equal(s.n, 2);
	assert_string_equal(s.key[0], "a b+c d\xc3\xa9\n.jpg");
	assert_string_equal(s.key[1], "last");
	assert_false(page.truncated);
	assert_string_equal(page.next, "");
	s.n = 0;
	assert_int_equal(
		list(HEAD OBJECT("a%2") "<EncodingType>url</EncodingType>" TAIL, &s, &page, why),
		-EBADMSG);
	assert_non_null(strstr(why, "escape"));
}

static void empty_listing_and_namespaces(void **state)
{
	struct seen s = {0};
	struct s3_list_page page;
	char why[WHY_MAX];

	assert_int_equal(list("<ListBucketResult/>", &s, &page, why), 0);
	assert_int_equal(
		list("<s3:ListBucketResult xmlns:s3='x'><s3:Contents><s3:Key>k</s3:Key><s3:Size>1</s3:Size>"
		     "</s3:Contents></s3:ListBucketResult>",
		     &s, &page, why),
		0);
	assert_int_equal(s.n, 1);
	assert_string_equal(s.key[0], "k");
	assert_string_equal(s.etag[0], "");
}

static void callback_ends_it(void **state)
{
	struct seen s = {.stop_at = 2};
	struct s3_list_page page;
	char why[WHY_MAX];

	assert_int_equal(list(HEAD OBJECT("a") OBJECT("b") OBJECT("c") TAIL, &s, &page, why), 77);
	assert_int_equal(s.n, 2);
}

static void assert_refused(const char *xml, const char *want)
{
	struct seen s = {0};
	struct s3_list_page page;
	char why[WHY_MAX];

	assert_int_equal(list(xml, &s, &page, why), -EBADMSG);
	if (!strstr(why, want))
		fail_msg("\"%s\" does not say \"%s\"", why, want);
	assert_int_equal(s.n, 0); /* nothing is reported from a page that is not whole */
}

static void broken_pages(void **state)
{
	assert_refused("", "not XML");
	assert_refused("<html><body>", "ListBucketResult");
	assert_refused("<Error><Code>AccessDenied</Code></Error>", "ListBucketResult");
	assert_refused(HEAD OBJECT("a"), "not XML at line 2");
	assert_refused(HEAD OBJECT("a\x01") TAIL, "not XML");
	assert_refused(HEAD OBJECT("a\xff") TAIL, "not XML");
	assert_refused(HEAD OBJECT("") TAIL, "without a key");
	assert_refused(HEAD "<Contents><Key>a</Key></Contents>" TAIL, "without a key or size");
	assert_refused(HEAD "<Contents><Key>a</Key><Size>-1</Size></Contents>" TAIL, "size");
	assert_refused(HEAD
		       "<Contents><Key>a</Key><Size>99999999999999999999</Size></Contents>" TAIL,
		       "size");
	assert_refused(
		HEAD
		"<Contents><Key>a</Key><Size>1</Size><LastModified>x</LastModified></Contents>" TAIL,
		"time");
	assert_refused(HEAD OBJECT("a") "<IsTruncated>true</IsTruncated>" TAIL, "not where");
}

static void hostile_xml(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(16 * 1024 * 1024);
	struct seen s = {0};
	struct s3_list_page page;
	char why[WHY_MAX];

	assert_refused(
		"<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">"
		"<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;\">]><ListBucketResult>&c;</ListBucketResult>",
		"document type");
	assert_refused("<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><ListBucketResult/>",
		       "document type");
	buf_str(&b, HEAD);
	for (int i = 0; i < 100000; i++)
		buf_str(&b, "<a>");
	assert_refused(b.data, "deeper than 16");
	b.len = 0;
	buf_str(&b, HEAD "<Contents><Key>");
	for (int i = 0; i < 1000; i++)
		buf_str(&b, "0123456789");
	assert_int_equal(buf_str(&b, "</Key></Contents>" TAIL), 0);
	assert_refused(b.data, "bytes in one element");
	b.len = 0;
	buf_str(&b, HEAD "<NextContinuationToken>");
	for (int i = 0; i < 210; i++)
		buf_str(&b, "0123456789");
	assert_int_equal(buf_str(&b, "</NextContinuationToken>" TAIL), 0);
	assert_refused(b.data, "token");
	b.len = 0;
	while (b.len < 9 * 1024 * 1024)
		buf_str(&b, OBJECT("x"));
	assert_int_equal(s3_list_parse(b.data, b.len, see, &s, &page, why), -EFBIG);
	assert_non_null(strstr(why, "8 MiB"));
}

static void pages_have_a_thousand_objects(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF(16 * 1024 * 1024);
	struct s3_list_page page;
	char why[WHY_MAX], key[1025];

	memset(key, 'k', 1024);
	key[1024] = '\0';
	for (int n = 1000; n <= 1001; n++) {
		struct seen s = {0};

		b.len = 0;
		buf_str(&b, HEAD);
		for (int i = 0; i < n; i++)
			buf_printf(&b, "<Contents><Key>%s</Key><Size>%d</Size></Contents>", key, i);
		assert_int_equal(buf_str(&b, TAIL), 0);
		assert_int_equal(s3_list_parse(b.data, b.len, see, &s, &page, why),
				 n == 1000 ? 0 : -EBADMSG);
		assert_int_equal(s.n, n == 1000 ? 1000 : 0);
		if (n == 1000)
			assert_string_equal(s.key[7], key);
	}
	assert_non_null(strstr(why, "more than 1000"));
}

static void errors(void **state)
{
	static const char aws[] =
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>AuthorizationHeaderMalformed</Code><Message>the region "
		"'us-east-1' is wrong;\nexpecting 'eu-west-1'</Message><Region>eu-west-1</Region><RequestId>1</RequestId></Error>";
	static const char redirect[] =
		"<Error><Code>PermanentRedirect</Code><Endpoint>b.s3.eu-west-1.amazonaws.com</Endpoint></Error>";
	CLEANUP(buf_done) struct buf b = BUF(8192);
	struct s3_error e;

	assert_int_equal(s3_error_parse(aws, strlen(aws), &e), 0);
	assert_string_equal(e.code, "AuthorizationHeaderMalformed");
	assert_string_equal(e.message, "the region 'us-east-1' is wrong; expecting 'eu-west-1'");
	assert_string_equal(e.region, "eu-west-1");
	assert_string_equal(e.endpoint, "");
	assert_int_equal(s3_error_parse(redirect, strlen(redirect), &e), 0);
	assert_string_equal(e.endpoint, "b.s3.eu-west-1.amazonaws.com");
	assert_int_equal(s3_error_parse("<html></html>", 13, &e), -EBADMSG);
	assert_int_equal(s3_error_parse("<Error></Error>", 15, &e), -EBADMSG);
	assert_int_equal(s3_error_parse("", 0, &e), -EBADMSG);
	buf_str(&b, "<Error><Code>X</Code><Message>.");
	for (int i = 0; i < 1000; i++)
		buf_str(&b, "\xc3\xa9");
	assert_int_equal(buf_str(&b, "</Message></Error>"), 0);
	assert_int_equal(s3_error_parse(b.data, b.len, &e), 0);
	assert_int_equal(strlen(e.message), 255); /* cut between characters */
	assert_int_equal((unsigned char)e.message[254], 0xa9);
}

static void foscam_results(void **state)
{
	static const char ok[] =
		"<CGI_Result>\n    <result>0</result>\n    <isEnable>1</isEnable>\n</CGI_Result>\n";
	int v = 99;

	assert_int_equal(cgi_result_parse(ok, strlen(ok), &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(cgi_result_parse("<CGI_Result><result>-2</result></CGI_Result>", 44, &v),
			 0);
	assert_int_equal(v, -2);
	assert_int_equal(cgi_result_parse("<CGI_Result><result></result></CGI_Result>", 42, &v),
			 -EBADMSG);
	assert_int_equal(cgi_result_parse("<CGI_Result><result>1x</result></CGI_Result>", 44, &v),
			 -EBADMSG);
	assert_int_equal(cgi_result_parse("<CGI_Result></CGI_Result>", 25, &v), -EBADMSG);
	assert_int_equal(cgi_result_parse("\xff\xd8\xff", 3, &v), -EBADMSG);
	assert_int_equal(v, -2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listing),
		cmocka_unit_test(url_encoded_listing),
		cmocka_unit_test(empty_listing_and_namespaces),
		cmocka_unit_test(callback_ends_it),
		cmocka_unit_test(broken_pages),
		cmocka_unit_test(hostile_xml),
		cmocka_unit_test(pages_have_a_thousand_objects),
		cmocka_unit_test(errors),
		cmocka_unit_test(foscam_results),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
