/** A door with a PIN, in bytes. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Bytes from "../../../src/Bytes.ts"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Transport from "../../../src/Transport.ts"
import * as Wire from "../../../src/Wire.ts"

/** With bounds, or without any. */
export const specified = (maxBytes: number | undefined) => {
  class Door extends Dialogue.make<Door>()({
    name: "door",
    messages: {
      Open: {
        floor: Schema.Int,
        flags: Schema.Literal(0),
        pin: Schema.Redacted(Schema.Uint8Array),
        note: Dialogue.free(Schema.String)
      },
      Opened: { seconds: Dialogue.free(Schema.Int) },
      Shut: { code: Dialogue.free(Schema.Literals([1, 2, 3])) }
    },
    wire: Wire.bytes({
      Open: [
        0x4f,
        Wire.uint("floor", 2),
        Wire.uint("flags", 1),
        Wire.blob("pin", { length: 6 }),
        Wire.string("note", { prefix: 1 })
      ],
      Opened: [0x59, Wire.uint("seconds", 1)],
      Shut: [0x4e, Wire.uint("code", 1)]
    }),
    live: Codec.bytes,
    start: "open",
    states: {
      open: Dialogue.client({ Open: "answer" }, { maxBytes, within: maxBytes === undefined ? undefined : "2 seconds" }),
      answer: Dialogue.server({ Opened: Dialogue.ready, Shut: Dialogue.refused({ codeField: "code" }) })
    },
    otherwise: { server: { _tag: "Shut", code: 3 } }
  }) {}
  return Door
}

export const Door = specified(24)

export const Boundless = specified(undefined)

const pin = Uint8Array.of(0x31, 0x34, 0x31, 0x35, 0x39, 0x32)

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i])

export const server = (
  { isFloor = (floor) => floor === 3, isPin = (given) => isSame(given, pin) }: {
    readonly isFloor?: (floor: number) => boolean
    readonly isPin?: (given: Uint8Array) => boolean
  } = {},
  dialogue = Door
) =>
  dialogue.server((open) =>
    Effect.gen(function*() {
      const { message, then: answer } = yield* open.receive
      if (!isFloor(message.floor) || !isPin(Redacted.value(message.pin))) {
        return yield* answer.refuse("Shut", { code: 1 })
      }
      return yield* answer.say("Opened", { seconds: 5 })
    })
  )

export const client = (dialogue = Door) =>
  dialogue.client((open) =>
    Effect.gen(function*() {
      const answer = yield* open.say("Open", { floor: 3, flags: 0, pin: Redacted.make(pin), note: "it is me" })
      return (yield* answer.receive).then
    })
  )

/** Written by hand, without bounds. */
export const serverByHand = (slips: { readonly looksAtFlags?: boolean; readonly throwsAtNotes?: boolean } = {}) => {
  const opens = Codec.gen<Uint8Array>({
    *decode(read) {
      const head = yield* read.take(11)
      const rest = yield* read.take(head[10]!)
      const note = Bytes.decodeUtf8(rest)
      if (note === undefined) return yield* read.fail("the note is no text")
      if (slips.throwsAtNotes === true) decodeURIComponent(note)
      return Uint8Array.of(...head, ...rest)
    },
    encode: (bytes, into) => into.bytes(bytes)
  })
  const shut = Uint8Array.of(0x4e, 3)
  return Transport.framed(opens, { describe: () => "<redacted>" }).pipe(
    Handshake.verify(
      "open",
      (bytes) =>
        bytes[0] === 0x4f && bytes[1] === 0 && bytes[2] === 3 && (slips.looksAtFlags === false || bytes[3] === 0) &&
          isSame(bytes.subarray(4, 10), pin)
          ? Effect.void
          : Effect.fail(new HandshakeError.InvalidGreeting({ expected: "an O", received: "another one" })),
      {
        orReply: shut,
        secret: true
      }
    ),
    Handshake.send(Uint8Array.of(0x59, 5), { name: "answer" }),
    Handshake.withRefusal(() => Handshake.refuse(Transport.framed(opens), shut)),
    Handshake.named("door")
  )
}
