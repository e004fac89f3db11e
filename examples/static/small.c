/* Which of BearSSL's implementations a small static program has. By default there are several of
   most things, the fastest chosen at run time; here one of each, the smallest, which saves
   23 KB. All ciphers are BearSSL's own and run in constant time. What it costs is a few
   milliseconds of a handshake, X25519, which no server insists on (P-256, P-384 and P-521
   are left), and BearSSL's own source of randomness: whoever uses br_ssl_* beside
   compshare.h has to call br_ssl_engine_inject_entropy.

   These stand in for BearSSL's functions of the same names, as a linker takes from a
   library only what is still missing. */
#include <bearssl.h>

/* One arithmetic for all curves. */
void br_ssl_engine_set_default_ecdsa(br_ssl_engine_context *engine)
{
    br_ssl_engine_set_ec(engine, &br_ec_prime_i31);
    br_ssl_engine_set_ecdsa(engine, &br_ecdsa_i31_vrfy_asn1);
}

void br_ssl_engine_set_default_rsavrfy(br_ssl_engine_context *engine)
{
    br_ssl_engine_set_rsavrfy(engine, &br_rsa_i31_pkcs1_vrfy);
}

/* No instructions that only some processors have: ChaCha20 is then asked for first. */
const br_block_ctr_class *br_aes_x86ni_ctr_get_vtable(void) { return NULL; }
br_ghash br_ghash_pclmul_get(void) { return 0; }
br_chacha20_run br_chacha20_sse2_get(void) { return 0; }
br_poly1305_run br_poly1305_ctmulq_get(void) { return 0; }

/* The client gives BearSSL its randomness; no second source is asked. */
br_prng_seeder br_prng_seeder_system(const char **name)
{
    if (name != NULL) *name = "none";
    return 0;
}
