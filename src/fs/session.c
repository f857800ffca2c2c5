/* Every message between libfuse and /dev/fuse passes through here.
 *
 * INIT has to say what libfuse 3.14 cannot: that we hand out backing files.  libfuse 3.17 can, by calls that 3.14 lacks; one way that
 * works with both is less than two.  And a process that takes over a connection has to hear INIT from it, though the kernel says it
 * once and was answered by another: it is read from what that one kept, its reply goes nowhere, and the kernel is asked to send
 * again what the other had not answered. */
#include "passthrough.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Kernel 6.9; the headers of Debian 12 are older. */
#define FLAGS2_DIRECT_MAPS (1U << (36 - 32)) /* kernel 6.6 */
#define FLAGS2_PASSTHROUGH (1U << (37 - 32))
#define FLAGS2_HAS_RESEND (1U << (39 - 32))
#define UNIQUE_RESENT (1ULL << 63)
enum { NOTIFY_RESEND = 7, STACK_DEPTH = 1 };
/* STACK_DEPTH: backing files lie on plain file systems, and an overlayfs may lie on us */

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

/* libfuse handles a request in the thread that read it. */
static _Thread_local bool resent;

bool fs_resent(void)
{
	return resent;
}

/* ---- INIT ---- */
struct init_request {
	struct fuse_in_header head;
	struct fuse_init_in init;
};

/* What the kernel offered in the half of its flags that libfuse 3.14 does not show. */
static uint32_t offered(const struct fs_link *link)
{
	struct init_request in;

	if (link->init_len < sizeof(in))
		return 0;
	memcpy(&in, link->init, sizeof(in));
	return in.init.flags & FUSE_INIT_EXT ? in.init.flags2 : 0;
}

static ssize_t read_init(struct fs_link *link, void *buf, size_t len)
{
	ssize_t n;

	if (link->init_len > len) {
		errno = EIO;
		return -1;
	}
	if (link->init_len) {
		memcpy(buf, link->init, link->init_len);
		return (ssize_t)link->init_len;
	}
	n = read(link->fd, buf, len);
	if (n > 0 && (size_t)n <= sizeof(link->init)) {
		memcpy(link->init, buf, (size_t)n);
		link->init_len = (size_t)n;
	}
	return n;
}

/* What is asked for beyond what libfuse does. */
static uint32_t wanted(const struct fs *fs)
{
	uint32_t flags = offered(fs->link) &
			 (FLAGS2_DIRECT_MAPS | FLAGS2_PASSTHROUGH | FLAGS2_HAS_RESEND);

	return fs->choice.no_passthrough ? flags & ~FLAGS2_PASSTHROUGH : flags;
}

/* Of pictures that nobody has open: little beside the disk, for an eviction does not free them at once. */
static uint64_t keep_bytes(const struct fs *fs)
{
	enum { SHARE = 64 };
	const uint64_t most = UINT64_C(1) << 30;
	uint64_t total = 0, avail;

	fs->parts.space(fs->parts.ghost_user, &total, &avail);
	return total / SHARE < most ? total / SHARE : most;
}

static ssize_t write_init(struct fs *fs, int fd, struct iovec *iov, int count, bool again)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	struct init_reply reply;
	uint32_t flags = wanted(fs);
	ssize_t n = head->len;

	if (head->error || count != 2 || iov[1].iov_len != sizeof(reply.out)) {
		fs->connected = !again && !head->error;
		return again ? n : writev(fd, iov, count);
	}
	reply.head = *head;
	memcpy(&reply.out, iov[1].iov_base, sizeof(reply.out));
	if (!(reply.out.flags & FUSE_INIT_EXT))
		flags = 0;
	if (reply.out.flags & FUSE_MAX_PAGES) /* libfuse takes max_write for reads, too */
		reply.out.max_pages = (uint16_t)(MAX_IO / sysconf(_SC_PAGESIZE));
	reply.out.flags2 |= flags;
	if (flags & FLAGS2_PASSTHROUGH)
		reply.out.max_stack_depth = STACK_DEPTH;
	if (!again)
		n = write(fd, &reply, sizeof(reply));
	fs->connected = n >= 0;
	fs->direct_writes = flags & FLAGS2_DIRECT_MAPS;
	if (n >= 0 && (flags & FLAGS2_PASSTHROUGH))
		passthrough_start(fs->passthrough, fd, keep_bytes(fs));
	return n;
}

/* ---- messages ---- */

/* A process that is killed while the kernel copies a request to it leaves the request to the next one, unless a page of `buf` was
 * missing: the kernel does not bring pages in for the dying, and answers the request with EIO. */
static void make_present(void *buf, size_t len)
{
	static _Thread_local void *present;

	if (buf == present)
		return;
	memset(buf, 0, len);
	present = buf;
}

static ssize_t on_read(int fd, void *buf, size_t len, void *userdata)
{
	struct fs *fs = userdata;
	const struct fuse_in_header *head = buf;
	ssize_t n;

	if (fs->link)
		return read_init(fs->link, buf, len);
	if (len > MAX_REQUEST)
		len = MAX_REQUEST;
	make_present(buf, len);
	do
		n = read(fd, buf, len);
	while (statx_answered(fs, fd, buf, n));
	resent = n >= (ssize_t)sizeof(*head) && (head->unique & UNIQUE_RESENT);
	return n;
}

static enum tell_lane lane_of(const struct iovec *iov, int count)
{
	const struct fuse_out_header *head = iov[0].iov_base;
	const struct fuse_notify_inval_inode_out *inode;

	if (head->error != FUSE_NOTIFY_INVAL_INODE || count < 2)
		return TELL_NAMES;
	inode = iov[1].iov_base;
	return inode->off >= 0 && node_from_ino(inode->ino).kind == NODE_SNAP ? TELL_BYTES
									      : TELL_NAMES;
}

static ssize_t on_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct fs *fs = userdata;
	const struct fuse_out_header *head = iov[0].iov_base;

	if (head->unique) {
		if (fs->link)
			return write_init(fs, fd, iov, count, fs->turned);
		return writev(fd, iov, count);
	}
	teller_say(fs->teller, lane_of(iov, count), iov, count);
	return head->len;
}

/* What was asked of the last one and not answered comes again, and nobody knows what it still wanted to tell. */
static int resend(struct fs *fs, int fd)
{
	const struct fuse_out_header head = {.len = sizeof(head), .error = NOTIFY_RESEND};

	notify_everything(fs->notifier);
	return write(fd, &head, sizeof(head)) < 0 ? -errno : 0;
}

static int hear_init(struct fs *fs, struct fs_link *link)
{
	struct fuse_buf request = {0};
	int r;

	fs->link = link;
	fs->turned = link->init_len > 0;
	do
		r = fuse_session_receive_buf(fs->session, &request);
	while (r == -EINTR);
	if (r > 0)
		fuse_session_process_buf(fs->session, &request);
	fs->link = NULL;
	free(request.mem);
	if (r > 0)
		return fs->connected ? 0 : -EPROTO;
	return r < 0 ? r : -ENODEV;
}

int fs_connect(struct fs *fs, struct fs_link *link)
{
	static const struct fuse_custom_io io = {.read = on_read, .writev = on_writev};
	CLEANUP(closep) int table = TAKE_FD(link->table);
	int fd = link->fd, r = fuse_session_custom_io(fs->session, &io, fd);

	if (r < 0) {
		closep(&link->fd);
		return r;
	}
	(void)fcntl(fd, F_SETFL, 0); /* one that was killed while it ended may have changed that */
	fs->last_handle = HANDLES_OF(link->turn);
	if (!fs->choice.no_passthrough)
		r = passthrough_new(table, &fs->passthrough);
	if (r == 0)
		r = hear_init(fs, link);
	if (r == 0)
		r = teller_start(fs->teller, fd);
	if (r == 0 && fs->turned)
		r = resend(fs, fd);
	link->resends = !fs->choice.no_takeover && (offered(link) & FLAGS2_HAS_RESEND);
	return r;
}
