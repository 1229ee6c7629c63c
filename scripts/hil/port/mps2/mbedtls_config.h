// The two primitives that cryptolib and hashlib take from mbed TLS, and nothing else of it.
#define MBEDTLS_AES_C
#define MBEDTLS_CIPHER_MODE_CBC
#define MBEDTLS_AES_FEWER_TABLES
#define MBEDTLS_SHA256_C
