/* cmd_umount.c - unmounts, and waits until the program behind the mount has ended: what comes next may need its state. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { END_WAIT_MS = 30000, TABLE_BYTES = 16 * 1024 * 1024 };

/* mountinfo writes blanks, tabs, line ends and backslashes in octal. */
static void unescape(char *text)
{
	char *out = text;

	for (; *text; text++) {
		if (text[0] == '\\' && text[1] && text[2] && text[3]) {
			*out++ = (char)((text[1] - '0') * 64 + (text[2] - '0') * 8 +
					(text[3] - '0'));
			text += 3;
		} else {
			*out++ = *text;
		}
	}
	*out = '\0';
}

bool is_mounted(const char *mountpoint)
{
	CLEANUP(buf_done) struct buf table = BUF(TABLE_BYTES);
	char *save = NULL;
	bool found = false;

	if (read_file(AT_FDCWD, "/proc/self/mountinfo", table.max, &table) < 0 || !table.len)
		return false;
	for (char *line = strtok_r(table.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		char *word, *field_save = NULL, *type = strstr(line, " - ");
		bool ours = type && strncmp(type, " - fuse.shutterfs ", 18) == 0;

		word = strtok_r(line, " ", &field_save);
		for (int i = 0; word && i < 4; i++)
			word = strtok_r(NULL, " ", &field_save);
		if (!word)
			continue;
		unescape(word);
		if (strcmp(word, mountpoint) == 0)
			found = ours; /* the last one is on top */
	}
	return found;
}

/* A descriptor of the program that serves the mount; -1: not known, or gone. */
static int open_server(const char *mountpoint)
{
	CLEANUP(buf_done) struct buf path = BUF(8192);
	CLEANUP(buf_done) struct buf text = BUF(64);
	CLEANUP(buf_done) struct buf comm_path = BUF(64);
	CLEANUP(buf_done) struct buf comm = BUF(64);
	CLEANUP(closep) int fd = -1;
	long pid;

	if (buf_printf(&path, "%s/.shutterfs/pid", mountpoint) < 0 ||
	    read_file(AT_FDCWD, path.data, text.max, &text) < 0 || !text.len)
		return -1;
	pid = strtol(text.data, NULL, 10);
	if (pid <= 0)
		return -1;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	/* in another pid namespace the number would be somebody else's */
	if (fd < 0 || buf_printf(&comm_path, "/proc/%ld/comm", pid) < 0 ||
	    read_file(AT_FDCWD, comm_path.data, comm.max, &comm) < 0 || !comm.data ||
	    !strstr(comm.data, "shutterfs"))
		return -1;
	return TAKE_FD(fd);
}

/* As root directly; others by fusermount3, whose words are shown. */
static int unmount(const char *mountpoint, struct io *io)
{
	pid_t pid;
	int status;

	if (umount2(mountpoint, UMOUNT_NOFOLLOW) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	pid = fork();
	if (pid == 0) {
		(void)execlp("fusermount3", "fusermount3", "-u", "--", mountpoint, (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		return -errno;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		io_err(io, "fusermount3 is not installed (Debian: fuse3)");
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int cmd_umount(const struct args *args, struct io *io)
{
	CLEANUP(freep) char *mountpoint = NULL;
	CLEANUP(closep) int server = -1;
	struct pollfd wait = {.events = POLLIN};
	int r = mountpoint_of(args->operand[0], &mountpoint);

	if (r < 0 || !is_mounted(mountpoint)) {
		io_err(io, "%s is not a mounted shutterfs", args->operand[0]);
		return EXIT_FAILED;
	}
	server = open_server(mountpoint);
	r = unmount(mountpoint, io);
	if (r == -EBUSY)
		io_err(io,
		       "%s is busy: some program has a file or directory of it open (fuser -vm %s shows which)",
		       mountpoint, mountpoint);
	else if (r < 0 && r != -EIO)
		io_err(io, "cannot unmount %s: %s", mountpoint, strerror(-r));
	if (r < 0)
		return EXIT_FAILED;
	wait.fd = server;
	if (server >= 0 && poll(&wait, 1, END_WAIT_MS) == 0) {
		io_err(io, "%s is unmounted, but the program behind it has not ended after %d s",
		       mountpoint, END_WAIT_MS / 1000);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}
