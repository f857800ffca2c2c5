/* log.c - one line per event, to the journal, a terminal or syslog.  Names from cameras and clouds
 * end up in these lines, so whatever would start a new line or drive a terminal is escaped, and a
 * line has an end. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "shutterfs/base.h"

enum { LINE_MAX_BYTES = 2048 };

static struct {
	_Atomic int max_level;
	_Atomic bool to_syslog, to_journal;
} log_state = {.max_level = LOG_L_INFO};

/* systemd says which device and inode its journal has; stderr may have been redirected since. */
static bool stderr_is_journal(void)
{
	const char *text = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	char *end;
	struct stat st;

	if (!text || fstat(STDERR_FILENO, &st) < 0)
		return false;
	dev = strtoull(text, &end, 10);
	if (end == text || *end != ':')
		return false;
	text = end + 1;
	ino = strtoull(text, &end, 10);
	return end != text && !*end && dev == st.st_dev && ino == st.st_ino;
}

void log_setup(int max_level, bool to_syslog)
{
	log_state.max_level = max_level;
	log_state.to_journal = stderr_is_journal();
	log_state.to_syslog = to_syslog;
	if (to_syslog)
		openlog("shutterfs", LOG_PID, LOG_DAEMON);
}

/* Control bytes, DEL and the C1 controls (in UTF-8: C2 80..9F) as \xNN; the rest as it is. */
static void escape(const char *text, char *out, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0;

	for (; *p && n + 9 <= size; p++) {
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f;

		if (*p >= 0x20 && *p != 0x7f && !c1) {
			out[n++] = (char)*p;
			continue;
		}
		if (c1)
			p++;
		n += (size_t)snprintf(out + n, size - n, "\\x%02x", *p);
	}
	if (*p) { /* room for the dots was kept above */
		memcpy(out + n, "...", 3);
		n += 3;
	}
	out[n] = '\0';
}

static int prefix(int level, char *out, size_t size)
{
	static const char letter[] = "EEEEWIID";
	struct civil c;

	if (log_state.to_journal)
		return snprintf(out, size, "<%d>", level);
	civil_from_us(now_us(), &c);
	return snprintf(out, size, "%04d-%02d-%02d %02d:%02d:%02d.%03d %c ", c.year, c.month, c.day,
			c.hour, c.min, c.sec, c.us / 1000, letter[level & 7]);
}

void log_at(int level, const char *room, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
	va_list ap;
	int n;

	if (level > log_state.max_level)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (log_state.to_syslog) {
		escape(text, line, sizeof(line));
		syslog(level, "%s: %s", room, line);
		return;
	}
	n = prefix(level, line, sizeof(line));
	n += snprintf(line + n, sizeof(line) - (size_t)n, "shutterfs: %.32s: ", room);
	escape(text, line + n, sizeof(line) - (size_t)n - 1);
	n = (int)strlen(line);
	line[n] = '\n';
	(void)!write(STDERR_FILENO, line, (size_t)n + 1);
}
