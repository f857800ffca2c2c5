/* statx(2): attributes and the time of birth.  libfuse before 3.18 knows nothing of it, so it is answered before libfuse hears of it. */
#include "nodes.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/fuse.h>

/* Kernel 6.6; the headers of Debian 12 are older. */
enum { OP_STATX = 52, MASK_BASIC = 0x7ff, MASK_BTIME = 0x800 };

struct sx_time {
	int64_t sec;
	uint32_t nsec, unused;
};

struct sx_reply {
	struct fuse_out_header head;
	uint64_t valid;
	uint32_t valid_nsec, flags;
	uint64_t unused[2];
	struct {
		uint32_t mask, blksize;
		uint64_t attributes;
		uint32_t nlink, uid, gid;
		uint16_t mode, unused0;
		uint64_t ino, size, blocks, attributes_mask;
		struct sx_time atime, btime, ctime, mtime;
		uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
		uint64_t unused1[14];
	} out;
};
_Static_assert(sizeof(struct sx_reply) == sizeof(struct fuse_out_header) + 288,
	       "statx's reply is as the kernel has it");

static struct sx_time time_of(struct timespec ts)
{
	return (struct sx_time){.sec = ts.tv_sec, .nsec = (uint32_t)ts.tv_nsec};
}

static void answer(struct fs *fs, int fd, const struct fuse_in_header *head)
{
	struct node n = node_from_ino(head->nodeid);
	struct sx_reply reply = {.head = {.len = sizeof(reply), .unique = head->unique}};
	struct stat st = {0};
	double timeout = 0;
	int r = fs_attr(fs, n, &st, &timeout);

	reply.valid = (uint64_t)timeout;
	reply.out.mask = MASK_BASIC;
	reply.out.blksize = (uint32_t)st.st_blksize;
	reply.out.nlink = (uint32_t)st.st_nlink;
	reply.out.uid = st.st_uid;
	reply.out.gid = st.st_gid;
	reply.out.mode = (uint16_t)st.st_mode;
	reply.out.ino = st.st_ino;
	reply.out.size = (uint64_t)st.st_size;
	reply.out.blocks = (uint64_t)st.st_blocks;
	reply.out.atime = time_of(st.st_atim);
	reply.out.ctime = time_of(st.st_ctim);
	reply.out.mtime = time_of(st.st_mtim);
	if (n.kind == NODE_SNAP) { /* registered once, and nothing of its inode changes later */
		reply.out.mask |= MASK_BTIME;
		reply.out.btime = reply.out.ctime;
	}
	if (r < 0) {
		reply.head.len = sizeof(reply.head);
		reply.head.error = -fs_errno(r);
	}
	(void)!write(fd, &reply, reply.head.len); /* ENOENT: who asked has been interrupted */
}

bool statx_answered(struct fs *fs, int fd, const void *request, ssize_t len)
{
	const struct fuse_in_header *head = request;
	int cancel;

	if (len < (ssize_t)sizeof(*head) || head->opcode != OP_STATX)
		return false;
	/* libfuse ends its threads while they wait for a request; here they may hold a lock. */
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	answer(fs, fd, head);
	(void)pthread_setcancelstate(cancel, &cancel);
	return true;
}
