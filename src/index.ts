/**
 * Connection handshakes as first-class Effects.
 *
 * @stability stable
 * @since 0.1.0
 */

export * as Admission from "./Admission.ts"
export * as Body from "./Body.ts"
export * as Bytes from "./Bytes.ts"
export * as Client from "./Client.ts"
export * as Codec from "./Codec.ts"
export * as Dialogue from "./Dialogue.ts"
export * as Excerpt from "./Excerpt.ts"
export * as Handshake from "./Handshake.ts"
export * as HandshakeError from "./HandshakeError.ts"
export * as Middleware from "./Middleware.ts"
export * as Multiplex from "./Multiplex.ts"
export * as Peer from "./Peer.ts"
export * as Pipeline from "./Pipeline.ts"
export * as Protocol from "./Protocol.ts"
export * as Server from "./Server.ts"
export * as Service from "./Service.ts"
export * as Transcript from "./Transcript.ts"
export * as Transport from "./Transport.ts"
export * as TransportError from "./TransportError.ts"
export * as Wire from "./Wire.ts"
