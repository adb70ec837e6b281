/**
 * What tests of a handshake need.
 *
 * @stability stable
 * @since 0.1.0
 */

/**
 * Sockets in memory.
 *
 * @since 0.1.0
 */
export * as MemorySocket from "./testing/MemorySocket.ts"

/**
 * A peer that plays a script, or a recording.
 *
 * @since 0.1.0
 */
export * as ScriptedPeer from "./testing/ScriptedPeer.ts"

/**
 * A network in memory that behaves like a real one.
 *
 * @since 0.1.0
 */
export * as SimulatedNetwork from "./testing/SimulatedNetwork.ts"

/**
 * The laws of handshakes and codecs.
 *
 * @since 0.1.0
 */
export * as Laws from "./testing/Laws.ts"

/**
 * What handshakes are tried on.
 *
 * @since 0.1.0
 */
export * as Rung from "./testing/Rung.ts"
