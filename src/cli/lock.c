/* lock.c - one process at a time has a state directory: flock on <state>/lock, which says who. */
#include "app.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOCK_BYTES = 8192, ENDING_MS = 5000, FORCE_AT_MS = 4000, LOOK_MS = 20 };

void lock_owner_done(struct lock_owner *o)
{
	free(o->mountpoint);
	*o = (struct lock_owner){0};
}

static int open_state(const char *state, int *ret)
{
	int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret = fd;
	return 0;
}

static int read_owner(int dirfd, struct lock_owner *ret)
{
	CLEANUP(buf_done) struct buf text = BUF(LOCK_BYTES);
	struct lock_owner o = {0};
	char *line;
	int r = read_file(dirfd, "lock", LOCK_BYTES, &text);

	if (r < 0)
		return r;
	if (text.len)
		o.pid = strtol(text.data, &line, 10);
	if (text.len && *line == '\n' && line[1] && line[1] != '\n') {
		line[1 + strcspn(line + 1, "\n")] = '\0';
		o.mountpoint = strdup(line + 1);
		if (!o.mountpoint)
			return -ENOMEM;
	}
	*ret = o;
	return 0;
}

int state_lock_owner(const char *state, struct lock_owner *ret)
{
	CLEANUP(closep) int dir = -1;
	int r = open_state(state, &dir);

	return r < 0 ? r : read_owner(dir, ret);
}

static int write_owner(int fd, const char *mountpoint)
{
	CLEANUP(buf_done) struct buf text = BUF(LOCK_BYTES);
	int r = buf_printf(&text, "%ld\n%s\n", (long)getpid(), mountpoint ? mountpoint : "");

	if (r == 0 && ftruncate(fd, 0) < 0)
		r = -errno;
	return r < 0 ? r : write_all(fd, text.data, text.len);
}

bool state_lock_is_of(int fd, const char *state)
{
	CLEANUP(closep) int dir = -1;
	struct stat mine, theirs;

	return open_state(state, &dir) == 0 && fstat(fd, &mine) == 0 &&
	       fstatat(dir, "lock", &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	       mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
}

static bool is_gone(const struct lock_owner *o)
{
	return o->pid > 0 && kill((pid_t)o->pid, 0) < 0 && errno == ESRCH;
}

/* Who took the lock may be killed a moment before the worker that shares it: that is waited for.  One that was telling the kernel
 * something about a directory, while a program was changing that directory, cannot end before the program is answered. */
static int take(int fd, int dir, struct lock_owner *ret_owner)
{
	CLEANUP(lock_owner_done) struct lock_owner owner = {0};

	for (int left = ENDING_MS; flock(fd, LOCK_EX | LOCK_NB) < 0; left -= LOOK_MS) {
		if (errno != EWOULDBLOCK)
			return -errno;
		lock_owner_done(&owner);
		(void)!read_owner(dir, &owner); /* says less when it cannot be read */
		if (left <= 0 || !is_gone(&owner)) {
			*ret_owner = owner;
			owner = (struct lock_owner){0};
			return -EBUSY;
		}
		if (left == FORCE_AT_MS && owner.mountpoint)
			fs_mount_force(owner.mountpoint);
		(void)nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL);
	}
	return 0;
}

int state_lock(const char *state, const char *mountpoint, int *ret_fd, struct lock_owner *ret_owner)
{
	CLEANUP(closep) int dir = -1;
	CLEANUP(closep) int fd = -1;
	int r = make_dirs(state, 0700);

	if (r == 0)
		r = open_state(state, &dir);
	if (r < 0)
		return r;
	fd = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = take(fd, dir, ret_owner);
	if (r == 0)
		r = write_owner(fd, mountpoint);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int state_lock_or_say(const char *state, const char *mountpoint, struct buf *err, int *ret_fd)
{
	CLEANUP(lock_owner_done) struct lock_owner owner = {0};
	int r = state_lock(state, mountpoint, ret_fd, &owner);

	/* The kernel may not let a thread of it go. */
	if (r == -EBUSY && is_gone(&owner) && owner.mountpoint)
		(void)buf_printf(err,
				 "shutterfs at %s (pid %ld) was killed and cannot end: "
				 "programs wait in it; end them, or: umount -f %s\n",
				 owner.mountpoint, owner.pid, owner.mountpoint);
	else if (r == -EBUSY)
		(void)buf_printf(err, "another shutterfs uses %s (pid %ld)%s\n", state, owner.pid,
				 mountpoint ? "; is it mounted already?" : "");
	else if (r < 0)
		(void)buf_printf(err, "cannot use the state directory %s: %s%s\n", state,
				 strerror(-r), disk_advice(r));
	return r;
}
