// Time on the mps2-an385: CMSDK APB timer 0 counts down at 25 MHz and is read whenever the time is asked for.
// It wraps after 171 s: whoever lives on this board asks more often than that.
// 32-bit arithmetic only: libgcc's 64-bit division brings an unwind section for which the linker script has no place.
#include "py/runtime.h"
#include "py/mphal.h"

#define MHZ (25)

typedef struct {
    volatile uint32_t ctrl;
    volatile uint32_t value;
    volatile uint32_t reload;
} timer_t_;

#define TIMER0 ((timer_t_ *)0x40000000)

static uint32_t last, ticks, us, us_rest, ms, ms_rest;

static void advance(void) {
    if (!(TIMER0->ctrl & 1)) {
        TIMER0->reload = 0xffffffff;
        TIMER0->value = 0xffffffff;
        TIMER0->ctrl = 1;
        last = 0xffffffff;
    }
    uint32_t now = TIMER0->value;
    uint32_t passed = last - now;
    last = now;
    ticks += passed;
    us_rest += passed % MHZ;
    uint32_t whole_us = passed / MHZ + us_rest / MHZ;
    us_rest %= MHZ;
    us += whole_us;
    ms_rest += whole_us % 1000;
    ms += whole_us / 1000 + ms_rest / 1000;
    ms_rest %= 1000;
}

mp_uint_t mp_hal_ticks_us(void) {
    advance();
    return us;
}

mp_uint_t mp_hal_ticks_ms(void) {
    advance();
    return ms;
}

mp_uint_t mp_hal_ticks_cpu(void) {
    advance();
    return ticks;
}

uint64_t mp_hal_time_ns(void) {
    advance();
    return (uint64_t)us * 1000;
}

void mp_hal_delay_us(mp_uint_t n) {
    uint32_t begun = mp_hal_ticks_us();
    while (mp_hal_ticks_us() - begun < n) {
    }
}

void mp_hal_delay_ms(mp_uint_t n) {
    uint32_t begun = mp_hal_ticks_ms();
    while (mp_hal_ticks_ms() - begun < n) {
        mp_event_handle_nowait();
    }
}
