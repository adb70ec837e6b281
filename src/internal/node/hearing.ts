/**
 * The events of Node's sockets, and who hears them: one function for all sockets, so that neither a socket nor what is done with
 * it costs functions of its own, and that a socket changes hands without a listener being taken off and another put on.
 *
 * @internal
 */
import type * as NodeNet from "node:net"

/** Who hears what happens to a socket. */
export interface Hearer {
  onData(chunk: Uint8Array): void
  onEnd(error: undefined): void
  onDrain(): void
  onError(error: Error): void
  onClose(): void
  /** An error of TLS, which a server's socket that was made by hand tells by this name; while it shakes hands, `onError` follows. */
  onTlsError?(error: Error): void
  /** TLS is there, and the peer was not looked at yet. */
  onSecure?(): void
}

const HearerKey = Symbol("effect-handshake/Hearer")

interface Heard extends NodeNet.Socket {
  [HearerKey]?: Hearer | undefined
}

// Node calls them with the socket as `this`.
function onData(this: Heard, chunk: Uint8Array): void {
  this[HearerKey]?.onData(chunk)
}
function onEnd(this: Heard): void {
  this[HearerKey]?.onEnd(undefined)
}
function onDrain(this: Heard): void {
  this[HearerKey]?.onDrain()
}
function onError(this: Heard, error: Error): void {
  this[HearerKey]?.onError(error)
}
function onClose(this: Heard): void {
  this[HearerKey]?.onClose()
}
function onTlsError(this: Heard, error: Error): void {
  this[HearerKey]?.onTlsError?.(error)
}
function onSecure(this: Heard): void {
  this[HearerKey]?.onSecure?.()
}

/** Each socket needs it from its beginning, before anybody hears: an error that nobody listens to ends the process. */
export const listenToErrors = (conn: NodeNet.Socket): void => {
  conn.on("error", onError)
}

/** To all but errors. It stays for good: of a socket that nobody hears any more, it goes nowhere. */
export const listen = (conn: NodeNet.Socket): void => {
  conn.on("data", onData)
  conn.on("end", onEnd)
  conn.on("drain", onDrain)
  conn.on("close", onClose)
}

/** To what a server's socket of TLS tells besides. */
export const listenToTls = (socket: NodeNet.Socket): void => {
  socket.on("_tlsError", onTlsError)
  socket.on("secure", onSecure)
}

/** From now on it is this one who hears, or nobody. */
export const hear = (conn: Heard, hearer: Hearer | undefined): void => {
  conn[HearerKey] = hearer
}
