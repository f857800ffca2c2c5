/* cli.h - what the files of the cli share: words of the command line, where a verb talks to, the open house, the verbs. */
#pragma once

#include <signal.h>

#include "app.h"

#define LOG_ROOM "cli"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* ---- args.c: the command line ---- */
enum option {
	OPT_CONFIG = 1,     /* -c FILE */
	OPT_JSON = 2,       /* --json */
	OPT_WAIT = 4,       /* --wait */
	OPT_REPAIR = 8,     /* --repair */
	OPT_KEYS = 16,      /* --keys */
	OPT_MOUNT = 32,     /* -o OPTS */
	OPT_STAY = 64,      /* -f */
	OPT_VERBOSE = 128,  /* -v */
	OPT_PATHS = 256,    /* --paths */
	OPT_LABELS = 512,   /* --labels */
	OPT_RESTORE = 1024, /* --restore */
	OPT_FORMAT = 2048,  /* --format NAME */
	OPT_QUERY = 4096,   /* --query QUERY */
	OPT_OUTPUT = 8192,  /* -o FILE */
};
struct args {
	unsigned given; /* enum option */
	bool help;
	const char *config;                  /* borrowed from argv */
	struct buf mount;                    /* all -o, joined by commas */
	const char *format, *query, *output; /* NULL: not given */
	struct buf text;                     /* of a file that an operand named */
	const char **operand;                /* owned; the strings are argv's */
	size_t n_operands;
};
void args_done(struct args *a);
/* argv[0] is the verb's name and is passed over.  -EINVAL with a line in err. */
int args_parse(unsigned allowed, size_t least, size_t most, int argc, const char *const *argv,
	       struct args *ret, struct buf *err) MUST_CHECK;
/* A request's words, each ended by a NUL, up to the empty one; *ret is owned, the words are the request's.  -E2BIG. */
int args_split(const struct buf *request, const char ***ret, int *ret_n) MUST_CHECK;
/* "mount.shutterfs SPEC DIR [-sfnv] [-o OPTS] [-t TYPE] [-N NS]" as mount(8) calls it; *ret_fake: check only (-f). */
int args_parse_helper(int argc, const char *const *argv, struct args *ret, bool *ret_fake,
		      struct buf *err) MUST_CHECK;

/* ---- io.c: where a verb's words go: this terminal, or the client at the other end of the control socket ---- */
struct io {
	int fd;               /* the client's socket; -1: stdout and stderr */
	_Atomic bool *cancel; /* set: the verb should end with -ECANCELED */
	const char *verb;
	void (*to)(void *user,
		   const char *line); /* where `out` lines go instead of stdout; NULL: stdout */
	void *to_user;
	bool ready; /* the mount waits for items */
	bool bar_shown, broken;
	int64_t bar_us,
		began_us; /* mono_us: when the bar was drawn, when the first progress came */
};
/* One line, or several when the text has newlines; control characters are shown as \xNN. */
void io_out(struct io *io, const char *fmt, ...) PRINTF(2, 3);
void io_err(struct io *io, const char *fmt, ...) PRINTF(2, 3);
void io_text(struct io *io, const char *text); /* out, however long */
struct progress {
	uint64_t done, total /* 0: unknown */, bytes, failed;
	char what[160];
};
void io_progress(struct io *io, const struct progress *p);
void io_bar_clear(struct io *io);
bool io_cancelled(const struct io *io);
/* For sync's progress_fn: user is the struct io. */
int io_sync_progress(void *user, uint64_t done, uint64_t total, const char *what);
struct call io_call(const struct io *io, int64_t limit_us /* 0: none */);
/* "1.2 MiB" */
#define SIZE_TEXT 32
void size_text(uint64_t bytes, char out[SIZE_TEXT]);
/* One line of JSON: what could drive a terminal is escaped as JSON does it. */
void io_json(struct io *io, const char *line);
/* Items that the client reads for its verb; non-zero from fn ends it. */
typedef int item_fn(void *user, const char *item, size_t len);
int io_items(struct io *io, item_fn *fn, void *user) MUST_CHECK;
/* A received line of the protocol; true: it was the last one, with the exit status. */
bool io_relay(struct io *io, char *line, int *ret_status);

/* ---- verbs.c: one row each ---- */
struct verb {
	const char *name, *args, *help;
	unsigned options;
	size_t least, most; /* operands */
	/* An exit status.  With a running mount it is called there, in a thread of its own. */
	int (*run)(struct app *app, struct io *io, const struct args *args);
	bool works; /* without a mount it needs sync's threads */
};
const struct verb *verb_find(const char *name);
/* Its items are read where the user is: import_feed. */
bool verb_is_fed(const struct verb *v, const struct args *args);
void verbs_print(struct io *io); /* for --help */
void verb_print_help(const struct verb *v, struct io *io);

int verb_status(struct app *app, struct io *io, const struct args *args);
int verb_sync(struct app *app, struct io *io, const struct args *args);
int verb_scan(struct app *app, struct io *io, const struct args *args);
int verb_prefetch(struct app *app, struct io *io, const struct args *args);
int verb_fsck(struct app *app, struct io *io, const struct args *args);
int verb_trash(struct app *app, struct io *io, const struct args *args);
int verb_search(struct app *app, struct io *io, const struct args *args);
/* JSON, or the words of search; none: everything. -EBADMSG */
struct query;
int search_compile(const char *const *word, size_t n, struct query **ret, char *why) MUST_CHECK;
int search_read_file(struct args *args, struct io *io)
	MUST_CHECK; /* query.json or "-" becomes its text; errors are said */
int verb_rebuild(struct app *app, struct io *io, const struct args *args);
int verb_import(struct app *app, struct io *io, const struct args *args);
int verb_export(struct app *app, struct io *io, const struct args *args);
/* Says itself what cannot be read, and then sets *ret_failed. */
int import_feed(const struct args *args, struct io *io, item_fn *fn, void *user, bool *ret_failed)
	MUST_CHECK;
/* "es NAME": the config's section of that name, or one made of a URL/INDEX in `own`; NULL: said. */
bool is_elastic(const struct args *args);
const struct elastic_config *elastic_of(const struct config *conf, const char *name,
					struct elastic_config *own, struct io *io);
/* -o FILE of export: what is printed goes there; for YOLO into a directory of files. Whole or not at all. */
struct output;
int output_open(const struct args *args, struct io *io, struct output **ret) MUST_CHECK;
int output_close(struct output *o, struct io *io, int status); /* the exit status */

/* ---- the other commands; exit statuses ---- */
int cmd_mount(const struct args *args, struct io *io);
int cmd_umount(const struct args *args, struct io *io);
/* Resolved, also when the mount there is dead; owned. */
int mountpoint_of(const char *typed, char **ret) MUST_CHECK;
bool is_mounted(const char *mountpoint); /* by a shutterfs */
int cmd_check(const struct args *args, struct io *io);
/* Asks the running mount, or opens the state and does it here. */
int cmd_verb(const struct verb *v, const struct args *args, struct io *io);

/* ---- control.c, client.c: verbs of a running mount, through <state>/control.sock ---- */
#define REQUEST_MAX (8 * 1024 * 1024) /* bytes of a verb's words: prefetch of a shell's long list */
struct control;
int control_start(struct app *app, struct control **ret) MUST_CHECK;
struct control *
control_stop(struct control *c); /* cancels the verbs under way and waits for them */
/* -ENOENT, -ECONNREFUSED: no mount is running; else *ret_status is the verb's exit status. */
int client_run(const char *state, const struct verb *v, const struct args *args, struct io *io,
	       int *ret_status) MUST_CHECK;
int client_probe(const char *state) MUST_CHECK; /* 0: a mount answers */
/* <state>/control.sock by way of an open directory: paths of sockets are short. */
int control_address(const char *state, int *ret_dirfd, void *sockaddr_un) MUST_CHECK;

/* ---- tree-path.c: a path below the mount, as a range of a view ---- */
struct selection {
	struct view view;
	int32_t first_day, last_day;
	char stem[STEM_MAX + 1]; /* not "": this one only */
	int64_t snapshot;        /* not 0: this very one */
	bool nothing;            /* names something that has no picture to fetch: a sidecar */
};
/* "cameras/front/2026-11-22/x.jpg", "dates/2026", "labels/object", ...; "" is everything.  fn is called for each part: the values
 * of a label's kind are several.  -ENOENT, or what fn returned. */
typedef int selection_fn(void *user, const struct selection *s);
int tree_path_each(struct app *app, const char *path, selection_fn *fn, void *user) MUST_CHECK;
int tree_dataset_each(struct app *app, char *const *part, size_t n, selection_fn *fn, void *user)
	MUST_CHECK; /* parts below datasets/ */
/* Its snapshots, in pages: fn may take its time. -ENOENT: the one named is not there. */
int selection_each(struct app *app, const struct selection *s, snap_fn *fn, void *user) MUST_CHECK;
/* The part of an absolute or relative path that lies below the mountpoint (NULL: not mounted), "" for the mountpoint itself.  A
 * relative path that begins with a view's name is taken as it is.  -EINVAL: outside. */
int tree_path_of(const char *typed, const char *mountpoint, char **ret) MUST_CHECK;
