/* model.h - the words of shutterfs and the rules of their names: snapshot, camera, label, sidecar, img_id, layout.
 *
 * Pure functions and plain data: no I/O.  Strings are UTF-8.  See the design: a name once registered never changes. */
#pragma once

#include "shutterfs/base.h"

#define CAMERA_MAX 64 /* bytes of a camera's name */
#define IMG_ID_MAX 40 /* "20201231T15-45-55-123456" and a "-<n>" suffix */
#define STEM_MAX (IMG_ID_MAX + 1 + CAMERA_MAX)
#define LABEL_MAX 128  /* bytes of a label's kind or value */
#define KEY_MAX 1024   /* bytes of an object's key in a store */
#define NAME_LIMIT 255 /* bytes of one file name */
#define SIDECAR_BYTES (1024 * 1024)
/* What is said of one that does not fit into them. */
#define SIDECAR_FULL "has more labels, documents or other members than fit into a sidecar of 1 MiB"
#define DOCUMENTS_BYTES (960 * 1024) /* of all documents of one picture, as an array */
#define COMMENT_MAX 65535            /* bytes: what an xattr can hold */
#define RATING_MAX 10
#define PICTURE_BYTES (256u * 1024 * 1024)

/* ---- text ---- */
/* Bytes of the UTF-8 character at `text`, which ends in NUL; 0: overlong, a surrogate, beyond U+10FFFF or cut short. */
size_t utf8_len(const char *text);
bool text_ok(const char *s, size_t max); /* valid UTF-8 of at most max bytes; NULL is not */

/* ---- names ---- */
/* A camera's name from anything: characters outside A-Za-z0-9_- become '-' (as do bytes that are not
 * UTF-8), cut at 64; "" gives "camera". */
void camera_name_from(const char *title, char out[CAMERA_MAX + 1]);
bool camera_name_ok(const char *name);
/* Labels become directory names: '/', control bytes and bad UTF-8 become '-', no leading '.', no trailing '.' or ' '. */
void label_name_from(const char *text, char out[LABEL_MAX + 1]);
/* One safe UTF-8 path component: not "", ".", "..", no '/', no control bytes, at most 255. */
bool file_name_ok(const char *name);
/* What rsync, editors, browsers, Samba, macOS... leave while writing: kept, never registered. */
bool upload_name_is_temporary(const char *name);
enum upload_kind { UPLOAD_PICTURE, UPLOAD_SIDECAR, UPLOAD_OTHER };
/* By extension, any case: .jpg .jpeg .jpe | .json | the rest */
enum upload_kind upload_kind_of(const char *name);

/* The place of a sidecar's name among those of a picture: 0 x.jpg.json, 1 x.json, 2 Google Takeout's, 3 x.jpg.xmp, 4 x.xmp,
 * 5 x.txt; -ENOENT: it belongs to another. */
int sidecar_rank(const char *picture, const char *name);
/* The n-th name that its picture may have, from 0; -ENOENT: no more, -ENAMETOOLONG. */
int sidecar_picture(const char *name, unsigned n, char out[NAME_LIMIT + 1]) MUST_CHECK;
#define SIDECAR_CUT 46 /* bytes that Takeout leaves of a name that is too long, before .json */
/* SIDECAR_CUT when the name may be such a one; 0: it is not. */
size_t sidecar_cut(const char *name);

/* img_id = %Y%m%dT%H-%M-%S-%f in the mount's zone, "-<dup>" appended when dup > 0; returns its length. */
size_t img_id_format(int64_t taken_us, unsigned dup, char out[IMG_ID_MAX + 1]);
/* The local time written in an img_id (zone_min 0: it does not say); -EINVAL if it is not one. */
int img_id_parse(const char *s, size_t len, struct civil *ret, unsigned *ret_dup) MUST_CHECK;
/* Splits "<img_id>_<camera>" (no extension); -EINVAL if it is not a stem. */
int stem_parse(const char *stem, struct civil *ret, unsigned *ret_dup,
	       char ret_camera[CAMERA_MAX + 1]) MUST_CHECK;
/* A capture time written in a file's name or its directories (img_id, 20201231_154555, 2020-12-31 15.45.55,
 * MDAlarm_20201231-154555, 10/13-digit epochs, ...); has_time false: only a date was found. -ENOENT: nothing.
 * zone_min is set: us_from_civil(ret, true) is the instant, also in a repeated hour. */
int time_from_path(const char *path, struct civil *ret, bool *ret_has_time) MUST_CHECK;

/* ---- layout: where a store keeps a snapshot: {camera} {yyyy} {mm} {dd} {stem} {img_id} ---- */
/* Needs {stem} or {img_id}+{camera}; ends in .jpg.  -EINVAL: *ret_why says what would be right. */
int layout_check(const char *layout, const char **ret_why) MUST_CHECK;
int layout_key(const char *layout, const char *camera, const char *img_id, char out[KEY_MAX + 1])
	MUST_CHECK;
struct layout_match {
	/* As written in the key: not yet camera_name_from(); "" when the layout has none. */
	char camera[NAME_LIMIT + 1];
	/* As written: need not be a stem of ours.  By {img_id}: the stem it makes with {camera} if it is an
	 * img_id, else its text. */
	char stem[NAME_LIMIT + 1];
	int year, month, day; /* each 0 when the layout does not have it */
};
/* -ENOENT: does not fit */
int layout_match(const char *layout, const char *key, struct layout_match *ret) MUST_CHECK;
/* x.jpg -> x.json; -EINVAL: not a picture's */
int sidecar_key(const char *key, char out[KEY_MAX + 1]) MUST_CHECK;

/* ---- labels and sidecars ---- */
struct label {
	char *kind, *value; /* owned */
	char *by;           /* owned; NULL: not said */
	double score;       /* NAN: not said */
	bool has_box;
	double box[4]; /* normalised x, y, width, height */
};
struct labels {
	struct label *item; /* owned; only labels_add() makes it grow */
	size_t n;
	bool looked; /* false: nobody looked (the key is absent); true with n == 0: looked, nothing there */
};
void label_done(struct label *l);
void labels_done(struct labels *l);
/* Takes ownership of nothing: copies, and sets `looked`. -E2BIG beyond 10,000. */
int labels_add(struct labels *l, const struct label *item) MUST_CHECK;
/* "kind/value", or a plain value of the kind "label". -EINVAL: "" */
int labels_add_tag(struct labels *l, const char *tag) MUST_CHECK;

enum time_source { TIME_SOURCE, TIME_EXIF, TIME_NAME, TIME_MTIME, TIME_ARRIVAL, TIME_SOURCES };
/* "source" "exif" "name" "mtime" "arrival" */
extern const char *const time_source_name[TIME_SOURCES];
enum snap_state { STATE_LOCAL, STATE_QUEUED, STATE_SYNCED, STATE_REMOTE, SNAP_STATES };
extern const char *const snap_state_name[SNAP_STATES]; /* "local" "queued" "synced" "remote" */

struct replica {
	char *store, *key, *etag; /* owned */
};

/* A snapshot as its sidecar tells it; absent values: NULL, 0, false, has_* false. Strings are owned. */
struct sidecar {
	char *img_id, *camera, *group, *mime;
	int64_t taken_us;
	int zone_min;
	bool has_taken;
	enum time_source time_source;
	uint64_t size;
	bool has_sha;
	struct sha256 sha;
	unsigned width, height;
	bool starred, has_starred;
	enum snap_state state;
	struct replica *replica;
	size_t n_replicas;
	struct labels labels;
	char *comment;   /* "": none */
	unsigned rating; /* 1-RATING_MAX; 0: none */
	bool has_rating;
	bool whole; /* it says that it is a sidecar of ours: what it lacks is not there */
	/* Raw JSON text, exactly as given: an array of objects, three objects, the object of unknown top-level keys, and an array
	 * of what was replaced (in stores only, newest first). NULL: absent. */
	char *documents, *event, *origin, *extra, *unknown, *history;
};
void sidecar_done(struct sidecar *s);
