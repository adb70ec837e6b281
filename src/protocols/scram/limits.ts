/**
 * How many iterations and how long a salt there can be (RFC 5802 5.1, RFC 7677 4).
 *
 * @internal
 */

/** RFC 7677 4: at least 4096. */
export const defaultIterations = 4096

/** RFC 5802 9: a hostile server can keep a client busy by asking for many iterations. */
export const defaultMaxIterations = 1_000_000

/** What a derivation can be asked for at all. */
export const iterationsLimit = 0x7fff_ffff

/** In bytes. RFC 5802 has no minimum; PostgreSQL's salts and those made here have 16. */
export const minSaltLength = 8
