/*===- error.c - Last error and version -----------------------------------===*/
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>

#ifndef HWGQ_VERSION
#define HWGQ_VERSION "0.1.0"
#endif

static _Thread_local char last_error[1024];

const char *hwgq_last_error(void) { return last_error; }

hwgq_status hwgq_fail(hwgq_status status, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(last_error, sizeof last_error, format, arguments);
  va_end(arguments);
  return status;
}

const char *hwgq_version(void) { return HWGQ_VERSION; }

uint32_t hwgq_abi_version(void) { return HWGQ_ABI_VERSION; }
