/* listing.h - one reply to readdir being filled. */
#pragma once

#include "fs_private.h"

struct listing {
	struct fs *fs;
	fuse_req_t req;
	struct node dir;
	struct handle *handle;
	bool plus;
	char *data;
	size_t used, size;
	int error;
};

enum { PAGE = 256 }; /* rows that are asked for at once */

/* `next`: the offset after which to go on. True: full. */
bool listing_add(struct listing *l, const char *name, struct node n, const struct stat *st,
		 off_t next);
bool listing_add_dir(struct listing *l, const char *name, struct node n, off_t next);
/* The end of a scan (-ENOENT) is no error; anything else must not look like it, since the kernel keeps what it was given. */
void listing_ended(struct listing *l, int r);
