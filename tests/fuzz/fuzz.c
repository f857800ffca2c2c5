/* fuzz.c - libFuzzer's way into one target: FUZZ_TARGET names it. */
#include "target.h"

#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct parser *target;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *name = getenv("FUZZ_TARGET");

	for (size_t i = 0; name && target_at(i); i++)
		if (strcmp(target_at(i)->name, name) == 0)
			target = target_at(i);
	if (!target) {
		(void)fprintf(stderr, "FUZZ_TARGET does not name one of the corpus' targets\n");
		exit(1);
	}
	targets_setup();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static char why[TARGET_WHY];

	why[0] = '\0';
	(void)target->run(data, len, why);
	return 0;
}
