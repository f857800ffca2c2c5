/* config-targets.c - a config file, which is ours to trust but not ours to spell. */
#include "target.h"

#include "shutterfs/config.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static int run_config(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(closep) int fd = memfd_create("config", MFD_CLOEXEC);
	CLEANUP(buf_done) struct buf err = BUF(65536);
	CLEANUP(buf_done) struct buf shown = BUF(16 * 1024 * 1024);
	struct config *conf = NULL;
	char path[64];
	int r;

	HOLDS(fd >= 0 && fchmod(fd, 0600) == 0 && write_all(fd, data, len) == 0);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = config_load(path, &err, &conf);
	if (r < 0) {
		HOLDS(err.len > 0 && err.data[err.len - 1] == '\n' && !conf);
		(void)snprintf(why, TARGET_WHY, "%s", err.data);
		return r;
	}
	HOLDS(conf->n_cameras <= CONFIG_CAMERAS_MAX && conf->n_stores <= CONFIG_STORES_MAX);
	HOLDS(config_print(conf, &shown) == 0 && shown.len > 0);
	for (size_t i = 0; i < conf->n_cameras; i++)
		HOLDS(camera_name_ok(conf->camera[i].name));
	(void)config_free(conf);
	return r;
}

const struct parser config_targets[] = {{"config", run_config}, {0}};
