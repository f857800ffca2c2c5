/* cmd_mount.c - `mount`: the process that was called waits until the mount is up; a child of it, or itself with -f, supervises it.
 *
 * Until the mount is up, its errors go to this terminal. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TAKEOVER_WAIT_US (8 * 1000000LL)

/* A mount whose server died answers ENOTCONN: then its parent is resolved, and its name added. */
int mountpoint_of(const char *typed, char **ret)
{
	CLEANUP(freep) char *copy = strdup(typed);
	CLEANUP(freep) char *parent = NULL;
	char *slash;

	if (!copy)
		return -ENOMEM;
	*ret = realpath(typed, NULL);
	if (*ret)
		return 0;
	if (errno != ENOTCONN)
		return -errno;
	while ((slash = strrchr(copy, '/')) && slash > copy && !slash[1])
		*slash = '\0';
	if (slash)
		*slash = '\0';
	parent = realpath(slash ? (slash == copy ? "/" : copy) : ".", NULL);
	if (!parent)
		return -errno;
	return asprintf(ret, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent,
			slash ? slash + 1 : copy) < 0
		       ? -ENOMEM
		       : 0;
}

/* A mount that ends, or a verb that works without one, still has the state for a moment. */
static int take_state(const char *state, const char *mountpoint, struct io *io, int *ret_fd)
{
	int64_t until = mono_us() + TAKEOVER_WAIT_US;

	for (;;) {
		CLEANUP(buf_done) struct buf err = BUF(65536);
		int r = state_lock_or_say(state, mountpoint, &err, ret_fd);

		if (r != -EBUSY || client_probe(state) == 0 || mono_us() > until) {
			if (r < 0)
				io_err(io, "%s", err.data);
			return r;
		}
		(void)usleep(50000);
	}
}

static int supervise_here(struct supervised *what, const char *state)
{
	CLEANUP(closep) int lock = -1;

	hide_memory();
	if (take_state(state, what->mountpoint, what->io, &lock) < 0) {
		closep(&what->told_fd);
		return EXIT_FAILED;
	}
	what->lock_fd = lock;
	return supervise(what);
}

/* ---- the process that was called ---- */
static int wait_mounted(pid_t pid, int fd, struct io *io)
{
	char byte;
	ssize_t n;
	int status;

	do
		n = read(fd, &byte, 1);
	while (n < 0 && errno == EINTR && !io_cancelled(io));
	if (n == 1)
		return EXIT_DONE;
	if (n < 0) /* Ctrl-C: the supervisor is in a session of its own and would go on */
		(void)kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) && WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

static int run_forked(struct supervised *what, const char *state)
{
	CLEANUP(closep) int in = -1;
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0) {
		io_err(what->io, "cannot start: %s", strerror(errno));
		return EXIT_FAILED;
	}
	in = ends[0];
	pid = fork();
	if (pid != 0) {
		(void)close(ends[1]);
		if (pid > 0)
			return wait_mounted(pid, in, what->io);
		io_err(what->io, "cannot start: %s", strerror(errno));
		return EXIT_FAILED;
	}
	(void)setsid();
	(void)!chdir("/");
	what->told_fd = ends[1];
	return supervise_here(what, state);
}

static int mount_at(const struct args *args, const char *state, const char *mountpoint,
		    struct io *io)
{
	/* workers read it from another directory, and later */
	CLEANUP(freep) char *config = args->config ? realpath(args->config, NULL) : NULL;
	struct supervised what = {.mountpoint = mountpoint,
				  .options = args->mount.len ? args->mount.data : "",
				  .config = config,
				  .stay = args->given & OPT_STAY,
				  .verbose = args->given & OPT_VERBOSE,
				  .told_fd = -1,
				  .io = io};

	if (args->config && !config) {
		io_err(io, "%s: %s", args->config, strerror(errno));
		return EXIT_USAGE;
	}
	return what.stay ? supervise_here(&what, state) : run_forked(&what, state);
}

int cmd_mount(const struct args *args, struct io *io)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	CLEANUP(freep) char *mountpoint = NULL;
	CLEANUP(freep) char *state = NULL;
	struct config *conf = NULL;
	int r = mountpoint_of(args->operand[0], &mountpoint);
	struct stat st;

	if (r == 0 && stat(mountpoint, &st) == 0 && !S_ISDIR(st.st_mode))
		r = -ENOTDIR;
	if (r < 0) {
		io_err(io, "cannot mount at %s: %s", args->operand[0], strerror(-r));
		return EXIT_FAILED;
	}
	r = config_load(args->config, &err, &conf);
	if (r < 0) {
		io_err(io, "%s", err.len ? err.data : strerror(-r));
		return EXIT_USAGE;
	}
	state = strdup(conf->state);
	(void)config_free(conf); /* its secrets are for workers */
	if (!state) {
		io_err(io, "cannot start: %s", strerror(ENOMEM));
		return EXIT_FAILED;
	}
	return mount_at(args, state, mountpoint, io);
}
