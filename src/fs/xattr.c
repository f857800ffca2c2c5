/* Extended attributes: what the catalog knows of a snapshot, read-only; users' own on entries of upload/. */
#include "datasets.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the catalog knows of a picture, and nobody sets here; the rest is in tags.c. */
static const char *const snap_names[] = {"user.shutterfs.state", "user.shutterfs.sha256",
					 "user.shutterfs.camera", "user.shutterfs.taken",
					 "user.mime_type"};
static const char *const upload_names[] = {"user.shutterfs.state", "user.shutterfs.error"};

static int snap_value(struct fs *fs, int64_t id, const char *name, struct buf *out)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct snap snap;
	char text[SHA256_HEX > ISO_MAX ? SHA256_HEX : ISO_MAX];
	int r = catalog_snap(fs->parts.catalog, id, &snap);

	if (r < 0)
		return r;
	if (strcmp(name, "user.mime_type") == 0)
		return buf_str(out, "image/jpeg");
	if (strcmp(name, "user.shutterfs.state") == 0)
		return buf_str(out, snap_state_name[fs_snap_state(fs, &snap)]);
	if (strcmp(name, "user.shutterfs.taken") == 0) {
		iso_format(snap.taken_us, snap.zone_min, text);
		return buf_str(out, text);
	}
	if (strcmp(name, "user.shutterfs.sha256") == 0) {
		if (!snap.has_sha)
			return -ENODATA; /* known after the first fetch */
		hex_encode(snap.sha.b, sizeof(snap.sha.b), text);
		return buf_str(out, text);
	}
	if (strcmp(name, "user.shutterfs.camera") != 0 && !tag_attribute(name))
		return -ENODATA;
	r = catalog_sidecar(fs->parts.catalog, id, &s);
	if (r < 0)
		return r;
	return tag_attribute(name) ? tag_value(&s, name, out) : buf_str(out, s.camera);
}

static int upload_value(struct fs *fs, int64_t id, const char *name, struct buf *out)
{
	static const char *const state[] = {
		[UPLOAD_OPEN] = "open",
		[UPLOAD_WAITING] = "waiting",
		[UPLOAD_REGISTERED] = "registered",
		[UPLOAD_REJECTED] = "rejected",
		[UPLOAD_HELD] = "held",
		[UPLOAD_KEPT] = "kept",
	};
	struct upload_row row;
	char error[WHY_BYTES];
	int r = ingest_entry(fs->parts.ingest, id, &row);

	if (r < 0)
		return r;
	if (row.is_dir)
		return -ENODATA;
	if (strcmp(name, "user.shutterfs.error") == 0) {
		r = catalog_upload_error(fs->parts.catalog, id, error);
		return r < 0 ? r : error[0] ? buf_str(out, error) : -ENODATA;
	}
	/* Of a registered picture, everything the snapshot tells. */
	if (row.state == UPLOAD_REGISTERED && row.snapshot > 0)
		return tag_attribute(name) ? upload_tag_value(fs, id, row.snapshot, name, out)
					   : snap_value(fs, row.snapshot, name, out);
	if (strcmp(name, "user.shutterfs.state") == 0)
		return buf_str(out, state[row.state]);
	return -ENODATA;
}

static bool is_user(const char *name)
{
	return strncmp(name, "user.", 5) == 0;
}

static bool is_ours(const char *name)
{
	return strncmp(name, "user.shutterfs.", 15) == 0;
}

/* Why a text that was edited could not be understood. */
static int draft_error(struct fs *fs, struct node n, struct buf *out)
{
	char error[WHY_BYTES];
	int r = catalog_draft(fs->parts.catalog, (int64_t)node_ino(n), NULL, error, NULL);

	return r == -ENOENT ? -ENODATA : r < 0 ? r : buf_str(out, error);
}

static int get_value(struct fs *fs, struct node n, const char *name, struct buf *out)
{
	int r = -ENODATA;

	/* ACLs, capabilities, SELinux.  With another error ls asks for every file, twice. */
	if (!is_user(name))
		return -EOPNOTSUPP;
	if (n.kind == NODE_SNAP)
		return snap_value(fs, n.id, name, out);
	if (n.kind == NODE_SIDECAR && strcmp(name, "user.mime_type") == 0)
		return buf_str(out, "application/json");
	if (n.kind == NODE_QUERY_FILE && strcmp(name, "user.mime_type") == 0)
		return buf_str(out, "application/json");
	if ((n.kind == NODE_QUERY_FILE || n.kind == NODE_QUERY) &&
	    strcmp(name, "user.shutterfs.error") == 0)
		return query_error(fs, n, out);
	if (n.kind == NODE_DATASET_TEXT)
		return dataset_xattr(fs, n, name, out);
	if (node_ops(n)->edit && strcmp(name, "user.shutterfs.error") == 0)
		return draft_error(fs, n, out);
	if (n.kind != NODE_UPLOAD)
		return -ENODATA;
	/* What a client set counts; of tags, once it is registered, what the picture has. */
	if (n.id > 0 && (is_ours(name) || tag_attribute(name)))
		r = upload_value(fs, n.id, name, out);
	if (r == -ENODATA && !is_ours(name))
		r = catalog_xattr_get(fs->parts.catalog, n.id, name, out);
	if (r == -ENODATA && n.id > 0)
		r = upload_value(fs, n.id, name, out);
	return r;
}

/* Only those that have a value now. */
static int add_names(struct fs *fs, struct node n, const char *const *names, size_t count,
		     struct buf *out)
{
	for (size_t i = 0; i < count; i++) {
		CLEANUP(buf_done) struct buf value = BUF(SIDECAR_BYTES);
		int r = get_value(fs, n, names[i], &value);

		if (r == 0)
			r = buf_add(out, names[i], strlen(names[i]) + 1);
		if (r < 0 && r != -ENODATA)
			return r;
	}
	return 0;
}

/* Uploads list what clients set, and ours only where something is wrong: `rsync -X` removes what the source does not have, and
 * these cannot be removed. */
static int list_upload_values(struct fs *fs, struct node n, struct buf *out)
{
	char error[WHY_BYTES] = "";
	int r = n.id > 0 ? catalog_upload_error(fs->parts.catalog, n.id, error) : 0;

	if (r == 0 && error[0])
		r = add_names(fs, n, upload_names, ARRAY_LEN(upload_names), out);
	return r < 0 ? r : catalog_xattr_list(fs->parts.catalog, n.id, out);
}

/* From one look at the catalog: file managers ask for every file. */
static int list_snap_values(struct fs *fs, int64_t id, struct buf *out)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	int r = catalog_sidecar(fs->parts.catalog, id, &s);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(snap_names); i++)
		if (s.has_sha || strcmp(snap_names[i], "user.shutterfs.sha256") != 0)
			(void)buf_add(out, snap_names[i], strlen(snap_names[i]) + 1);
	return tag_names(&s, out);
}

static int list_values(struct fs *fs, struct node n, struct buf *out)
{
	static const char *const sidecar_names[] = {"user.mime_type", "user.shutterfs.error"};

	switch (n.kind) {
	case NODE_SNAP:
		return list_snap_values(fs, n.id, out);
	case NODE_SIDECAR:
	case NODE_QUERY:
	case NODE_QUERY_FILE:
		return add_names(fs, n, sidecar_names, ARRAY_LEN(sidecar_names), out);
	case NODE_DATASET_TEXT:
		return add_names(fs, n, upload_names, ARRAY_LEN(upload_names), out);
	case NODE_UPLOAD:
		return list_upload_values(fs, n, out);
	default:
		return node_ops(n)->edit ? add_names(fs, n, sidecar_names + 1, 1, out) : 0;
	}
}

static void reply_value(fuse_req_t req, int r, const struct buf *value, size_t size)
{
	if (r < 0)
		(void)fuse_reply_err(req, fs_errno(r));
	else if (size == 0)
		(void)fuse_reply_xattr(req, value->len);
	else if (value->len > size)
		(void)fuse_reply_err(req, ERANGE);
	else
		(void)fuse_reply_buf(req, value->data, value->len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	CLEANUP(buf_done) struct buf value = BUF(SIDECAR_BYTES);
	struct node n = node_from_ino(ino);
	int r;

	if (is_user(name)) /* the kernel asks for another one before it writes */
		(void)fs_settled_at(fuse_req_userdata(req), n);
	r = get_value(fuse_req_userdata(req), n, name, &value);
	reply_value(req, r, &value, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	CLEANUP(buf_done) struct buf names = BUF(SIDECAR_BYTES);
	struct node n = node_from_ino(ino);
	int r;

	(void)fs_settled_at(fuse_req_userdata(req), n);
	r = list_values(fuse_req_userdata(req), n, &names);
	reply_value(req, r, &names, size);
}

/* ---- setting ---- */

int picture_setxattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		     int flags)
{
	return tag_attribute(name) ? tag_set(fs, n.id, name, value, size, flags) : -EROFS;
}

int picture_removexattr(struct fs *fs, struct node n, const char *name)
{
	return tag_attribute(name) ? tag_remove(fs, n.id, name) : -EROFS;
}

/* Texts that stand for rows have no place for others' attributes: cp -a goes on without, rsync -X says so.  Ours come along when
 * one is copied from a mount, and are what they are. */
int text_setxattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		  int flags)
{
	return is_ours(name) || strcmp(name, "user.mime_type") == 0 ? 0 : -EOPNOTSUPP;
}

/* The picture that an entry is; 0: none yet. */
static int picture_of(struct fs *fs, int64_t entry, int64_t *ret)
{
	struct upload_row row;
	int r = entry > 0 ? ingest_entry(fs->parts.ingest, entry, &row) : 0;

	if (r == 0)
		*ret = entry > 0 && row.state == UPLOAD_REGISTERED ? row.snapshot : 0;
	return r;
}

/* Samba, rsync -X and file managers keep theirs on what they uploaded.  Ours are passed over, since programs that copy from a mount
 * bring them along; but the star of a picture that is there can be set. */
int upload_setxattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		    int flags)
{
	int64_t picture = 0;
	int r = strncmp(name, "user.", 5) == 0 ? 0 : -EOPNOTSUPP;

	if (r == 0 && tag_attribute(name))
		r = picture_of(fs, n.id, &picture);
	if (r == 0 && picture)
		r = tag_set(fs, picture, name, value, size, 0);
	if (r < 0 || is_ours(name))
		return r;
	return catalog_xattr_set(fs->parts.catalog, n.id, name, value, size, flags);
}

int upload_removexattr(struct fs *fs, struct node n, const char *name)
{
	int64_t picture = 0;
	int r = strncmp(name, "user.", 5) == 0 ? 0 : -EOPNOTSUPP, removed = -ENODATA;

	if (r == 0 && tag_attribute(name))
		r = picture_of(fs, n.id, &picture);
	if (r < 0)
		return r;
	if (picture)
		removed = tag_remove(fs, picture, name);
	if (is_ours(name))
		return picture ? removed : -EPERM;
	r = catalog_xattr_remove(fs->parts.catalog, n.id, name);
	return r == -ENODATA ? removed : r;
}
