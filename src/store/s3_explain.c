/* What an S3 server's error means and what to do about it, in words for people, and as an errno for us. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "drivers.h"
#include "s3.h"
#include "shutterfs/codec.h"

struct fault {
	const struct s3 *s;
	struct call *c;
	const char *key;
	const struct http_answer *a;
	struct s3_error e; /* code "" when the answer was not one of S3's */
	char subject[KEY_SHOWN_MAX + 64];
};

/* Errors whose words need nothing from the answer.  -ENOENT is kept for a missing object: whoever sees it takes the
 * object for deleted, so a missing bucket must never look like that. */
static const struct {
	const char *code;
	int error;
	const char *words;
} table[] = {
	{"NoSuchKey", -ENOENT, "there is no such object"},
	{"NoSuchVersion", -ENOENT, "there is no such object"},
	{"SignatureDoesNotMatch", -EACCES,
	 "the secret key is wrong: check secret_key_file, AWS_SECRET_ACCESS_KEY or the profile"},
	{"InvalidAccessKeyId", -EACCES,
	 "the access key is unknown there: check access_key_file, AWS_ACCESS_KEY_ID or the profile"},
	{"ExpiredToken", -EACCES, "the session token has expired: get new credentials"},
	{"InvalidToken", -EACCES,
	 "the session token is wrong: check AWS_SESSION_TOKEN or the profile"},
	{"TokenRefreshRequired", -EACCES, "the session token has expired: get new credentials"},
	{"AccountProblem", -EACCES, "the account has a problem: ask the provider"},
	{"InvalidBucketName", -EACCES, "the name of the bucket is not a valid one"},
	{"InvalidObjectState", -EACCES, "the object is in an archive class: restore it first"},
	{"SlowDown", -EAGAIN, "the server asks for fewer requests"},
	{"ServiceUnavailable", -EAGAIN, "the server is overloaded"},
	{"TooManyRequests", -EAGAIN, "the server asks for fewer requests"},
	{"RequestLimitExceeded", -EAGAIN, "the server asks for fewer requests"},
	{"RequestTimeout", -ETIMEDOUT, "the upload was too slow for the server"},
	{"XAmzContentSHA256Mismatch", -EIO,
	 "the bytes arrived damaged, or are not the ones registered"},
	{"BadDigest", -EIO, "the bytes arrived damaged, or are not the ones registered"},
	{"IncompleteBody", -EIO, "the upload broke off"},
	{"EntityTooLarge", -EFBIG, "the server takes no object this large"},
	{"KeyTooLongError", -ENAMETOOLONG, "the key is too long for the server"},
	{"QuotaExceeded", -ENOSPC, "the quota is used up"},
	{"XMinioStorageFull", -ENOSPC, "the server's disk is full"},
	{"XMinioAdminBucketQuotaExceeded", -ENOSPC, "the bucket's quota is used up"},
};

static int explain_region(struct fault *f)
{
	const char *bucket = f->s->conf->bucket;
	const char *region = f->e.region[0] ? f->e.region : f->a->region;

	if (region[0] && strcmp(region, f->s->region) != 0)
		call_why(f->c,
			 "store \"%s\": bucket \"%s\" is in region %s, not %s: set region = %s%s",
			 f->s->conf->name, bucket, region, f->s->region, region,
			 f->s->own_endpoint ? " and the endpoint of that region" : "");
	else if (f->e.endpoint[0])
		call_why(f->c,
			 "store \"%s\": bucket \"%s\" has to be addressed at %s: set endpoint",
			 f->s->conf->name, bucket, f->e.endpoint);
	else
		call_why(
			f->c,
			"store \"%s\": the server says that region %s is wrong for bucket \"%s\": set region (%s)",
			f->s->conf->name, f->s->region, bucket, f->e.message);
	return -EACCES;
}

/* A redirect is not followed: the signature is for this host alone. */
static int explain_redirect(struct fault *f)
{
	struct url u;

	if (f->a->region[0] || f->e.region[0] || f->e.endpoint[0] ||
	    url_parse(f->a->location, &u) < 0)
		return explain_region(f);
	call_why(
		f->c,
		"store \"%s\": %s redirects to %s://%s, where a signed request cannot follow: set endpoint, and region "
		"if it names another",
		f->s->conf->name, f->s->origin.data, u.scheme, u.host);
	return -EACCES;
}

/* <ServerTime>2026-11-22T10:00:00Z</ServerTime>; true when it is there and is a time. */
static bool server_time(const struct http_answer *a, int64_t *ret_us)
{
	static const char tag[] = "<ServerTime>";
	const char *at = strstr(a->error_body, tag), *end;
	char text[ISO_MAX];
	int zone;

	if (!at)
		return false;
	at += sizeof(tag) - 1;
	end = strchr(at, '<');
	if (!end || (size_t)(end - at) >= sizeof(text))
		return false;
	memcpy(text, at, (size_t)(end - at));
	text[end - at] = '\0';
	return iso_parse(text, ret_us, &zone) == 0;
}

static int explain_clock(struct fault *f)
{
	char ours[ISO_MAX], theirs[ISO_MAX] = "something else";
	int64_t us;

	iso_format(now_us(), 0, ours);
	if (server_time(f->a, &us)) {
		iso_format(us, 0, theirs);
		theirs[19] = '\0';
	}
	ours[19] = '\0';
	call_why(
		f->c,
		"store \"%s\": the clocks differ: this machine says %s, the server %s (UTC): set the right time here",
		f->s->conf->name, ours, theirs);
	return -EACCES;
}

static int explain_bucket(struct fault *f)
{
	call_why(f->c,
		 "store \"%s\": there is no bucket \"%s\" at %s: check bucket, endpoint and region",
		 f->s->conf->name, f->s->conf->bucket, f->s->origin.data);
	return -EACCES;
}

static int explain_refused(struct fault *f)
{
	call_why(f->c,
		 "%s: refused: the access key may not do this: check its rights on bucket \"%s\"",
		 f->subject, f->s->conf->bucket);
	return -EACCES;
}

/* No answer of S3's own: by the status alone. */
static int explain_status(struct fault *f, int r)
{
	long status = f->a->status;

	if (status == 404 && !f->key)
		return explain_bucket(f);
	if (status == 401 || status == 403)
		return explain_refused(f);
	if (status >= 300 && status < 400)
		return explain_redirect(f);
	if (status == 400 && f->a->region[0])
		return explain_region(f);
	if (status == 429 || status == 503) {
		call_why(f->c, "%s: the server asks for fewer requests", f->subject);
		return -EAGAIN;
	}
	call_why(f->c, "%s: the server answered %ld%s", f->subject, status,
		 status == 404 ? ", and not as S3 does: check endpoint" : "");
	return r == -ENOENT || r >= 0 ? -EIO : r;
}

static int explain_code(struct fault *f, int r)
{
	const char *code = f->e.code;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (strcmp(code, table[i].code) == 0) {
			call_why(f->c, "%s: %s", f->subject, table[i].words);
			return table[i].error;
		}
	}
	if (strcmp(code, "NoSuchBucket") == 0)
		return explain_bucket(f);
	if (strcmp(code, "RequestTimeTooSkewed") == 0)
		return explain_clock(f);
	if (strcmp(code, "AuthorizationHeaderMalformed") == 0 ||
	    strcmp(code, "IllegalLocationConstraintException") == 0)
		return explain_region(f);
	if (f->a->status >= 300 && f->a->status < 400)
		return explain_redirect(f);
	if (strcmp(code, "AccessDenied") == 0 || f->a->status == 403)
		return explain_refused(f);
	call_why(f->c, "%s: the server answered %ld %s: %s", f->subject, f->a->status, code,
		 f->e.message);
	return r == -ENOENT || r >= 0 ? -EIO : r;
}

int s3_explain(const struct s3 *s, struct call *c, const char *doing, const char *key, int r,
	       const struct http_answer *a)
{
	struct fault f = {.s = s, .c = c, .key = key, .a = a};
	char shown[KEY_SHOWN_MAX + 4], why[sizeof(c->why)];

	(void)snprintf(f.subject, sizeof(f.subject), "store \"%.24s\": %s \"%s\"", s->conf->name,
		       doing, key_shown(key ? key : s->conf->bucket, shown));
	if (r == -ECANCELED)
		return r;
	if (a->status >= 300) {
		if (s3_error_parse(a->error_body, strlen(a->error_body), &f.e) == 0)
			return explain_code(&f, r);
		return explain_status(&f, r);
	}
	if (a->status != 0 && r >= 0) {
		call_why(c, "%s: the server answered %ld", f.subject, a->status);
		return -EIO;
	}
	(void)snprintf(why, sizeof(why), "%s", c->why[0] ? c->why : strerror(-r));
	call_why(c, "%s: %.160s", f.subject, why);
	return r;
}
