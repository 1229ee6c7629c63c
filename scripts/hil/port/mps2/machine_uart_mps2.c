// machine.UART(1) on the mps2-an385: its second CMSDK APB UART, polled. Included by extmod/machine_uart.c.
// QEMU hands a byte over when the one before it has been read, so nothing is lost without an interrupt.

#define STATE_TX_FULL (1)
#define STATE_RX_FULL (2)
#define CTRL_TX_RX (3)

#define MICROPY_PY_MACHINE_UART_CLASS_CONSTANTS

typedef struct {
    volatile uint32_t data;
    volatile uint32_t state;
    volatile uint32_t ctrl;
    volatile uint32_t interrupts;
    volatile uint32_t divider;
} uart_registers_t;

#define UART1_REGISTERS ((uart_registers_t *)0x40005000)

struct _machine_uart_obj_t {
    mp_obj_base_t base;
};

static machine_uart_obj_t uart1;

static void mp_machine_uart_print(const mp_print_t *print, mp_obj_t self_in, mp_print_kind_t kind) {
    mp_printf(print, "UART(1)");
}

static void mp_machine_uart_init_helper(machine_uart_obj_t *self, size_t n_args, const mp_obj_t *pos_args, mp_map_t *kw_args) {
    // The emulated line has no speed: whatever a real one would be told is taken and has no effect.
    UART1_REGISTERS->divider = 16;
    UART1_REGISTERS->ctrl = CTRL_TX_RX;
}

static mp_obj_t mp_machine_uart_make_new(const mp_obj_type_t *type, size_t n_args, size_t n_kw, const mp_obj_t *args) {
    mp_arg_check_num(n_args, n_kw, 1, MP_OBJ_FUN_ARGS_MAX, true);
    if (mp_obj_get_int(args[0]) != 1) {
        mp_raise_ValueError(MP_ERROR_TEXT("this board has UART(1)"));
    }
    uart1.base.type = &machine_uart_type;
    mp_machine_uart_init_helper(&uart1, 0, NULL, NULL);
    return MP_OBJ_FROM_PTR(&uart1);
}

static void mp_machine_uart_deinit(machine_uart_obj_t *self) {
    UART1_REGISTERS->ctrl = 0;
}

static mp_int_t mp_machine_uart_any(machine_uart_obj_t *self) {
    return !!(UART1_REGISTERS->state & STATE_RX_FULL);
}

static bool mp_machine_uart_txdone(machine_uart_obj_t *self) {
    return !(UART1_REGISTERS->state & STATE_TX_FULL);
}

static mp_uint_t mp_machine_uart_read(mp_obj_t self_in, void *buf_in, mp_uint_t size, int *errcode) {
    uint8_t *buf = buf_in;
    mp_uint_t count = 0;
    while (count < size && (UART1_REGISTERS->state & STATE_RX_FULL)) {
        buf[count++] = UART1_REGISTERS->data;
    }
    if (!count) {
        *errcode = MP_EAGAIN;
        return MP_STREAM_ERROR;
    }
    return count;
}

static mp_uint_t mp_machine_uart_write(mp_obj_t self_in, const void *buf_in, mp_uint_t size, int *errcode) {
    const uint8_t *buf = buf_in;
    for (mp_uint_t i = 0; i < size; i++) {
        while (UART1_REGISTERS->state & STATE_TX_FULL) {
        }
        UART1_REGISTERS->data = buf[i];
    }
    return size;
}

static mp_uint_t mp_machine_uart_ioctl(mp_obj_t self_in, mp_uint_t request, uintptr_t arg, int *errcode) {
    if (request == MP_STREAM_POLL) {
        uint32_t state = UART1_REGISTERS->state;
        return ((arg & MP_STREAM_POLL_RD) && (state & STATE_RX_FULL) ? MP_STREAM_POLL_RD : 0)
               | ((arg & MP_STREAM_POLL_WR) && !(state & STATE_TX_FULL) ? MP_STREAM_POLL_WR : 0);
    }
    *errcode = MP_EINVAL;
    return MP_STREAM_ERROR;
}
