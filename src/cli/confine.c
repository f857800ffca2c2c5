/* confine.c - a worker can reach its own files and what the C library needs, whatever it may be talked into.
 *
 * Landlock's words are spelled out, since the headers of Debian 12 lack them.  It binds this thread and those made later, so it comes
 * before the rooms.  Running other programs is not handled: they are bound in the same way. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SYS_CREATE_RULESET = 444, SYS_ADD_RULE = 445, SYS_RESTRICT_SELF = 446 };
enum { GET_VERSION = 1, RULE_PATH = 1 };
enum { ABI_REFER = 2, ABI_TRUNCATE = 3 };
enum access {
	WRITE_FILE = 1 << 1,
	READ_FILE = 1 << 2,
	READ_DIR = 1 << 3,
	REMOVE_DIR = 1 << 4,
	REMOVE_FILE = 1 << 5,
	MAKE_CHAR = 1 << 6,
	MAKE_DIR = 1 << 7,
	MAKE_REG = 1 << 8,
	MAKE_SOCK = 1 << 9,
	MAKE_FIFO = 1 << 10,
	MAKE_BLOCK = 1 << 11,
	MAKE_SYM = 1 << 12,
	REFER = 1 << 13, /* link and rename between directories */
	TRUNCATE = 1 << 14,
	LOOK = READ_FILE | READ_DIR,
	OWN = LOOK | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SOCK |
	      MAKE_SYM | REFER | TRUNCATE,
	OF_FILES = WRITE_FILE | READ_FILE | TRUNCATE,
	HANDLED = OWN | MAKE_CHAR | MAKE_FIFO | MAKE_BLOCK,
};
struct path_rule {
	uint64_t access;
	int32_t parent;
} __attribute__((packed));

struct cage {
	int ruleset;
	uint64_t handled;
};

/* What is not there needs no rule. */
static int allow(const struct cage *c, const char *path, uint64_t access)
{
	CLEANUP(closep) int fd = path && path[0] ? open(path, O_PATH | O_CLOEXEC) : -1;
	struct path_rule rule = {.access = access & c->handled, .parent = fd};
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return 0;
	if (!S_ISDIR(st.st_mode))
		rule.access &= OF_FILES;
	return syscall(SYS_ADD_RULE, c->ruleset, RULE_PATH, &rule, 0) < 0 ? -errno : 0;
}

/* A directory of its own is made first: rules are about what is there. */
static int allow_own(const struct cage *c, const char *path, mode_t mode)
{
	(void)!make_dirs(path, mode); /* whoever opens it says why not */
	return allow(c, path, OWN);
}

static int allow_machine(const struct cage *c)
{
	/* names of hosts, certificates, time zones, the C library's modules; who we are */
	static const char *const look[] = {"/etc",
					   "/usr",
					   "/lib",
					   "/lib64",
					   "/dev",
					   "/proc",
					   "/run/systemd/resolve",
					   "/run/resolvconf",
					   "/run/NetworkManager"};
	static const char *const named[] = {"TZDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"};
	int r = allow(c, "/dev/null", READ_FILE | WRITE_FILE);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(look); i++)
		r = allow(c, look[i], LOOK);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(named); i++)
		r = allow(c, getenv(named[i]), LOOK);
	if (r == 0) /* it starts itself again, to read pictures */
		r = allow(c, "/proc/self/exe", READ_FILE);
#ifdef SANITIZED
	if (r == 0)
		r = allow(c, getenv("SANITIZER_REPORTS"), OWN);
#endif
	return r;
}

static int allow_all(const struct cage *c, const struct config *conf)
{
	int r = allow_own(c, conf->state, 0700);

	if (r == 0)
		r = allow_own(c, conf->cache, 0700);
	for (size_t i = 0; r == 0 && i < conf->n_stores; i++)
		if (conf->store[i].path)
			r = allow_own(c, conf->store[i].path, 0777);
	return r < 0 ? r : allow_machine(c);
}

static int enter(const struct config *conf, long abi)
{
	CLEANUP(closep) int ruleset = -1;
	struct cage c = {.handled = abi < ABI_TRUNCATE ? HANDLED & ~TRUNCATE : HANDLED};
	int r;

	ruleset = (int)syscall(SYS_CREATE_RULESET, &c.handled, sizeof(c.handled), 0);
	if (ruleset < 0)
		return -errno;
	c.ruleset = ruleset;
	r = allow_all(&c, conf);
	return r == 0 && syscall(SYS_RESTRICT_SELF, ruleset, 0) < 0 ? -errno : r;
}

bool confine(const struct config *conf, char why[CONFINED_TEXT])
{
	long abi;
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		(void)snprintf(why, CONFINED_TEXT, "%s", strerrordesc_np(errno));
		return false;
	}
	abi = syscall(SYS_CREATE_RULESET, NULL, 0, GET_VERSION);
	if (abi < ABI_REFER) { /* the first could not rename between directories */
		(void)snprintf(why, CONFINED_TEXT,
			       "this kernel has no Landlock, or it is switched off");
		return false;
	}
	r = enter(conf, abi);
	if (r < 0)
		(void)snprintf(why, CONFINED_TEXT, "Landlock: %s", strerrordesc_np(-r));
	else
		(void)snprintf(why, CONFINED_TEXT, "Landlock %ld", abi);
	return r == 0;
}
