/* shim.h - calls that can fail are counted, and the Nth of them does: linked between the rooms and libc (-Wl,--wrap). */
#pragma once

#include <stdbool.h>

/* From now on, in every thread of this process: the `victim`th call fails (0: none, they are counted only). */
void shim_arm(unsigned long victim);
/* What was counted; *ret_failed: the name of the call that failed, "" if none did. */
unsigned long shim_disarm(const char **ret_failed);
/* Between the two nothing fails and nothing is counted: for a test's own looks. True: it was armed. */
bool shim_pause(void);
void shim_resume(void);
