/* The session with the kernel: mounting, and every message between libfuse and /dev/fuse.
 *
 * libfuse mounts (root by mount(2), others through fusermount3) and speaks the protocol, but its messages pass through here, because
 * INIT has to say what libfuse 3.14 cannot: that we hand out backing files.  libfuse 3.17 can, by calls that 3.14 lacks; one way
 * that works with both is less than two.  Whoever holds the descriptor may give it to a session that did not mount: what such a
 * session must be told first and must not answer goes through the same two functions. */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

/* Kernel 6.9; the headers of Debian 12 are older. */
#define FLAGS2_PASSTHROUGH (1U << (37 - 32))
enum {
	STACK_DEPTH = 1
}; /* backing files lie on plain file systems, and an overlayfs may lie on us */

/* As the kernel has it from 7.40 on: the last two fields were padding before. */
struct init_reply {
	struct fuse_out_header head;
	struct {
		uint32_t major, minor, max_readahead, flags;
		uint16_t max_background, congestion_threshold;
		uint32_t max_write, time_gran;
		uint16_t max_pages, map_alignment;
		uint32_t flags2, max_stack_depth, unused[6];
	} out;
};
_Static_assert(sizeof(struct init_reply) == sizeof(struct fuse_out_header) + 64,
	       "INIT's reply is as the kernel has it");

static void note_init(struct fs *fs, const void *message, size_t len)
{
	const struct fuse_in_header *head = message;
	const struct fuse_init_in *init = (const void *)(head + 1);

	if (len < sizeof(*head) + sizeof(*init) || head->opcode != FUSE_INIT)
		return;
	if ((init->flags & FUSE_INIT_EXT) && (init->flags2 & FLAGS2_PASSTHROUGH))
		fs->init_unique = head->unique;
}

static ssize_t on_read(int fd, void *buf, size_t len, void *userdata)
{
	struct fs *fs = userdata;
	ssize_t n = read(fd, buf, len);

	if (n > 0 && !fs->ready)
		note_init(fs, buf, (size_t)n);
	return n;
}

/* True: *ret is the reply to INIT, with passthrough asked for. */
static bool patched(const struct fs *fs, const struct iovec *iov, int count, struct init_reply *ret)
{
	const struct fuse_out_header *head = iov[0].iov_base;

	if (!fs->init_unique || head->unique != fs->init_unique || head->error || count != 2 ||
	    iov[1].iov_len != sizeof(ret->out))
		return false;
	ret->head = *head;
	memcpy(&ret->out, iov[1].iov_base, sizeof(ret->out));
	if (!(ret->out.flags & FUSE_INIT_EXT))
		return false;
	ret->out.flags2 |= FLAGS2_PASSTHROUGH;
	ret->out.max_stack_depth = STACK_DEPTH;
	return true;
}

static ssize_t on_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fs *fs = userdata;
	const struct fuse_out_header *head = iov[0].iov_base;
	struct init_reply reply;
	ssize_t n;

	if (fs->ready || !head->unique)
		return writev(fd, iov, count);
	if (!fs->passthrough || !patched(fs, iov, count, &reply)) {
		n = writev(fd, iov, count);
	} else {
		n = write(fd, &reply, sizeof(reply));
		if (n >= 0)
			passthrough_start(fs->passthrough, fd);
	}
	fs->ready = n >= 0;
	return n;
}

/* More than this the kernel would not ask for at once, whatever INIT agrees on; it is looked at when INIT is answered.  Only root may. */
static void raise_readahead(const char *mountpoint)
{
	CLEANUP(closep) int fd = -1;
	char path[64], text[16];
	struct statx st;
	int len = snprintf(text, sizeof(text), "%d\n", MAX_IO / 1024);

	/* AT_STATX_DONT_SYNC: nobody answers yet */
	if (statx(AT_FDCWD, mountpoint, AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
		return;
	(void)snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", st.stx_dev_major,
		       st.stx_dev_minor);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, text, (size_t)len) < 0)
		log_debug("read-ahead of the mount stays: %s", strerrordesc_np(errno));
}

int session_mount(struct fs *fs, const char *mountpoint)
{
	static const struct fuse_custom_io io = {.read = on_read, .writev = on_writev};
	int r;

	if (fuse_session_mount(fs->session, mountpoint) != 0)
		return -EIO;
	r = fuse_session_custom_io(fs->session, &io, fuse_session_fd(fs->session));
	if (r < 0) {
		fuse_session_unmount(fs->session);
		return r;
	}
	raise_readahead(mountpoint);
	return 0;
}
