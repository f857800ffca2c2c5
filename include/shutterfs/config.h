/* config.h - the config file as a struct, read once at start with inih.
 *
 * One table in src/config/table.c has every key: section, name, parser, default, help.  Unknown sections and keys, bad
 * values and doubled names are errors "file:line: what is wrong and what would be right".  Relative paths are relative to
 * the file.  Strings are owned by the struct config; it never changes after config_load. */
#pragma once

#include "shutterfs/base.h"
#include "shutterfs/model.h"

enum { CONFIG_CAMERAS_MAX = 1024, CONFIG_STORES_MAX = 16, CONFIG_ELASTICS_MAX = 16 };
enum sidecars {
	SIDECARS_LIST,
	SIDECARS_GHOST,
	SIDECARS_OFF,
	SIDECARS_DEFAULT /* listed in cameras/, ghosts elsewhere */
};
enum durability { DURABILITY_LAZY /* within a second */, DURABILITY_CLOSE };

struct camera_config {
	char *name;  /* camera_name_ok */
	char *title; /* as written in the file */
	char *driver, *url, *user, *group;
	struct secret password;
	int64_t interval_us; /* 0: on demand only */
	int64_t min_interval_us; /* a younger snapshot is served instead of a new capture; default 1 s */
	int64_t timeout_us;      /* one request; default 10 s */
};

struct store_config {
	char *name, *driver, *path, *endpoint, *region, *bucket, *prefix, *layout, *profile;
	/* From files, environment or the profile. */
	struct secret access_key, secret_key, session_token;
	int64_t scan_us; /* 0: only when asked */
	bool path_style; /* s3: bucket in the path, not in the host name; default: decided from the endpoint */
	bool has_path_style;
	unsigned threads; /* requests at a time, each for reading and for writing; default 32 */
};

struct elastic_config { /* an Elasticsearch index that documents are taken from and brought to */
	char *name, *url, *index, *user;
	struct secret password, api_key; /* at most one of them */
};

struct config {
	char *file; /* NULL: embedded defaults */
	char *state, *cache, *timezone;
	uint64_t cache_size;
	unsigned fetch_threads;
	int64_t fetch_deadline_us;
	enum sidecars sidecars;
	enum durability durability;
	int64_t trash_us;      /* how long pictures stay in the trash */
	bool read_only_upload; /* upload = off: no upload/ directory */
	struct camera_config *camera;
	size_t n_cameras;
	struct store_config *store;
	size_t n_stores;
	struct elastic_config *elastic;
	size_t n_elastics;
};

/* Before threads: what is secret in the environment moves to where /proc/PID/environ does not show it.
 * Reads `file`, or the first of the places of the design when NULL (none there: embedded defaults).  On failure `err` has
 * one or more lines for people and the return is -EINVAL (wrong config), -EACCES (secret file not 0600 or not ours) or an I/O error. */
int config_load(const char *file, struct buf *err, struct config **ret) MUST_CHECK;
/* The same for who may only have to ask a running mount: *ret_state, the caller's, is set also when nothing but secrets is wrong,
 * which that mount has. */
int config_load_or_state(const char *file, struct buf *err, struct config **ret, char **ret_state)
	MUST_CHECK;
struct config *config_free(struct config *c); /* wipes secrets; NULL in, NULL out */
/* The config as INI text with every secret as "****" and passwords in URLs masked. */
int config_print(const struct config *c, struct buf *out) MUST_CHECK;
/* Every key with section, default and help, one a line, for `shutterfs check --keys` and the man page test. */
void config_print_keys(struct buf *out);
