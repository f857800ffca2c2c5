/* listing.h - one reply to readdir being filled. */
#pragma once

#include "fs_private.h"

struct listing {
	struct fs *fs;
	fuse_req_t req;
	struct node dir;
	struct handle *handle;
	bool plus;
	bool names_alone; /* no attributes are wanted of pictures and sidecars */
	char *data;
	size_t used, size;
	int error;
};

enum { PAGE = 256 }; /* rows that are asked for at once */

/* `next`: the offset after which to go on; of `st`, when nothing but its type is known: mode S_IFREG alone. True: full. */
bool listing_add(struct listing *l, const char *name, struct node n, const struct stat *st,
		 off_t next);
bool listing_add_dir(struct listing *l, const char *name, struct node n, off_t next);
/* The end of a scan (-ENOENT) is no error; anything else must not look like it, since the kernel keeps what it was given. */
void listing_ended(struct listing *l, int r);

/* Snapshots, and their sidecars where these are listed: begun by listing_snaps_begin, then one by one from after `last`. */
struct listing_snaps {
	struct listing *l;
	int64_t skip_picture; /* the page begins within this snapshot: only its sidecar is left */
	int64_t last;
	unsigned n;
	bool first_alone; /* walk.h */
};
/* Both 1: full. */
int listing_snaps_begin(struct listing *l, off_t off, struct listing_snaps *ret) MUST_CHECK;
int listing_snap(void *user, const struct snap *s); /* a snap_fn; user: struct listing_snaps */

/* ---- queries.c ---- */
void queries_list(struct listing *l, off_t off);
void query_list(struct listing *l, off_t off);
