/*
 * C interface of the static library `cryptotensors_aead`: ring (AEADs, Ed25519, SHA-256, CSPRNG), BLAKE3, and key
 * agreement by x25519-dalek and p256.
 *
 * No function unwinds, keeps a pointer after it returns, or allocates. Those that return bool return false on failure and
 * then leave nothing to rely on in their outputs. Pointers of length 0 may be null.
 */
#ifndef CRYPTOTENSORS_AEAD_H
#define CRYPTOTENSORS_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An expanded key lives in storage that the caller provides, aligned, and wipes after use. It owns nothing besides. */
#define CRYPTOTENSORS_AEAD_KEY_BYTES 640
#define CRYPTOTENSORS_AEAD_KEY_ALIGN 64

/* Values of `algorithm`. */
#define CRYPTOTENSORS_AES_128_GCM 0
#define CRYPTOTENSORS_AES_256_GCM 1
#define CRYPTOTENSORS_CHACHA20_POLY1305 2

/* False for an unknown algorithm or a key of the wrong length. */
bool cryptotensors_aead_key_init(void *storage, uint32_t algorithm, const uint8_t *key, size_t key_length);

/*
 * Empty additional data. `in` and `out` are the same or do not overlap. `key` is storage that was initialised.
 * open: on a wrong tag false, and `out` is zeroed.
 */
bool cryptotensors_aead_open(const void *key, const uint8_t iv[12], const uint8_t *in, uint8_t *out, size_t length,
                             const uint8_t tag[16]);
bool cryptotensors_aead_seal(const void *key, const uint8_t iv[12], const uint8_t *in, uint8_t *out, size_t length,
                             uint8_t tag[16]);

/* RFC 8032, pure. */
bool cryptotensors_ed25519_public(const uint8_t seed[32], uint8_t out[32]);
bool cryptotensors_ed25519_sign(const uint8_t seed[32], const uint8_t *message, size_t length, uint8_t out[64]);
bool cryptotensors_ed25519_verify(const uint8_t public_key[32], const uint8_t *message, size_t length,
                                  const uint8_t signature[64]);

/* Values of `curve`. A public key of X25519 is 32 bytes (RFC 7748), one of P-256 64: x and y. A private key is 32. */
#define CRYPTOTENSORS_X25519 0
#define CRYPTOTENSORS_P256 1

/* False for bytes that are no private key, and for an `out` of another length than the curve's public keys have. */
bool cryptotensors_agreement_public(uint32_t curve, const uint8_t secret[32], uint8_t *out, size_t out_length);
/* Whether the bytes are a public key: on P-256 a point of the curve, on X25519 any 32. */
bool cryptotensors_agreement_is_public(uint32_t curve, const uint8_t *key, size_t length);
/*
 * ECDH-ES (RFC 7518 4.6): the agreement, then one round of the Concat KDF with SHA-256 over `info`, for 32 bytes.
 * False if `peer` is no public key, or one of small order.
 */
bool cryptotensors_agreement_key(uint32_t curve, const uint8_t secret[32], const uint8_t *peer, size_t peer_length,
                                 const uint8_t *info, size_t info_length, uint8_t out[32]);
/* AES-256-GCM with additional data. On a wrong tag false, and `out` is zeroed. `in` and `out` are the same or apart. */
bool cryptotensors_message_open(const uint8_t key[32], const uint8_t iv[12], const uint8_t *additional,
                                size_t additional_length, const uint8_t *in, uint8_t *out, size_t length,
                                const uint8_t tag[16]);

bool cryptotensors_sha256(const uint8_t *message, size_t length, uint8_t out[32]);
bool cryptotensors_blake3(const uint8_t *message, size_t length, uint8_t out[32]);

/* The system's CSPRNG. */
bool cryptotensors_random(uint8_t *out, size_t length);

/* NUL-terminated, static. */
const char *cryptotensors_ring_version(void);
const char *cryptotensors_blake3_version(void);

#ifdef __cplusplus
}
#endif

#endif
