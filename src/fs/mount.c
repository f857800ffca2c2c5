/* The mount itself, apart from who serves it: its options, its making and its end.
 *
 * libfuse mounts (root by mount(2), others through fusermount3).  The process that holds this keeps the connection open, so the mount
 * outlives those who serve it; it reads no request. */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

struct fs_mount {
	struct fuse_session *session; /* never served from here */
	char *mountpoint;
	int table;           /* passthrough's */
	unsigned connection; /* its number below /sys/fs/fuse; 0: not known */
};

/* ---- options ---- */
/* What mount(8), fstab and systemd put on the line for themselves. */
static bool option_for_others(const char *o)
{
	static const char *const word[] = {
		"auto",     "noauto",     "user",     "users",      "nouser",      "owner",
		"group",    "_netdev",    "nofail",   "defaults",   "sync",        "async",
		"atime",    "noatime",    "relatime", "norelatime", "strictatime", "nostrictatime",
		"diratime", "nodiratime", "lazytime", "nolazytime"};

	if (strncmp(o, "x-", 2) == 0 || strncmp(o, "X-", 2) == 0 || strncmp(o, "comment=", 8) == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (strcmp(o, word[i]) == 0)
			return true;
	return false;
}

static bool option_for_kernel(const char *o)
{
	static const char *const word[] = {"ro",           "rw",
					   "allow_other",  "allow_root",
					   "nosuid",       "suid",
					   "nodev",        "dev",
					   "noexec",       "exec",
					   "debug",        "dirsync",
					   "auto_unmount", "default_permissions"};

	if (strncmp(o, "fsname=", 7) == 0) /* never subtype=: mounts of ours are known by it */
		return true;
	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (strcmp(o, word[i]) == 0)
			return true;
	return false;
}

/* The user's options come last, so that they win over ours. */
static int mount_options(const char *options, struct buf *err, struct buf *out,
			 struct mount_choice *choice)
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
			choice->no_passthrough = true;
			continue;
		}
		if (strcmp(o, "takeover=no") == 0) {
			choice->no_takeover = true;
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

int session_new(const char *options, const struct fuse_lowlevel_ops *ops, void *user,
		struct buf *err, struct fuse_session **ret, struct mount_choice *ret_choice)
{
	CLEANUP(buf_done) struct buf text = BUF(4096);
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	struct mount_choice choice = {0};
	int r = mount_options(options, err, &text, &choice);

	if (r < 0)
		return r;
	if (fuse_opt_add_arg(&args, "shutterfs") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
	    fuse_opt_add_arg(&args, text.data) == 0)
		*ret = fuse_session_new(&args, ops, sizeof(*ops), user);
	fuse_opt_free_args(&args);
	*ret_choice = choice;
	return *ret ? 0 : -EINVAL;
}

/* ---- what a crash left ---- */
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
	struct statfs fs; /* what stat(2) says, the kernel may remember */
	pid_t pid;

	if (!is_ours(mountpoint) || statfs(mountpoint, &fs) == 0 || errno != ENOTCONN)
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

void fs_mount_force(const char *mountpoint)
{
	if (is_ours(mountpoint) && umount2(mountpoint, MNT_FORCE | MNT_DETACH) == 0)
		log_info("cleaning the mount at \"%s\", whose server was killed", mountpoint);
}

/* ---- the mount's life ---- */
/* More than this the kernel would not ask for at once, whatever INIT agrees on; it is looked at when INIT is answered.  Only root may. */
static void raise_readahead(const struct statx *st)
{
	CLEANUP(closep) int fd = -1;
	char path[64], text[16];
	int len = snprintf(text, sizeof(text), "%d\n", MAX_IO / 1024);

	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", st->stx_dev_major,
		       st->stx_dev_minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, text, (size_t)len) < 0)
		log_debug("read-ahead of the mount stays: %s", strerrordesc_np(errno));
}

int fs_mount_open(const char *mountpoint, const char *options, struct buf *err,
		  struct fs_mount **ret)
{
	static const struct fuse_lowlevel_ops nobody;
	struct fs_mount *m = calloc(1, sizeof(*m));
	struct mount_choice choice;
	struct statx st;
	int r;

	if (!m)
		return -ENOMEM;
	m->table = -1;
	m->mountpoint = strdup(mountpoint);
	r = m->mountpoint ? session_new(options, &nobody, NULL, err, &m->session, &choice)
			  : -ENOMEM;
	if (r == 0)
		r = passthrough_table(&m->table);
	if (r == 0) {
		clean_stale(mountpoint);
		r = fuse_session_mount(m->session, mountpoint) != 0 ? -EIO : 0;
	}
	if (r < 0) {
		(void)fs_mount_close(m);
		return r;
	}
	/* AT_STATX_DONT_SYNC: nobody answers yet */
	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) == 0) {
		m->connection = st.stx_dev_minor;
		raise_readahead(&st);
	}
	*ret = m;
	return 0;
}

int fs_mount_fd(const struct fs_mount *m)
{
	return fuse_session_fd(m->session);
}

int fs_mount_table(const struct fs_mount *m)
{
	return m->table;
}

bool fs_mount_gone(const struct fs_mount *m)
{
	struct pollfd p = {.fd = fuse_session_fd(m->session)};

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

void fs_mount_abort(struct fs_mount *m)
{
	CLEANUP(closep) int fd = -1;
	char path[64];

	/* what of it is still mounted has its number */
	if (!m->connection || !is_ours(m->mountpoint))
		return;
	(void)snprintf(path, sizeof(path), "/sys/fs/fuse/connections/%u/abort", m->connection);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "1", 1) < 0)
		log_debug("the connection is not aborted: %s", strerrordesc_np(errno));
}

struct fs_mount *fs_mount_close(struct fs_mount *m)
{
	if (!m)
		return NULL;
	if (m->session) {
		fuse_session_unmount(m->session);
		fuse_session_destroy(m->session);
		clean_stale(m->mountpoint); /* one that was aborted libfuse leaves alone */
	}
	closep(&m->table);
	free(m->mountpoint);
	free(m);
	return NULL;
}
