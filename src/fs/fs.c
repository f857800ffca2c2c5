/* The mount's life: options, session, loop, end. */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
	conn->max_write = MAX_IO;
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

/* What mount(8), fstab and systemd put on the line for themselves. */
static bool option_for_others(const char *o)
{
	static const char *const word[] = {"rw",         "auto",        "noauto",        "user",
					   "users",      "nouser",      "owner",         "group",
					   "_netdev",    "nofail",      "defaults",      "sync",
					   "async",      "atime",       "noatime",       "relatime",
					   "norelatime", "strictatime", "nostrictatime", "diratime",
					   "nodiratime", "lazytime",    "nolazytime"};

	if (strncmp(o, "x-", 2) == 0 || strncmp(o, "X-", 2) == 0 || strncmp(o, "comment=", 8) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (strcmp(o, word[i]) == 0)
			return true;
	return false;
}

static bool option_for_kernel(const char *o)
{
	static const char *const word[] = {"ro",
					   "allow_other",
					   "allow_root",
					   "nosuid",
					   "suid",
					   "nodev",
					   "dev",
					   "noexec",
					   "exec",
					   "debug",
					   "dirsync",
					   "auto_unmount",
					   "default_permissions"};

	if (strncmp(o, "fsname=", 7) == 0 || strncmp(o, "subtype=", 8) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (strcmp(o, word[i]) == 0)
			return true;
	return false;
}

/* The user's options come last, so that they win over ours. */
static int mount_options(const char *options, struct buf *err, struct buf *out,
			 bool *ret_passthrough)
{
	CLEANUP(freep) char *copy = strdup(options ? options : "");
	char *save = NULL;

	if (!copy)
		return -ENOMEM;
	(void)buf_printf(
		out,
		"fsname=shutterfs,subtype=shutterfs,default_permissions,nosuid,nodev,max_read=%d",
		MAX_IO);
	for (char *o = strtok_r(copy, ",", &save); o; o = strtok_r(NULL, ",", &save)) {
		if (option_for_others(o))
			continue;
		if (strcmp(o, "passthrough=no") == 0) {
			*ret_passthrough = false;
			continue;
		}
		if (!option_for_kernel(o)) {
			(void)buf_printf(err, "unknown mount option \"%s\"\n", o);
			return -EINVAL;
		}
		(void)buf_printf(out, ",%s", o);
	}
	return out->error;
}

void fs_became_local(struct fs *fs, int64_t snapshot)
{
	notify_became_local(fs->notifier, snapshot);
}

int fs_new(const struct fs_parts *parts, const char *options, struct buf *err, struct fs **ret)
{
	CLEANUP(buf_done) struct buf text = BUF(4096);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct fs *fs = calloc(1, sizeof(*fs));
	bool passthrough = true;
	int r = fs ? mount_options(options, err, &text, &passthrough) : -ENOMEM;

	if (r < 0) {
		free(fs);
		return r;
	}
	*fs = (struct fs){
		.parts = *parts, .uid = getuid(), .gid = getgid(), .mounted_us = now_us()};
	pthread_mutex_init(&fs->lock, NULL);
	pthread_cond_init(&fs->idle, NULL);
	if (fuse_opt_add_arg(&args, "shutterfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
	    fuse_opt_add_arg(&args, text.data) == 0)
		fs->session = fuse_session_new(&args, &ops, sizeof(ops), fs);
	fuse_opt_free_args(&args);
	r = fs->session ? notifier_new(fs, &fs->notifier) : -EINVAL;
	if (r == 0 && passthrough)
		r = passthrough_new(&fs->passthrough);
	if (r < 0) {
		(void)fs_free(fs);
		return r;
	}
	*ret = fs;
	return 0;
}

/* As the kernel writes a path in mountinfo. */
static void mountinfo_path(const char *path, struct buf *out)
{
	for (; *path; path++)
		(void)(strchr(" \t\n\\#", *path) ? buf_printf(out, "\\%03o", (unsigned char)*path)
						 : buf_add(out, path, 1));
}

static bool is_ours(const char *mountpoint)
{
	CLEANUP(buf_done) struct buf table = BUF(4 * 1024 * 1024);
	CLEANUP(buf_done) struct buf want = BUF(8192);
	bool ours = false;
	char *save = NULL;

	(void)buf_str(&want, " ");
	mountinfo_path(mountpoint, &want);
	(void)buf_str(&want, " ");
	if (want.error || read_file(AT_FDCWD, "/proc/self/mountinfo", table.max, &table) < 0)
		return false;
	/* The last of several is the one that is seen. */
	for (char *line = strtok_r(table.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save))
		if (strstr(line, want.data))
			ours = strstr(line, " - fuse.shutterfs ");
	return ours;
}

/* A mount of ours whose server died answers ENOTCONN to everything; take it away, never anybody else's. */
static void clean_stale(const char *mountpoint)
{
	struct stat st;
	pid_t pid;

	if (stat(mountpoint, &st) == 0 || errno != ENOTCONN || !is_ours(mountpoint))
		return;
	log_info("cleaning the stale mount at \"%s\"", mountpoint);
	if (umount2(mountpoint, MNT_DETACH) == 0)
		return;
	pid = fork();
	if (pid == 0) {
		(void)execlp("fusermount3", "fusermount3", "-u", "-z", "--", mountpoint,
			     (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
}

int fs_mount(struct fs *fs, const char *mountpoint, struct buf *err)
{
	clean_stale(mountpoint);
	CLEANUP(freep) char *copy = strdup(mountpoint);

	if (!copy)
		return -ENOMEM;
	if (session_mount(fs, mountpoint) < 0) {
		(void)buf_printf(
			err,
			"cannot mount at \"%s\": is it an empty directory of yours, is /dev/fuse there, is fuse3 installed?\n",
			mountpoint);
		return -EIO;
	}
	fs->mountpoint = TAKE(copy);
	return 0;
}

/* A notification may wait for a directory that is locked until a request in it is answered. */
static void serve_until_notified(struct fs *fs)
{
	struct pollfd p = {.fd = fuse_session_fd(fs->session), .events = POLLIN};
	struct fuse_buf request = {0};

	(void)fcntl(p.fd, F_SETFL, O_NONBLOCK); /* what was there may be gone when it is read */
	while (!notifier_stopped(fs->notifier)) {
		if (poll(&p, 1, 5) < 0 || (p.revents & ~POLLIN))
			break; /* no connection: nothing waits */
		if (p.revents && fuse_session_receive_buf(fs->session, &request) > 0)
			fuse_session_process_buf(fs->session, &request);
	}
	free(request.mem);
}

/* Whoever waits is told, the notifier stops, the kernel lets go, and what was still open is closed: in this order, and before
 * the rooms below end, since open uploads are theirs. */
static void fs_end(struct fs *fs)
{
	if (fs->over)
		return;
	fs->over = true;
	parked_end(fs);
	if (fs->notifier)
		notifier_stop(fs->notifier);
	if (fs->mountpoint) {
		serve_until_notified(fs);
		fuse_session_unmount(fs->session);
	}
	handles_end(fs);
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
	if (fs->session)
		fuse_session_destroy(fs->session);
	fs->passthrough = passthrough_free(fs->passthrough);
	pthread_cond_destroy(&fs->idle);
	pthread_mutex_destroy(&fs->lock);
	free(fs->mountpoint);
	free(fs);
	return NULL;
}

const char *fs_read_path(const struct fs *fs)
{
	return passthrough_works(fs->passthrough) ? "passthrough" : "kernel cache";
}
