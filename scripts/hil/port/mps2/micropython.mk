MPS2_DIR := $(USERMOD_DIR)
SRC_USERMOD_C += $(MPS2_DIR)/timer_mps2.c
SRC_USERMOD_LIB_C += $(MPS2_DIR)/mbedtls_aes.c $(MPS2_DIR)/mbedtls_sha256.c
CFLAGS_USERMOD += -I$(MBEDTLS_SRC)/include -I$(MBEDTLS_SRC)/library
