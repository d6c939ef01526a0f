/*===- run_module.c - Open a module file and run it on zeros --------------===*\
|*   run_module MODEL.so
\*===----------------------------------------------------------------------===*/
#include "network.h"

int main(int argc, char **argv) {
  hwgq_module *module = NULL;
  struct network network = {0};
  if (argc != 2)
    return fail("usage: run_module MODEL.so");
  if (hwgq_module_open(argv[1], &module) != HWGQ_OK)
    return fail(hwgq_last_error());
  int status = network_make(&network, module, 0);
  if (status == 0)
    status = network_run(&network);
  if (status == 0)
    network_print(&network, module);
  network_free(&network);
  hwgq_module_close(module);
  return status;
}
