/**
 * What was said on a connection, in order and without secrets, drawn as a sequence diagram.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Peer from "./Peer.ts"
import * as Transport from "./Transport.ts"

/**
 * One line of a transcript.
 *
 * **Details**
 *
 * `atMs` counts milliseconds from the beginning of the recording. `frame` is a printable excerpt of what was sent or
 * received; for a `note` it says what happened to the connection.
 *
 * @category models
 * @since 0.1.0
 */
export interface Entry {
  readonly atMs: number
  readonly direction: "sent" | "received" | "note"
  readonly frame: string
}

/**
 * What was said, in order.
 *
 * @category models
 * @since 0.1.0
 */
export type Transcript = ReadonlyArray<Entry>

/**
 * Collects a transcript while a conversation goes on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Recorder {
  /** To be provided as `Transport.CurrentObserver`. */
  readonly observer: Transport.Observer
  /** Adds a note. */
  readonly note: (text: string) => void
  /** What was said so far. */
  readonly entries: () => Transcript
}

/**
 * Begins a recording.
 *
 * @category constructors
 * @since 0.1.0
 */
export const recorder: Effect.Effect<Recorder> = Effect.map(Clock.Clock, (clock) => {
  const entries: Array<Entry> = []
  const start = clock.currentTimeMillisUnsafe()
  const add = (direction: Entry["direction"], frame: string) => {
    entries.push({ atMs: clock.currentTimeMillisUnsafe() - start, direction, frame })
  }
  return {
    observer: (event) => {
      switch (event._tag) {
        case "Connected":
          return add("note", `connected to ${Peer.format(event.peer)}`)
        case "Sent":
          return add("sent", event.frame)
        case "Received":
          return add("received", event.frame)
        case "Ended":
          return add("note", event.message)
      }
    },
    note: (text) => add("note", text),
    entries: () => entries.slice()
  }
})

/**
 * Runs an Effect and records what is said on the connections that it opens. Returns how it ended, and the transcript.
 *
 * **Example** (The transcript of a client)
 *
 * ```ts
 * import { Codec, Handshake, Transcript, Transport } from "effect-handshake"
 * import { MemorySocket } from "effect-handshake/testing"
 * import { Effect } from "effect"
 * import { Socket } from "effect/socket"
 *
 * const client = Transport.framed(Codec.lines()).pipe(Handshake.send("You ready?"), Handshake.expect("Bring it!"))
 *
 * const program = Effect.gen(function*() {
 *   const [here, there] = yield* MemorySocket.pair()
 *   const server = yield* Transport.framed(Codec.lines()).pipe(Effect.provideService(Socket.Socket, there))
 *   yield* server.send("Bring it!")
 *   const [, transcript] = yield* Transcript.record(client).pipe(Effect.provideService(Socket.Socket, here))
 *   return transcript.map((entry) => `${entry.direction} ${entry.frame}`)
 * })
 *
 * console.log((await Effect.runPromise(Effect.scoped(program))).join("\n"))
 * // => note connected to unknown peer
 * // => sent "You ready?"
 * // => received "Bring it!"
 * ```
 *
 * @category combinators
 * @since 0.1.0
 */
export const record = <A, E, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<readonly [exit: Exit.Exit<A, E>, transcript: Transcript], never, R> =>
  Effect.flatMap(recorder, (recorder) =>
    Effect.map(
      Effect.exit(Effect.provideService(self, Transport.CurrentObserver, recorder.observer)),
      (exit) => [exit, recorder.entries()] as const
    ))

/**
 * Draws a transcript as a sequence diagram in text. `self` is the side that recorded it, `peer` the other one.
 *
 * **Example** (A diagram)
 *
 * ```ts
 * import { Transcript } from "effect-handshake"
 *
 * console.log(Transcript.diagram([
 *   { atMs: 0, direction: "sent", frame: "\"You ready?\"" },
 *   { atMs: 2, direction: "received", frame: "\"Bring it!\"" }
 * ]))
 * // => client                  server
 * // =>   │                       │
 * // =>   │ "You ready?"          │
 * // =>   ├──────────────────────►│  0 ms
 * // =>   │           "Bring it!" │
 * // =>   │◄──────────────────────┤  2 ms
 * ```
 *
 * @category formatting
 * @since 0.1.0
 */
export const diagram = (
  transcript: Transcript,
  options?: { readonly self?: string | undefined; readonly peer?: string | undefined }
): string => {
  const self = options?.self ?? "client"
  const peer = options?.peer ?? "server"
  const said = transcript.filter((entry) => entry.direction !== "note")
  // A label stands centred above its line, in `margin` or `margin + width + 1`.
  const left = Math.floor((self.length - 1) / 2)
  const right = Math.floor((peer.length - 1) / 2)
  const margin = " ".repeat(Math.max(2, left))
  const labels = self.length - left + right
  const width = Math.max(23, labels + 1, ...said.map((entry) => entry.frame.length + 3))
  const first = " ".repeat(margin.length - left) + self
  const lines = [first.padEnd(margin.length + width + 1 - right) + peer, `${margin}│${" ".repeat(width)}│`]
  for (const { atMs, direction, frame } of transcript) {
    switch (direction) {
      case "sent":
        lines.push(`${margin}│ ${frame.padEnd(width - 1)}│`, `${margin}├${"─".repeat(width - 1)}►│  ${atMs} ms`)
        break
      case "received":
        lines.push(`${margin}│${frame.padStart(width - 1)} │`, `${margin}│◄${"─".repeat(width - 1)}┤  ${atMs} ms`)
        break
      case "note":
        lines.push(`${margin}· ${frame}  (${atMs} ms)`)
        break
    }
  }
  return lines.join("\n")
}
