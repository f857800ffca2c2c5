/* daemon.c - what both processes of a mount do: hide, leave the terminal, talk to systemd. */
#include "worker.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void hide_memory(void)
{
#ifndef SANITIZED /* they could not look for leaks */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
}

void leave_terminal(bool verbose)
{
	CLEANUP(closep) int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	log_setup(verbose ? LOG_L_DEBUG : LOG_L_INFO, true);
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		(void)dup2(null, fd);
}

void sd_notify(const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	CLEANUP(closep) int fd = -1;
	size_t len = path ? strlen(path) : 0;

	if (len < 2 || len >= sizeof(to.sun_path) || !strchr("/@", path[0]))
		return;
	memcpy(to.sun_path, path, len);
	if (path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}
