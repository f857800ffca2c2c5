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

int fs_snap_state(struct fs *fs, const struct snap *s, enum snap_state *ret)
{
	if (s->queued > 0)
		*ret = STATE_QUEUED;
	else if (s->replicas == 0)
		*ret = STATE_LOCAL;
	else
		*ret = fetch_is_local(fs->parts.fetch, s) ? STATE_SYNCED : STATE_REMOTE;
	return 0;
}

int fs_sidecar_text(struct fs *fs, int64_t snapshot, struct buf *out)
{
	CLEANUP(sidecar_done) struct sidecar s = {0};
	struct snap snap;
	int r = catalog_snap(fs->parts.catalog, snapshot, &snap);

	if (r == 0)
		r = catalog_sidecar(fs->parts.catalog, snapshot, &s);
	if (r == 0)
		r = fs_snap_state(fs, &snap, &s.state);
	if (r == 0)
		r = sidecar_render(&s, out);
	return r;
}
