/* bare.c - the least that a FUSE mount of local files can cost: each file of one directory is opened by one message, read by the
 * kernel from the file that holds its bytes, and released by another.  No names but these, nothing is looked up, nothing can fail.
 *
 *   bench-bare DIRECTORY MOUNTPOINT      as root, Linux 6.9 or later; ends when it is unmounted
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shutterfs/base.h"

enum {
	THREADS = 16,
	REQUEST_MAX = 1 << 17,
	FILES_MAX = 100000,
	FIRST_INO = 2,
	KEEP_S = 86400,
	/* Kernel 6.9; the headers of Debian 12 are older. */
	OPEN_PASSTHROUGH = 1 << 7,
	FLAGS2_PASSTHROUGH = 1 << (37 - 32),
	MINOR = 40,
};

struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)

struct open_reply {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

struct init_reply {
	uint32_t major, minor, max_readahead, flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write, time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2, max_stack_depth, unused[6];
};

static struct file {
	char *name;
	struct stat st;
	int32_t backing;
} * file; /* by name; nothing of it changes while it is served */
static size_t n_files;
static int fuse;

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct file *)a)->name, ((const struct file *)b)->name);
}

static void reply(const struct fuse_in_header *in, int error, const void *data, size_t len)
{
	struct fuse_out_header head = {
		.len = (uint32_t)(sizeof(head) + len), .error = error, .unique = in->unique};
	char message[sizeof(head) + 256];

	memcpy(message, &head, sizeof(head));
	if (len)
		memcpy(message + sizeof(head), data, len);
	(void)!write(fuse, message, head.len); /* whoever asked was interrupted: fine */
}

static struct fuse_attr attr_of(uint64_t ino)
{
	struct fuse_attr a = {.ino = ino, .mode = S_IFDIR | 0755, .nlink = 1, .blksize = 4096};

	if (ino < FIRST_INO || ino - FIRST_INO >= n_files)
		return a;
	const struct stat *st = &file[ino - FIRST_INO].st;

	a.mode = S_IFREG | 0644;
	a.size = (uint64_t)st->st_size;
	a.blocks = (uint64_t)st->st_blocks;
	return a;
}

static void lookup(const struct fuse_in_header *in, char *name)
{
	const struct file key = {.name = name};
	const struct file *f = bsearch(&key, file, n_files, sizeof(*file), by_name);
	struct fuse_entry_out entry = {.entry_valid = KEEP_S, .attr_valid = KEEP_S};

	if (!f) {
		reply(in, -ENOENT, NULL, 0);
		return;
	}
	entry.nodeid = (uint64_t)(f - file) + FIRST_INO;
	entry.attr = attr_of(entry.nodeid);
	reply(in, 0, &entry, sizeof(entry));
}

static void answer(const struct fuse_in_header *in)
{
	struct fuse_attr_out attr = {.attr_valid = KEEP_S, .attr = attr_of(in->nodeid)};
	struct open_reply open = {.open_flags = OPEN_PASSTHROUGH | FOPEN_NOFLUSH};

	switch (in->opcode) {
	case FUSE_LOOKUP:
		lookup(in, (char *)(in + 1));
		break;
	case FUSE_GETATTR:
		reply(in, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		open.backing_id = file[(in->nodeid - FIRST_INO) % n_files].backing;
		reply(in, 0, &open, sizeof(open));
		break;
	case FUSE_RELEASE:
		reply(in, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break;
	default:
		reply(in, -ENOSYS, NULL, 0);
	}
}

static void *serve(void *arg)
{
	char *request = malloc(REQUEST_MAX);

	while (request) {
		ssize_t n = read(fuse, request, REQUEST_MAX - 1);

		if (n < 0 && errno == ENODEV) /* unmounted */
			break;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			continue;
		request[n] = '\0';
		answer((const struct fuse_in_header *)(const void *)request);
	}
	free(request);
	return arg;
}

static int hold(struct file *f, int dir)
{
	CLEANUP(closep) int fd = openat(dir, f->name, O_RDONLY | O_CLOEXEC);
	struct backing_map map = {.fd = fd};

	if (fd < 0 || fstat(fd, &f->st) < 0)
		return -errno;
	f->backing = ioctl(fuse, BACKING_OPEN, &map);
	return f->backing < 0 ? -errno : 0;
}

static int load(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int r = 0;

	file = calloc(FILES_MAX, sizeof(*file));
	if (!dir || !file)
		return -errno;
	while (r == 0 && n_files < FILES_MAX && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		file[n_files].name = strdup(entry->d_name);
		r = file[n_files].name ? hold(&file[n_files], dirfd(dir)) : -ENOMEM;
		n_files++;
	}
	(void)closedir(dir);
	qsort(file, n_files, sizeof(*file), by_name);
	return n_files ? r : -ENOENT;
}

static int connect_kernel(const char *mountpoint)
{
	const struct init_reply init = {.major = FUSE_KERNEL_VERSION,
					.minor = MINOR,
					.flags = FUSE_INIT_EXT | FUSE_PARALLEL_DIROPS,
					.max_background = 64,
					.congestion_threshold = 48,
					.max_write = 4096,
					.time_gran = 1,
					.flags2 = FLAGS2_PASSTHROUGH,
					.max_stack_depth = 1};
	static char request[REQUEST_MAX];
	char options[128];

	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	(void)snprintf(options, sizeof(options),
		       "fd=%d,rootmode=40000,user_id=0,group_id=0,default_permissions", fuse);
	if (fuse < 0 || mount("bare", mountpoint, "fuse.bare", MS_NOSUID | MS_NODEV, options) < 0 ||
	    read(fuse, request, sizeof(request)) < 0)
		return -errno;
	reply((const struct fuse_in_header *)(const void *)request, 0, &init, sizeof(init));
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t thread[THREADS];
	size_t started = 0;
	int r = argc == 3 ? connect_kernel(argv[2]) : -EINVAL;

	if (r == 0)
		r = load(argv[1]);
	while (r == 0 && started < THREADS)
		r = -pthread_create(&thread[started++], NULL, serve, NULL);
	if (r < 0) {
		(void)fprintf(stderr, "bench-bare: %s\n", strerror(-r));
		if (argc == 3)
			(void)umount2(argv[2], MNT_DETACH);
		return 1;
	}
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(thread[i], NULL);
	return 0;
}
