/**
 * What those see who watch a transport.
 *
 * @internal
 */
import * as Context from "effect/Context"
import type * as Peer from "../../Peer.ts"

/**
 * What happens on a transport, for those who watch it.
 *
 * **Details**
 *
 * `frame` is a printable excerpt without secrets, `bytes` is the frame as it stands on the wire, with its delimiter or
 * its length field, and `length` is how many bytes that is. The bytes are a copy. `bytes` is `undefined` where something
 * is hidden: in a step that is `secret`, where the frame holds a `Redacted`, and where its description shows one.
 *
 * A frame is `Received` once, when it is taken; one that a sink gives back is not received again. Put together, the bytes
 * that were received are those of the connection, each of them once. `Secured` tells that TLS has come about; its own bytes
 * are not shown. `Introduced` tells who the peer is from then on, where a handshake has learnt it. The end is told when somebody runs into it: `how`
 * says that the peer has `closed` in order or that the connection is `broken`; it is `undefined` where this side cannot or
 * will not go on.
 *
 * **Gotchas**
 *
 * A `describe` of yours that hides a part of a frame has to show `<redacted>` in its place. Nothing else tells that the
 * bytes are to be hidden too.
 *
 * @category models
 * @since 0.1.0
 */
export type Event =
  | { readonly _tag: "Connected"; readonly peer: Peer.Peer }
  | ({ readonly _tag: "Received" } & Observed)
  | ({ readonly _tag: "Sent" } & Observed)
  | { readonly _tag: "Secured"; readonly tls: Peer.Tls }
  | { readonly _tag: "Introduced"; readonly peer: Peer.Peer }
  | { readonly _tag: "Ended"; readonly message: string; readonly how: "closed" | "broken" | undefined }

/**
 * A frame, as those who watch a transport see it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Observed {
  readonly frame: string
  readonly bytes: Uint8Array | undefined
  readonly length: number
}

/**
 * Watches a transport. It is called at once for each event and must not throw. One that returns {@link unwatch} is called no
 * more; what else it returns means nothing.
 *
 * @category models
 * @since 0.1.0
 */
export type Observer = (event: Event) => unknown

/**
 * What an `Observer` returns when it has seen enough. The transport is then as fast again as one that nobody watches.
 *
 * @category symbols
 * @since 0.1.0
 */
export const unwatch: unique symbol = Symbol.for("effect-handshake/Transport/unwatch")

/** Who watches the connections that are opened inside it. */
export const CurrentObserver: Context.Reference<Observer | undefined> = Context.Reference<Observer | undefined>(
  "effect-handshake/Transport/CurrentObserver",
  { defaultValue: () => undefined }
)
