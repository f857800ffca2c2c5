/* Open files and directories: nothing in them that could not be had again from the inode.
 *
 * The list of them exists for the mount's end only: the kernel forgets to release what is open when a mount is taken away. */
#include "fs_private.h"

#include <stdlib.h>
#include <unistd.h>

struct handle *handle_new(struct fs *fs, enum handle_kind kind)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->kind = kind;
	h->fd = -1;
	h->text = BUF(64 * SIDECAR_BYTES);
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_lock(&fs->lock);
	h->next = fs->handles;
	if (h->next)
		h->next->prev = &h->next;
	h->prev = &fs->handles;
	fs->handles = h;
	pthread_mutex_unlock(&fs->lock);
	return h;
}

void handle_free(struct fs *fs, struct handle *h)
{
	int fd = h->fd;

	pthread_mutex_lock(&fs->lock);
	*h->prev = h->next;
	if (h->next)
		h->next->prev = h->prev;
	pthread_mutex_unlock(&fs->lock);
	if (h->file)
		ingest_release(h->file);
	if (fd >= 0)
		(void)close(fd);
	buf_done(&h->text);
	handle_forget_names(h);
	free(h->seen);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void handle_forget_names(struct handle *h)
{
	for (size_t i = 0; i < h->n_seen; i++)
		free(h->seen[i].name);
	h->n_seen = 0;
}

void handles_end(struct fs *fs)
{
	while (fs->handles)
		handle_free(fs, fs->handles);
}
