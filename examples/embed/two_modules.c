/*===- two_modules.c - Two networks linked into one program ---------------===*\
|* Their objects and headers come from
|*   hwgq-compile A.onnx --emit=obj    --symbol-prefix=first -o first.o
|*   hwgq-compile A.onnx --emit=header --symbol-prefix=first -o first.h
|* and the same for `second`. Each header declares the module's entry.
\*===----------------------------------------------------------------------===*/
#include "network.h"

#include "first.h"
#include "second.h"

static int run(const char *name, const struct hwgq_module_entry *entry) {
  hwgq_module *module = NULL;
  struct network network = {0};
  if (hwgq_module_open_static(entry, &module) != HWGQ_OK)
    return fail(hwgq_last_error());
  int status = network_make(&network, module, 1);
  if (status == 0)
    status = network_run(&network);
  if (status == 0) {
    printf("%s\n", name);
    network_print(&network, module);
  }
  network_free(&network);
  hwgq_module_close(module);
  return status;
}

int main(void) {
  int status = run("first", &first_hwgq_module);
  return run("second", &second_hwgq_module) != 0 ? 1 : status;
}
