/* private.h - what the files of this room share: the table's rows, a section while it is being read, and its errors. */
#pragma once

#include "shutterfs/config.h"

#include <stdio.h>

enum section { SECTION_MAIN, SECTION_CAMERA, SECTION_STORE, SECTION_ELASTIC, SECTIONS };
enum { KEYS_MAX = 24 /* of one section */ };
extern const char *const section_name[SECTIONS];

/* A section while it is read: of the structs the one of its kind is used. */
struct draft {
	enum section section;
	char *name;
	unsigned line;               /* of its header; 0: made here */
	unsigned key_line[KEYS_MAX]; /* by row within the section; 0: not given */
	struct config config;
	struct camera_config camera;
	struct store_config store;
	struct elastic_config elastic;
	char *password_file, *password_env;
	char *api_key_file;
	char *access_key_file, *secret_key_file, *session_token_file;
};

/* One reading of a file. */
struct load {
	const char *file; /* as it is shown in errors */
	char *dir;        /* relative paths are relative to it */
	bool file_is_private;
	struct buf *err;
	unsigned errors;
	unsigned faults;     /* enum load_fault: what errors there were */
	int fatal;           /* no memory: nothing more is tried */
	const char *p, *end; /* what is still to be read */
	unsigned line;
	bool pending; /* inih has not told yet what the last line is */
	struct draft *draft;
	size_t n_drafts;
	struct draft *current; /* NULL: before the first section, or in one that is not known */
	bool skipping;
};

/* How a value is read and shown.  `read` reports what is wrong with load_error; `print` adds nothing when there is no value. */
struct key;
struct kind {
	int (*read)(struct load *l, unsigned line, const struct key *k, const char *text,
		    void *field);
	void (*print)(const struct key *k, const void *field, struct buf *out);
};
extern const struct kind kind_text, kind_title, kind_path, kind_url, kind_secret, kind_duration,
	kind_size, kind_count, kind_zone, kind_layout, kind_sidecars, kind_durability, kind_upload,
	kind_path_style, kind_driver;

struct key {
	enum section section;
	const char *name;
	const struct kind *kind;
	size_t offset;       /* in struct draft */
	int64_t min, max;    /* of durations (us), sizes and counts; both 0: any */
	const char *initial; /* default, read as if it stood in the file; NULL: none */
	const char *help;
};

/* table.c */
extern const struct key config_keys[];
extern const size_t config_n_keys;
const struct key *key_find(enum section section, const char *name);
unsigned key_index(const struct key *k); /* within its section */
const char *key_like(enum section section,
		     const char *name); /* a key that may have been meant; NULL */
unsigned key_line(const struct draft *d, const char *name); /* where it was given; 0: it was not */

/* load.c: tells an error; `line` 0: the file as a whole */
enum load_fault {
	LOAD_WRONG = 1,   /* -EINVAL */
	LOAD_LACKS = 2,   /* -EINVAL: a secret is not there */
	LOAD_REFUSED = 4, /* -EACCES: a file is not private */
};
int load_fail(struct load *l, enum load_fault fault, unsigned line, const char *fmt, ...)
	PRINTF(4, 5);
#define load_error(l, ...) load_fail(l, LOAD_WRONG, __VA_ARGS__)
#define load_lacks(l, ...) load_fail(l, LOAD_LACKS, __VA_ARGS__)
#define load_refused(l, ...) load_fail(l, LOAD_REFUSED, __VA_ARGS__)
int load_no_memory(struct load *l);
void draft_done(struct draft *d);

/* paths.c */
const char *home_dir(void); /* NULL: nobody knows it */
/* `text` absolute, below ~/ or $XDG_{STATE,CACHE,DATA,CONFIG}_HOME/, or relative to dir.  -ENOENT: no home. */
int path_expand(const char *dir, const char *text, char **ret) MUST_CHECK;

/* check.c */
void check_main(struct load *l, struct draft *d);
void check_camera(struct load *l, struct draft *d);
void check_store(struct load *l, struct draft *d);
void check_elastic(struct load *l, struct draft *d);

/* secret.c: each reports its own errors */
void buf_wipe(struct buf *b); /* buf_done for text that holds secrets */
int read_fd(int fd, struct buf *ret)
	MUST_CHECK;           /* a whole file into an empty buffer; -EFBIG over its max */
bool file_is_private(int fd); /* a regular file of ours or root's that nobody else can read */
void secret_from_file(struct load *l, unsigned line, const char *key, const char *text,
		      struct secret *ret);
void secret_from_env(struct load *l, unsigned line, const char *key, const char *name,
		     struct secret *ret);
void secret_hide_proxies(void);
/* The environment, then the profile, unless access_key_file was given. */
void secret_s3_keys(struct load *l, struct draft *d);

/* print.c */
void print_url(const char *url,
	       struct buf *out); /* passwords and what may be secret in a query as **** */
