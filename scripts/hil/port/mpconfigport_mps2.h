// What MicroPython's qemu port leaves out and every board of a meter has: time, select, asyncio, AES, machine.UART.
#include "mpconfigport.h"
#undef MICROPY_PY_TIME
#define MICROPY_PY_TIME (1)
#undef MICROPY_PY_SELECT
#define MICROPY_PY_SELECT (1)
#undef MICROPY_PY_ASYNCIO
#define MICROPY_PY_ASYNCIO (1)
#define MICROPY_PY_CRYPTOLIB (1)
#define MICROPY_SSL_MBEDTLS (1)
#define MICROPY_PY_MACHINE_PULSE (0)
#define MICROPY_PY_MACHINE_UART (1)
#define MICROPY_PY_MACHINE_UART_INCLUDEFILE "machine_uart_mps2.c"
