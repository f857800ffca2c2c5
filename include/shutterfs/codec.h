/* codec.h - foreign bytes to our words: JPEG, EXIF, JSON sidecars, XML listings, hashes.
 *
 * Limits first, then parse: sizes, depths and counts are checked before anything is allocated for them.  The only user of
 * cJSON, libjpeg-turbo, libexif, expat and libcrypto.  Errors: -EBADMSG (not what it should be; `why` says where), -EFBIG. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/model.h"

#define WHY_MAX \
	160 /* `char why[WHY_MAX]` arguments: one sentence for people, set on failure; never NULL */

/* One sentence into `why`, cut between characters, without control characters. */
void why_set(char *why, const char *fmt, ...) PRINTF(2, 3);

/* ---- hashes ---- */
struct hash; /* SHA-256 and MD5 in one pass */
struct hashes {
	struct sha256 sha;
	uint8_t md5[16];
};
int hash_new(struct hash **ret) MUST_CHECK;
int hash_add(struct hash *h, const void *data, size_t len) MUST_CHECK;
int hash_end(struct hash *h, struct hashes *ret) MUST_CHECK;
struct hash *hash_free(struct hash *h);
int hash_fd(int fd, struct hashes *ret) MUST_CHECK; /* from offset 0 */
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32]);
int sha256_fd(int fd, struct sha256 *ret) MUST_CHECK; /* from offset 0 */
int sha256_of(const void *data, size_t len, struct sha256 *ret) MUST_CHECK;

/* ---- JPEG: header and both ends only; nothing is decoded ---- */
#define JPEG_PIXELS (64 * 1024 * 1024)
struct jpeg_info {
	unsigned width, height;
	bool has_exif_time;
	int64_t exif_taken_us; /* DateTimeOriginal + SubSecTimeOriginal + OffsetTimeOriginal; else in the mount's zone */
	int exif_zone_min;
};
/* SOI, a header that libjpeg-turbo reads, at most 64 Mpx, EOI at the end.  Behind it there may be up to 1 MiB of padding
 * (00, ff), and what a picture says itself that it has: MPF pictures, a motion photo, Samsung's directory.
 * -EBADMSG with why: "is HTML, not a JPEG picture", "ends before its end (truncated)", ...
 *
 * It is read in a cage: a process that cannot open, write, connect or start anything, with 128 MiB and little CPU time.  One
 * that dies is replaced; a picture over which fresh ones die is a bad one.  Up to four pictures are read at a time.
 * -EAGAIN, -ENOMEM, -ETIMEDOUT (a minute): says nothing about the picture. */
int jpeg_probe_fd(int fd, struct jpeg_info *ret, char why[WHY_MAX]) MUST_CHECK;
int jpeg_probe(const void *data, size_t len, struct jpeg_info *ret, char why[WHY_MAX]) MUST_CHECK;

/* The first picture starts what they need, by executing this program's file again: a process that is to lose the right to do so
 * calls codec_start() before, and, when no more are read, codec_end(). */
int codec_start(void) MUST_CHECK;
void codec_end(void);
/* "caged"; "limits only": the kernel cannot filter system calls; "not started". */
const char *codec_cage(void);

/* ---- strict JSON, checked and cut into members or elements without building anything ---- */
/* A top-level member: its decoded key and the extent of its value in the text (borrowed).  Non-zero ends the scan with it. */
typedef int json_member_fn(void *user, const char *key, const char *raw, size_t raw_len);
/* `text` must be one object: RFC 8259, UTF-8, depth <= 64, no key twice in an object, no NUL characters, no lone surrogates.
 * Members are reported once the whole of it was found good.  -EBADMSG with why naming line and column. */
int json_scan(const char *text, size_t len, json_member_fn *each, void *user, char why[WHY_MAX])
	MUST_CHECK;
/* The same for one array: each element with key NULL. */
int json_scan_array(const char *text, size_t len, json_member_fn *each, void *user,
		    char why[WHY_MAX]) MUST_CHECK;
/* The same for one value of any kind, without blanks around it, that begins at `line` and `column` of its file. */
int json_check(const char *text, size_t len, unsigned line, unsigned column, char why[WHY_MAX])
	MUST_CHECK;
/* Appends what a checked string says. */
int json_decode(const char *text, size_t len, struct buf *out) MUST_CHECK;

/* ---- label documents: what other systems wrote about a picture ---- */
struct label_document {
	/* MD5 in hexadecimal of img_id, label.created_by, .label_direction, .label_speed, .nb_of_direction and .nb_of_speed, one
	 * behind the other as Python's str() prints them (what is absent: None). */
	char fp1[33];
	/* SHA-256 of the same, told apart: 2 and 2.0 are one, "a"+"bc" and "ab"+"c" are two.  Equal: a duplicate. */
	struct sha256 fp2;
	char *created_by; /* owned; NULL: not said */
	char *body;       /* owned; the object as given, with label_fingerprint = fp1 */
};
/* `text`: one JSON object (as json_scan takes it); img_id: the picture's, for a document that names none. -EBADMSG */
int label_document_parse(const char *text, size_t len, const char *img_id,
			 struct label_document *ret, char why[WHY_MAX]) MUST_CHECK;
void label_document_done(struct label_document *d);

/* ---- sidecars (the design, section 2), and what is accepted for one ---- */
/* At most SIDECAR_BYTES, UTF-8 (a byte order mark is passed over), one object, depth <= 64, no duplicate keys.  Labels are
 * taken from "labels" as objects {kind,value,...} or strings ("kind/value" or plain: kind "label"), from "label" as a
 * string, and from "tags" as strings.  A known key of a wrong type is an error; event, origin, extra, documents, comment,
 * rating and an img_id that are not what the design says they are stay in `unknown`.  "history" is one only in a sidecar
 * whose "schema" comes before it and is ours. */
int sidecar_parse(const char *text, size_t len, struct sidecar *ret, char why[WHY_MAX]) MUST_CHECK;
/* Renders in the design's key order, absent values left out, unknown keys last; taken is shown in zone_min; the result ends
 * in a newline. */
int sidecar_render(const struct sidecar *s, struct buf *out) MUST_CHECK;

/* ---- sidecars of other programs ---- */
struct classes {     /* of YOLO: the names of 0, 1, 2... */
	char **name; /* owned */
	size_t n;
};
/* classes.txt: a name per line; else the "names" of data.yaml. -EBADMSG */
int classes_parse(const char *name, const char *text, size_t len, struct classes *ret,
		  char why[WHY_MAX]) MUST_CHECK;
void classes_done(struct classes *c);
struct beside { /* the picture that a sidecar belongs to */
	const char *file;
	unsigned width, height; /* 0: not known; then boxes in pixels are left out */
};
/* By the sidecar's name, and JSON by its shape: ours, a label document or several, Google Takeout, Frigate, COCO, COCO
 * Camera Traps, MegaDetector (of many pictures the part about this one); .xmp; .txt is YOLO, with `classes`.  At most
 * SIDECAR_BYTES; no entities in XML. -EBADMSG, -EFBIG */
int foreign_parse(const char *name, const char *text, size_t len, const struct beside *pic,
		  const struct classes *classes, struct sidecar *ret, char why[WHY_MAX]) MUST_CHECK;

/* ---- big JSON files, one item at a time ---- */
/* An item: a member of the outer object (key), an element of an array that is a member's value (key: the member's), or an
 * element of the outer array (key NULL).  `raw` is checked as strictly as a sidecar, NUL-terminated, and gone after the call.
 * Non-zero ends the reading with it. */
typedef int json_item_fn(void *user, const char *key, const char *raw, size_t len);
struct json_stream;
int json_stream_new(size_t max_item, json_item_fn *fn, void *user, struct json_stream **ret)
	MUST_CHECK;
int json_stream_feed(struct json_stream *s, const char *data, size_t len, char why[WHY_MAX])
	MUST_CHECK; /* -EBADMSG, -EFBIG with why */
int json_stream_end(struct json_stream *s, char why[WHY_MAX])
	MUST_CHECK; /* -EBADMSG: the text is not whole */
struct json_stream *json_stream_free(struct json_stream *s);

/* ---- JSON for status, queue and errors: a streaming writer ---- */
struct json {
	struct buf *out;
	unsigned depth;
	bool comma;
	bool lines; /* each member of the outermost object begins a line: for people who cat it */
};
void json_object(struct json *j, const char *key); /* key NULL: in an array or at the top */
void json_array(struct json *j, const char *key);
void json_end(struct json *j, char close);                            /* '}' or ']' */
void json_string(struct json *j, const char *key, const char *value); /* NULL: null */
void json_int(struct json *j, const char *key, int64_t value);
void json_double(struct json *j, const char *key, double value);
void json_bool(struct json *j, const char *key, bool value);
void json_raw(struct json *j, const char *key, const char *text); /* text is JSON already */
void json_label(struct json *j, const struct label *l);           /* as in a sidecar's "labels" */

/* Appends `object` with the members of the object `more` that it lacks. -EBADMSG with why; then `out` has a part of it */
int json_merge(const char *object, size_t len, const char *more, size_t more_len, struct buf *out,
	       char why[WHY_MAX]) MUST_CHECK;

/* ---- JSON that is read where it lies: nothing is built, so memory stays flat whatever its size ---- */
struct json_text { /* one value, an extent of a text that json_read has seen; borrowed */
	const char *p;
	size_t len;
};
enum json_type {
	JSON_NONE, /* absent */
	JSON_NULL,
	JSON_FALSE,
	JSON_TRUE,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};
/* The text must be one object: RFC 8259, UTF-8 (a byte order mark is passed over), depth <= 64, no key twice in an object.
 * -EBADMSG with why naming line and column. */
int json_read(const char *text, size_t len, struct json_text *ret, char why[WHY_MAX]) MUST_CHECK;
enum json_type json_type(struct json_text v);
/* struct json_text rest = json_inside(v); while (json_next(&rest, &key, &value)) ...   An array: NULL for the key. */
struct json_text json_inside(struct json_text v);
bool json_next(struct json_text *rest, struct json_text *ret_key, struct json_text *ret);
struct json_text json_get(struct json_text object, const char *key); /* JSON_NONE: not there */
bool json_is(struct json_text v, const char *text);                  /* it is this string */
/* Appends a string's text, of anything else the JSON as it stands. */
int json_plain(struct json_text v, struct buf *out) MUST_CHECK;
bool json_number(struct json_text v, long double *ret); /* false: none, or of over 100 digits */

/* ---- S3's XML ---- */
struct s3_object {
	const char *
		key; /* borrowed: valid during the callback; percent-decoded when encoding-type was url */
	const char *etag; /* without quotes */
	uint64_t size;
	int64_t modified_us;
};
typedef int s3_object_fn(void *user, const struct s3_object *o); /* non-zero ends with it */
struct s3_list_page {
	bool truncated;
	char next[2048]; /* NextContinuationToken */
};
/* ListObjectsV2 answer; at most 1,000 objects a page. */
int s3_list_parse(const char *xml, size_t len, s3_object_fn *each, void *user,
		  struct s3_list_page *ret, char why[WHY_MAX]) MUST_CHECK;
struct s3_error {
	char code[64], message[256], region[64], endpoint[256];
};
int s3_error_parse(const char *xml, size_t len, struct s3_error *ret) MUST_CHECK;
/* A Foscam answer's <result> number. */
int cgi_result_parse(const char *xml, size_t len, int *ret) MUST_CHECK;
