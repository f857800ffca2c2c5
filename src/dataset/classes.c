/* classes.c - the names of classes, in the order that gives them their numbers: that of the bytes, as ImageFolder sorts its
 * directories. */
#include "private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DELIMITERS "-._ 0123456789"

/* The words by which Hugging Face's loader takes a directory for a split; returns the length of the one at p, or 0. */
static size_t split_word(const char *p)
{
	static const char *const word[] = {"train", "training",  "validation", "valid",
					   "val",   "dev",       "test",       "testing",
					   "eval",  "evaluation"};
	size_t len = strcspn(p, DELIMITERS);

	for (size_t i = 0; i < ARRAY_LEN(word); i++)
		if (strlen(word[i]) == len && strncmp(word[i], p, len) == 0)
			return len;
	return 0;
}

static bool has_split_word(const char *name)
{
	for (const char *p = name; *p; p += strspn(p, DELIMITERS)) {
		if (split_word(p))
			return true;
		p += strcspn(p, DELIMITERS);
	}
	return false;
}

/* '=' delimits nothing: one goes before each such word, and those that were there are doubled, so that no two values meet. */
void class_name_from(const char *value, char out[CLASS_MAX + 1])
{
	static const char prefix[] = "class=";
	char name[LABEL_MAX + 1];
	size_t n = 0;

	label_name_from(value, name);
	if (!has_split_word(name) && !strchr(name, '=')) {
		memcpy(out, name, strlen(name) + 1);
		return;
	}
	memcpy(out, prefix, sizeof(prefix) - 1);
	n = sizeof(prefix) - 1;
	for (const char *p = name; *p; p++) {
		bool word_begins = p > name && strchr(DELIMITERS, p[-1]) && split_word(p);

		if (*p == '=' || word_begins)
			out[n++] = '=';
		out[n++] = *p;
	}
	out[n] = '\0';
}

void class_set_done(struct class_set *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->item[i].name);
	free(c->item);
	*c = (struct class_set){0};
}

/* True: it is at *ret; else that is where it belongs. */
static bool search(const struct class_set *c, const char *name, size_t *ret)
{
	size_t low = 0, high = c->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(c->item[mid].name, name);

		if (order == 0) {
			*ret = mid;
			return true;
		}
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret = low;
	return false;
}

int class_set_find(const struct class_set *c, const char *name, size_t *ret)
{
	size_t at;

	if (!search(c, name, &at))
		return -ENOENT;
	*ret = at;
	return 0;
}

int class_set_add(struct class_set *c, const char *name, size_t *ret)
{
	CLEANUP(freep) char *copy = NULL;
	size_t at;

	if (!search(c, name, &at)) {
		if (c->n == CLASSES_MAX)
			return -E2BIG;
		if (c->n == c->room) {
			size_t room = c->room ? 2 * c->room : 16;
			struct class *grown = reallocarray(c->item, room, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			c->item = grown;
			c->room = room;
		}
		copy = strdup(name);
		if (!copy)
			return -ENOMEM;
		memmove(&c->item[at + 1], &c->item[at], (c->n - at) * sizeof(*c->item));
		c->item[at] = (struct class){.name = TAKE(copy)};
		c->n++;
	}
	*ret = at;
	return 0;
}
