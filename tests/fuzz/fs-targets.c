/* fs-targets.c - inode numbers, as a kernel may bring them back, and the names of days. */
#include "target.h"

#include "inode.h"

#include <errno.h>
#include <string.h>

/* The number in text. */
static int run_inode(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	uint64_t ino = strtoull(text, NULL, 0);
	struct node n = node_from_ino(ino);
	struct view view;

	HOLDS(n.kind < NODE_KINDS);
	if (n.kind == NODE_NONE)
		return -ENOENT;
	HOLDS(node_ino(n) == ino);
	(void)node_day_view(n, &view);
	(void)node_days_view(n, &view);
	(void)snprintf(why, TARGET_WHY, "kind %d id %lld day %d%s", (int)n.kind, (long long)n.id,
		       n.day, node_is_dir(n) ? " directory" : "");
	return 0;
}

static int run_day(const uint8_t *data, size_t len, char why[TARGET_WHY])
{
	CLEANUP(freep) char *text = text_of(data, len);
	char back[16];
	int32_t day = 0;
	int r = day_from_name(text, &day);

	if (r < 0)
		return r;
	day_name(day, back);
	HOLDS(strcmp(back, text) == 0);
	return r;
}

const struct parser fs_targets[] = {{"inode", run_inode}, {"day-name", run_day}, {0}};
