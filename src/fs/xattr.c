/* Extended attributes: what the catalog knows of a snapshot, read-only; users' own on entries of upload/. */
#include "nodes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const snap_names[] = {"user.shutterfs.state",  "user.shutterfs.sha256",
					 "user.shutterfs.camera", "user.shutterfs.taken",
					 "user.mime_type",        "user.xdg.tags"};
static const char *const upload_names[] = {"user.shutterfs.state", "user.shutterfs.error"};

/* Labels as KDE's tags: each "kind/value" once, commas in them become spaces. */
static void add_tags(const struct sidecar *s, struct buf *out)
{
	for (size_t i = 0; i < s->labels.n; i++) {
		const struct label *l = &s->labels.item[i];
		bool again = false;

		for (size_t k = 0; k < i && !again; k++)
			again = strcmp(s->labels.item[k].kind, l->kind) == 0 &&
				strcmp(s->labels.item[k].value, l->value) == 0;
		if (again)
			continue;
		size_t at = out->len;

		(void)buf_printf(out, "%s%s/%s", out->len ? "," : "", l->kind, l->value);
		for (char *p = out->data ? out->data + at + (at ? 1 : 0) : NULL; p && *p; p++)
			if (*p == ',')
				*p = ' ';
	}
}

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
	if (strcmp(name, "user.shutterfs.camera") != 0 && strcmp(name, "user.xdg.tags") != 0)
		return -ENODATA;
	r = catalog_sidecar(fs->parts.catalog, id, &s);
	if (r < 0)
		return r;
	if (strcmp(name, "user.shutterfs.camera") == 0)
		return buf_str(out, s.camera);
	add_tags(&s, out);
	return out->error ? out->error : out->len ? 0 : -ENODATA;
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
		return snap_value(fs, row.snapshot, name, out);
	if (strcmp(name, "user.shutterfs.state") == 0)
		return buf_str(out, state[row.state]);
	return -ENODATA;
}

static bool is_ours(const char *name)
{
	return strncmp(name, "user.shutterfs.", 15) == 0;
}

static int get_value(struct fs *fs, struct node n, const char *name, struct buf *out)
{
	int r = -ENODATA;

	/* ACLs, capabilities, SELinux.  With another error ls asks for every file, twice. */
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	if (n.kind == NODE_SNAP)
		return snap_value(fs, n.id, name, out);
	if (n.kind == NODE_SIDECAR && strcmp(name, "user.mime_type") == 0)
		return buf_str(out, "application/json");
	if (n.kind != NODE_UPLOAD)
		return -ENODATA;
	if (!is_ours(name)) /* what a client set counts */
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
	struct upload_row row = {.state = UPLOAD_KEPT};
	int r = n.id > 0 ? ingest_entry(fs->parts.ingest, n.id, &row) : 0;

	if (r == 0 && row.state == UPLOAD_REJECTED)
		r = add_names(fs, n, upload_names, ARRAY_LEN(upload_names), out);
	return r < 0 ? r : catalog_xattr_list(fs->parts.catalog, n.id, out);
}

static int list_values(struct fs *fs, struct node n, struct buf *out)
{
	static const char *const sidecar_names[] = {"user.mime_type"};

	switch (n.kind) {
	case NODE_SNAP:
		return add_names(fs, n, snap_names, ARRAY_LEN(snap_names), out);
	case NODE_SIDECAR:
		return add_names(fs, n, sidecar_names, ARRAY_LEN(sidecar_names), out);
	case NODE_UPLOAD:
		return list_upload_values(fs, n, out);
	default:
		return 0;
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
	int r = get_value(fuse_req_userdata(req), node_from_ino(ino), name, &value);

	reply_value(req, r, &value, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	CLEANUP(buf_done) struct buf names = BUF(SIDECAR_BYTES);
	int r = list_values(fuse_req_userdata(req), node_from_ino(ino), &names);

	reply_value(req, r, &names, size);
}

/* Samba, rsync -X and file managers keep theirs on what they uploaded; ours are not writable by hand. */
static int writable_xattr(const char *name)
{
	if (strncmp(name, "user.", 5) != 0)
		return -EOPNOTSUPP;
	return is_ours(name) ? -EPERM : 0;
}

int upload_setxattr(struct fs *fs, struct node n, const char *name, const char *value, size_t size,
		    int flags)
{
	int r = writable_xattr(name);

	return r < 0 ? r : catalog_xattr_set(fs->parts.catalog, n.id, name, value, size, flags);
}

int upload_removexattr(struct fs *fs, struct node n, const char *name)
{
	int r = writable_xattr(name);

	return r < 0 ? r : catalog_xattr_remove(fs->parts.catalog, n.id, name);
}
