/* verb_status.c - `status`: what there is, what is under way and what fails. */
#include "cli.h"

#include <string.h>

int verb_status(struct app *app, struct io *io, const struct args *args)
{
	CLEANUP(buf_done) struct buf text = BUF(64 * 1024 * 1024);
	if (!app->fs) /* a mount has counted them when it began */
		cache_recount(app->cache);
	int r = args->given & OPT_JSON ? status_json(app, &text) : status_text(app, &text);

	if (r < 0) {
		io_err(io, "status: the catalog cannot be read: %s", strerror(-r));
		return EXIT_FAILED;
	}
	io_text(io, text.data);
	return EXIT_DONE;
}
