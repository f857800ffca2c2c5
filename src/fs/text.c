/* Files that are rendered when they are asked for: sidecars and the files of .shutterfs/. */
#include "fs_private.h"

#include "shutterfs/codec.h"

#include <errno.h>

bool fs_sidecars_shown(const struct fs *fs)
{
	return fs->parts.sidecars != SIDECARS_OFF;
}

bool fs_sidecars_listed(const struct fs *fs, struct node dir)
{
	switch (fs->parts.sidecars) {
	case SIDECARS_LIST:
		return true;
	case SIDECARS_DEFAULT: /* image loaders trip over them elsewhere */
		return dir.kind == NODE_CAMERA_DAY;
	default:
		return false;
	}
}

const struct fs_ghost_file *fs_ghost(const struct fs *fs, int64_t index)
{
	for (int64_t i = 0; fs->parts.ghost[i].name; i++)
		if (i == index)
			return &fs->parts.ghost[i];
	return NULL;
}

enum snap_state fs_snap_state(struct fs *fs, const struct snap *s)
{
	if (s->queued > 0)
		return STATE_QUEUED;
	if (s->replicas == 0)
		return STATE_LOCAL;
	return fetch_is_local(fs->parts.fetch, s) ? STATE_SYNCED : STATE_REMOTE;
}

int fs_sidecar_text(struct fs *fs, const struct snap *snap, struct buf *out,
		    int64_t *ret_changed_us)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct node n = {.kind = NODE_SIDECAR, .id = snap->id};
	int64_t changed_us = snap->changed_us;
	/* What was written there and could not be understood is what is read. */
	int r = catalog_draft(fs->parts.catalog, (int64_t)node_ino(n), &changed_us, NULL, out);

	if (r == -ENOENT) {
		r = catalog_sidecar(fs->parts.catalog, snap->id, &s);
		if (r == 0) {
			s.state = fs_snap_state(fs, snap);
			r = sidecar_render(&s, out);
		}
	}
	if (r == 0 && ret_changed_us)
		*ret_changed_us = changed_us;
	return r;
}
