/**
 * Versions are negotiated: the client says which ones it speaks, the server chooses the newest that both know, and what comes behind
 * the handshake depends on it.
 */
import { Effect, Schema } from "effect"
import { Codec, Dialogue, HandshakeError, Transport, Wire } from "effect-handshake"
import { MemorySocket } from "effect-handshake/testing"
import { Socket } from "effect/socket"

const lines = Codec.lines()
const packets = Codec.lengthPrefixed()

class Versions extends Dialogue.make<Versions>()({
  name: "versions",
  messages: {
    Offer: { versions: Dialogue.free(Schema.String) },
    Old: {},
    New: {},
    None: { known: Dialogue.free(Schema.String) }
  },
  wire: Wire.text(lines, { Offer: "VERSIONS {versions}", Old: "USE 1", New: "USE 2", None: "NONE OF {known}" }),
  live: lines,
  start: "offer",
  states: {
    offer: Dialogue.client({ Offer: "choice" }),
    choice: Dialogue.server({
      Old: Dialogue.ready,
      // From version 2 on, frames have their length before them.
      New: Dialogue.readyWith(packets),
      None: Dialogue.refused({ retryable: false })
    })
  },
  otherwise: { server: { _tag: "None", known: "1 2" } }
}) {}

const server = Versions.server((offer) =>
  Effect.gen(function*() {
    const { message, then: choice } = yield* offer.receive
    const offered = message.versions.split(" ")
    if (offered.includes("2")) return Transport.extend(yield* choice.say("New"), { version: 2 })
    if (offered.includes("1")) return Transport.extend(yield* choice.say("Old"), { version: 1 })
    const reason = new HandshakeError.UnsupportedVersion({ offered: message.versions, supported: ["1", "2"] })
    return yield* choice.refuse("None", { known: "1 2" }, reason)
  })
)

const client = (...versions: ReadonlyArray<number>) =>
  Versions.client((offer) =>
    Effect.gen(function*() {
      const choice = yield* offer.say("Offer", { versions: versions.join(" ") })
      const chosen = yield* choice.receive
      // Each answer has its own transport: that of `New` sends and receives bytes.
      return chosen._tag === "New"
        ? Transport.extend(chosen.then, { version: 2 })
        : Transport.extend(chosen.then, { version: 1 })
    })
  )

const agree = (...versions: ReadonlyArray<number>) =>
  Effect.scoped(Effect.gen(function*() {
    const [here, there] = yield* MemorySocket.pair()
    yield* Effect.forkScoped(Effect.provideService(server, Socket.Socket, there))
    const { version } = yield* Effect.provideService(client(...versions), Socket.Socket, here)
    return `version ${version}`
  })).pipe(Effect.catchTag("HandshakeError", ({ message }) => Effect.succeed(message)))

console.log(await Effect.runPromise(agree(1, 2, 3))) // => version 2
console.log(await Effect.runPromise(agree(1))) // => version 1
console.log(await Effect.runPromise(agree(7)))
// => versions handshake failed at step choice: rejected by the peer: "NONE OF 1 2"
