#include "hwgq-c/compiler.h"

/* A designated initialiser, as the header's example has it. */
const hwgq_model hwgq_test_nowhere = {.path = "nowhere.onnx"};
