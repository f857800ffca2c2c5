/* verbs.c - the table of verbs, their help, and where each is done: by the running mount, or here on the state itself. */
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* A mount that starts or ends has the lock but does not answer: it is waited for. */
#define BUSY_WAIT_US (8 * 1000000LL)

static const struct verb verbs[] = {
	{"mount", "[-c FILE] [-f] [-v] [-o OPTIONS] MOUNTPOINT",
	 "mounts, and returns once mounted; -f stays in the foreground, -v says more",
	 OPT_CONFIG | OPT_STAY | OPT_VERBOSE | OPT_MOUNT, 1, 1, NULL, false},
	{"umount", "MOUNTPOINT", "unmounts, and returns once the program behind it has ended",
	 OPT_CONFIG, 1, 1, NULL, false},
	{"check", "[-c FILE] [--keys]",
	 "checks the config, and whether stores and cameras can be reached; --keys lists what a config may say",
	 OPT_CONFIG | OPT_KEYS, 0, 0, NULL, false},
	{"status", "[-c FILE] [--json]", "says what there is, what is under way and what fails",
	 OPT_CONFIG | OPT_JSON, 0, 0, verb_status, false},
	{"sync", "[-c FILE] [--wait]",
	 "sends what is queued now; --wait returns once every store has everything",
	 OPT_CONFIG | OPT_WAIT, 0, 0, verb_sync, true},
	{"scan", "[-c FILE] STORE",
	 "looks for objects that others put into the store, changed or deleted there", OPT_CONFIG,
	 1, 1, verb_scan, true},
	{"prefetch", "[-c FILE] PATH...",
	 "fetches the pictures at and below these paths into the cache", OPT_CONFIG, 1, SIZE_MAX,
	 verb_prefetch, false},
	{"search", "[-c FILE] [--json | --paths | --labels] QUERY...",
	 "prints the pictures that match: their paths in the tree, or their sidecars, full paths, label documents",
	 OPT_CONFIG | OPT_JSON | OPT_PATHS | OPT_LABELS, 1, SIZE_MAX, verb_search, false},
	{"fsck", "[-c FILE] [--repair]",
	 "checks the catalog against the cache and the stores; --repair mends what can be mended",
	 OPT_CONFIG | OPT_REPAIR, 0, 0, verb_fsck, false},
	{"trash", "[-c FILE] [--restore] [PICTURE...]",
	 "lists what is in the trash, throws pictures away, or brings them back",
	 OPT_CONFIG | OPT_RESTORE, 0, SIZE_MAX, verb_trash, false},
	{"rebuild", "[-c FILE]", "makes the catalog again from the stores alone", OPT_CONFIG, 0, 0,
	 verb_rebuild, true},
	{"import", "[-c FILE] [--format FORMAT] FILE... | DIRECTORY... | es NAME",
	 "takes label files of other programs in, or an Elasticsearch index: auto, labels, coco, yolo, megadetector, sidecars",
	 OPT_CONFIG | OPT_FORMAT, 1, SIZE_MAX, verb_import, false},
	{"export",
	 "[-c FILE] [--format labels | coco | yolo | es] [--query QUERY] [-o FILE] [es NAME]",
	 "writes labels for other programs (-o: into that file, for yolo into that directory), or to an Elasticsearch index",
	 OPT_CONFIG | OPT_FORMAT | OPT_QUERY | OPT_OUTPUT, 0, 2, verb_export, false},
};

bool verb_is_fed(const struct verb *v, const struct args *args)
{
	return v->run == verb_import && !is_elastic(args);
}

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

void verbs_print(struct io *io)
{
	io_text(io,
		"shutterfs: your cameras as a folder\n\nusage: shutterfs VERB [OPTIONS] ...\n\n");
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		io_out(io, "  %s %s\n      %s\n", verbs[i].name, verbs[i].args, verbs[i].help);
	io_text(io,
		"\n"
		"  shutterfs CONFIG MOUNTPOINT [-o OPTIONS]     as mount(8) and fstab call it\n"
		"  shutterfs --help | --version | VERB --help\n"
		"\n"
		"Without -c: $XDG_CONFIG_HOME/shutterfs/shutterfs.conf, /etc/shutterfs/shutterfs.conf, or neither.\n"
		"Exit status: 0 done, 1 failed, 2 wrong usage or config.  See shutterfs(1) and shutterfs.conf(5).\n");
}

void verb_print_help(const struct verb *v, struct io *io)
{
	io_out(io, "usage: shutterfs %s %s\n  %s\n", v->name, v->args, v->help);
}

static int run_here(const struct verb *v, const struct config *conf, const struct args *args,
		    struct io *io, bool *ret_busy)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	struct app *app = NULL;
	int r = app_open(conf, NULL, &err, &app), status = EXIT_FAILED;

	*ret_busy = r == -EBUSY;
	if (r == 0 && v->works)
		r = app_start_sync(app, &err);
	if (r == 0)
		status = v->run(app, io, args);
	else if (!*ret_busy)
		io_err(io, "%s", err.data);
	io_bar_clear(io);
	(void)app_close(app);
	return status;
}

static int say_busy(const struct config *conf, struct io *io)
{
	CLEANUP(lock_owner_done) struct lock_owner owner = {0};

	(void)!state_lock_owner(conf->state, &owner);
	io_err(io,
	       "another shutterfs (pid %ld) uses %s and does not answer; try again when it has ended",
	       owner.pid, conf->state);
	return EXIT_FAILED;
}

int cmd_verb(const struct verb *v, const struct args *args, struct io *io)
{
	CLEANUP(buf_done) struct buf err = BUF(65536);
	CLEANUP(freep) char *state = NULL;
	struct config *conf = NULL;
	int64_t until = mono_us() + BUSY_WAIT_US;
	struct output *output = NULL;
	int r = config_load_or_state(args->config, &err, &conf, &state), status = EXIT_FAILED;

	if (!state) {
		io_err(io, "%s", err.len ? err.data : strerror(-r));
		return EXIT_USAGE;
	}
	if (args->output && output_open(args, io, &output) < 0) {
		(void)config_free(conf);
		return EXIT_FAILED;
	}
	for (bool busy = true; busy;) {
		r = client_run(state, v, args, io, &status);
		if (r == 0)
			break;
		if (r != -ENOENT && r != -ECONNREFUSED) {
			io_err(io, "cannot ask the running mount of %s: %s", state, strerror(-r));
			break;
		}
		if (!conf) { /* there is none that would have its secrets */
			io_err(io, "%s", err.data);
			status = EXIT_USAGE;
			break;
		}
		status = run_here(v, conf, args, io, &busy);
		if (busy && mono_us() > until) {
			status = say_busy(conf, io);
			break;
		}
		if (busy)
			(void)usleep(100000);
	}
	(void)config_free(conf);
	return output_close(output, io, status);
}
