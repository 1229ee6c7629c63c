#include "aes.c"

// platform_util.c would bring a clock and calloc along: these two are all that AES and SHA-256 ask of it.
void mbedtls_platform_zeroize(void *buf, size_t len) {
    volatile unsigned char *p = buf;
    while (len--) {
        *p++ = 0;
    }
}

void mbedtls_zeroize_and_free(void *buf, size_t len) {
    if (buf) {
        mbedtls_platform_zeroize(buf, len);
    }
}
