/* main.c - which of its faces the program is called by: a verb, "CONFIG MOUNTPOINT -o ..." of mount.fuse3, or mount.shutterfs. */
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic bool cancelled;

static void on_signal(int sig)
{
	/* the second one ends it at once */
	if (cancelled)
		_exit(128 + sig);
	cancelled = true;
}

/* Ctrl-C ends a verb that is done here within a second, so that what it holds is given back. */
static void catch_signals(void)
{
	struct sigaction end = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

	(void)sigaction(SIGINT, &end, NULL);
	(void)sigaction(SIGTERM, &end, NULL);
	(void)sigaction(SIGPIPE, &ignore, NULL);
}

static int wrong_usage(struct io *io, const struct verb *v, const struct buf *err)
{
	io_err(io, "%s", err->len ? err->data : "wrong usage");
	if (v)
		io_err(io, "usage: shutterfs %s %s", v->name, v->args);
	else
		io_err(io, "see: shutterfs --help");
	return EXIT_USAGE;
}

/* One that was closed would be given to the next file that is opened, and that would be taken for it. */
static void open_standard(void)
{
	int fd = 0;

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR); /* stays open where it is needed */
	closep(&fd);
}

static int run_helper(int argc, const char *const *argv, struct io *io)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	CLEANUP(args_done) struct args args = {0};
	bool fake = false;
	int r = args_parse_helper(argc, argv, &args, &fake, &err);

	if (r < 0)
		return wrong_usage(io, NULL, &err);
	return fake ? EXIT_DONE : cmd_mount(&args, io);
}

static int run_verb(const struct verb *v, int argc, const char *const *argv, struct io *io)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	CLEANUP(args_done) struct args args = {0};
	int r = args_parse(v->options, v->least, v->most, argc, argv, &args, &err);

	io->verb = v->name;
	if (r < 0)
		return wrong_usage(io, v, &err);
	if (args.help) {
		verb_print_help(v, io);
		return EXIT_DONE;
	}
	if (strcmp(v->name, "mount") == 0)
		return cmd_mount(&args, io);
	if (strcmp(v->name, "umount") == 0)
		return cmd_umount(&args, io);
	if (v->run == verb_search && search_read_file(&args, io) < 0)
		return EXIT_USAGE;
	return strcmp(v->name, "check") == 0 ? cmd_check(&args, io) : cmd_verb(v, &args, io);
}

/* What a supervisor starts; of no use to people. */
static int run_serve(int argc, const char *const *argv, struct io *io)
{
	CLEANUP(buf_done) struct buf err = BUF(4096);
	CLEANUP(args_done) struct args args = {0};
	int r = args_parse(OPT_CONFIG | OPT_MOUNT | OPT_STAY | OPT_VERBOSE, 1, 1, argc, argv, &args,
			   &err);

	return r < 0 ? wrong_usage(io, NULL, &err) : cmd_serve(&args, io);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What can only be the config of "CONFIG MOUNTPOINT"; a verb with a slip of the pen is told so instead. */
static bool is_spec(const char *word)
{
	return strcmp(word, "none") == 0 || strcmp(word, "shutterfs") == 0 || strchr(word, '/') ||
	       access(word, F_OK) == 0;
}

static int run(int argc, const char *const *words, struct io *io)
{
	const struct verb *v;

	if (argc > 0 && strncmp(base_name(words[0]), "mount.", 6) == 0)
		return run_helper(argc, words, io);
	if (argc < 2) {
		io_err(io, "a verb is missing; see: shutterfs --help");
		return EXIT_USAGE;
	}
	if (strcmp(words[1], "--help") == 0 || strcmp(words[1], "-h") == 0) {
		verbs_print(io);
		return EXIT_DONE;
	}
	if (strcmp(words[1], "--version") == 0 || strcmp(words[1], "-V") == 0) {
		io_out(io, "shutterfs %s", VERSION);
		return EXIT_DONE;
	}
	if (strcmp(words[1], "serve") == 0)
		return run_serve(argc - 1, words + 1, io);
	v = verb_find(words[1]);
	if (v)
		return run_verb(v, argc - 1, words + 1, io);
	if (argc > 2 && words[1][0] != '-' && is_spec(words[1]))
		return run_helper(argc, words, io);
	io_err(io, "there is no verb \"%s\"; see: shutterfs --help", words[1]);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	struct io io = {.fd = -1, .cancel = &cancelled, .verb = "shutterfs"};

	open_standard();
	catch_signals();
	int status = run(argc, (const char *const *)argv, &io);
	return io.broken && status == EXIT_DONE ? EXIT_FAILED : status;
}
