/* Serving a mount: what is asked of the kernel, the loop, the end. */
#include "nodes.h"
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOP_THREADS = 16 };

#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
static void want(struct fuse_conn_info *conn, uint64_t flags)
{
	(void)fuse_set_feature_flag(conn, flags);
}

static void refuse(struct fuse_conn_info *conn, uint64_t flags)
{
	fuse_unset_feature_flag(conn, flags);
}
#else
static void want(struct fuse_conn_info *conn, unsigned flags)
{
	conn->want |= conn->capable & flags;
}

static void refuse(struct fuse_conn_info *conn, unsigned flags)
{
	conn->want &= ~flags;
}
#endif

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	static const unsigned wanted[] = {
		FUSE_CAP_READDIRPLUS,    FUSE_CAP_EXPLICIT_INVAL_DATA, FUSE_CAP_PARALLEL_DIROPS,
		FUSE_CAP_ATOMIC_O_TRUNC, FUSE_CAP_EXPORT_SUPPORT,
	};

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		want(conn, wanted[i]);
	/* With cached listings, AUTO costs a lookup per file; the feed does what AUTO_INVAL_DATA would. */
	refuse(conn, FUSE_CAP_READDIRPLUS_AUTO);
	refuse(conn, FUSE_CAP_AUTO_INVAL_DATA);
	refuse(conn, FUSE_CAP_WRITEBACK_CACHE); /* it would defer a full disk past close */
	/* Who waits for a request in the background does not hear of signals: Ctrl-C would wait for the network. */
	refuse(conn, FUSE_CAP_ASYNC_READ);
	refuse(conn, FUSE_CAP_ASYNC_DIO);
	refuse(conn, FUSE_CAP_HANDLE_KILLPRIV); /* the kernel clears setuid bits by setattr */
	conn->max_readahead = MAX_IO;
	conn->max_read = MAX_IO;
	conn->max_write = MAX_WRITE;
	conn->max_background = 64;
	conn->congestion_threshold = 48;
	conn->time_gran = 1;
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	fuse_reply_none(req); /* numbers carry their meaning: there is nothing to forget */
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	fuse_reply_none(req);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.setxattr = op_setxattr,
	.getxattr = op_getxattr,
	.listxattr = op_listxattr,
	.removexattr = op_removexattr,
	.create = op_create,
};

void fs_became_local(struct fs *fs, int64_t snapshot)
{
	notify_became_local(fs->notifier, snapshot);
}

int fs_new(const struct fs_parts *parts, const char *options, struct buf *err, struct fs **ret)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int r;

	if (!fs)
		return -ENOMEM;
	*fs = (struct fs){
		.parts = *parts, .uid = getuid(), .gid = getgid(), .mounted_us = now_us()};
	pthread_mutex_init(&fs->lock, NULL);
	pthread_mutex_init(&fs->handle_lock, NULL);
	walks_init(&fs->walks);
	pthread_cond_init(&fs->idle, NULL);
	r = session_new(options, &ops, fs, err, &fs->session, &fs->choice);
	if (r == 0)
		r = teller_new(&fs->teller);
	if (r == 0) /* its thread runs at once, and speaks through the teller */
		r = notifier_new(fs, &fs->notifier);
	if (r == 0)
		ingest_set_annex(fs->parts.ingest, &label_annex, fs);
	if (r < 0) {
		(void)fs_free(fs);
		return r;
	}
	*ret = fs;
	return 0;
}

/* A notification may wait for a directory that is locked until a request in it is answered. */
static void serve_until_notified(struct fs *fs)
{
	struct pollfd p = {.fd = fuse_session_fd(fs->session), .events = POLLIN};
	struct fuse_buf request = {0};

	(void)fcntl(p.fd, F_SETFL, O_NONBLOCK); /* what was there may be gone when it is read */
	while (!notifier_stopped(fs->notifier) || !teller_stopped(fs->teller)) {
		if (poll(&p, 1, 5) < 0 || (p.revents & ~POLLIN))
			break; /* no connection: nothing waits */
		if (p.revents && fuse_session_receive_buf(fs->session, &request) > 0)
			fuse_session_process_buf(fs->session, &request);
	}
	free(request.mem);
}

/* Whoever waits is told, the notifier stops, and what was still open is closed: in this order, and before the rooms below end, since
 * open uploads are theirs.  The mount itself is its keeper's. */
static void fs_end(struct fs *fs)
{
	if (fs->over)
		return;
	fs->over = true;
	parked_end(fs);
	if (fs->notifier)
		notifier_stop(fs->notifier);
	if (fs->teller)
		teller_stop(fs->teller);
	if (fs->connected)
		serve_until_notified(fs);
	handles_end(fs);
	rendered_end(fs);
}

int fs_loop(struct fs *fs)
{
	struct fuse_loop_config *conf = fuse_loop_cfg_create();
	int r;

	if (!conf)
		return -ENOMEM;
	fuse_loop_cfg_set_max_threads(conf, LOOP_THREADS);
	fuse_loop_cfg_set_idle_threads(conf, LOOP_THREADS);
	fuse_loop_cfg_set_clone_fd(conf, 0);
	r = fuse_session_loop_mt(fs->session, conf);
	fuse_loop_cfg_destroy(conf);
	fs_end(fs);
	return r < 0 ? r : 0;
}

void fs_stop(struct fs *fs)
{
	fuse_session_exit(fs->session);
}

struct fs *fs_free(struct fs *fs)
{
	if (!fs)
		return NULL;
	fs_end(fs);
	fs->notifier = notifier_free(fs->notifier);
	fs->teller = teller_free(fs->teller);
	if (fs->session)
		fuse_session_destroy(fs->session);
	fs->passthrough = passthrough_free(fs->passthrough);
	pthread_cond_destroy(&fs->idle);
	walks_done(&fs->walks);
	pthread_mutex_destroy(&fs->handle_lock);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
	return NULL;
}

const char *fs_read_path(const struct fs *fs)
{
	return passthrough_works(fs->passthrough) ? "passthrough" : "kernel cache";
}
