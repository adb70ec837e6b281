/**
 * The peer of a side under test, on a socket of its own: what it says comes message by message.
 *
 * @internal
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Socket from "effect/socket/Socket"
import * as Tracer from "effect/Tracer"
import { concat } from "../../internal/bytes/primitives.ts"
import { CurrentRewrite } from "../../internal/connection/transport.ts"
import * as Transport from "../../Transport.ts"
import type { Peer, Plan } from "./talk.ts"

const nothing = new Uint8Array(0)

const unseen = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

/** The peer, on a socket of its own: what it says comes message by message. */
export class Opposite {
  readonly isDone = Deferred.makeUnsafe<void>()
  readonly messages: Array<Uint8Array> = []
  readonly frames: Array<unknown> = []
  readonly hidden: Array<boolean> = []
  altered: Uint8Array | undefined
  exit: Exit.Exit<unknown, unknown> | undefined
  behind: Exit.Exit<unknown, unknown> | undefined
  // How long each frame is that was sent and not seen yet: one write may hold several.
  private readonly lengths: Array<number> = []
  private unfinished: Uint8Array = nothing
  /** Called when its handshake has ended. */
  private readonly onShaken: () => void

  constructor(onShaken: () => void) {
    this.onShaken = onShaken
  }

  play(peer: Peer, socket: Socket.Socket, { alters, peerBehind: behind }: Plan): Effect.Effect<void> {
    return Effect.exit(peer).pipe(
      Effect.flatMap((exit) => {
        this.exit = exit
        this.onShaken()
        if (Exit.isFailure(exit)) return Effect.void
        // It stays, or its end would be taken for the end of the conversation.
        if (behind === undefined || !Transport.isTransport(exit.value)) return Effect.never
        return Effect.flatMap(Effect.exit(behind(exit.value)), (exit) => {
          this.behind = exit
          Deferred.doneUnsafe(this.isDone, Exit.void)
          return Effect.never
        })
      }),
      Effect.scoped,
      Effect.withSpan("peer", {}, { captureStackTrace: false }),
      Effect.provideContext(
        Context.make(Socket.Socket, socket).pipe(
          // What it lets show is seen where it is under test itself.
          Context.add(Tracer.Tracer, unseen),
          Context.add(References.CurrentLoggers, new Set()),
          Context.add(Metric.MetricRegistry, new Map()),
          Context.add(Transport.CurrentObserver, (event) => {
            if (event._tag !== "Sent") return
            this.lengths.push(event.length)
            this.hidden.push(event.bytes === undefined)
          }),
          Context.add(CurrentRewrite, (frame, say, due) => {
            const index = this.frames.push(frame) - 1
            const instead = alters?.index === index ? alters.apply(frame) : undefined
            if (instead === undefined) return false
            const altered = due()
            const isSaid = say(instead)
            if (isSaid) this.altered = altered
            return isSaid
          })
        )
      )
    )
  }

  /** The messages that are complete with these bytes. */
  take(chunk: Uint8Array): ReadonlyArray<Uint8Array> {
    let bytes = concat([this.unfinished, chunk])
    const found: Array<Uint8Array> = []
    while (this.lengths.length > 0 && this.lengths[0] <= bytes.length) {
      const length = this.lengths.shift()!
      found.push(bytes.subarray(0, length))
      bytes = bytes.subarray(length)
    }
    // Who writes without a transport says one message with each write.
    if (this.lengths.length === 0 && bytes.length > 0) {
      found.push(bytes)
      bytes = nothing
    }
    this.unfinished = bytes
    return found
  }
}
