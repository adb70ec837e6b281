/**
 * What tests of a handshake need.
 *
 * @since 0.1.0
 */

/**
 * Sockets in memory.
 *
 * @since 0.1.0
 */
export * as MemorySocket from "./testing/MemorySocket.ts"
