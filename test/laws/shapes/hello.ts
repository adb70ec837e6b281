/**
 * A simultaneous hello, as in BGP (RFC 4271, 4.2, 4.4, 4.5 and 6): both sides say their OPEN without waiting for the other's,
 * and each confirms with a KEEPALIVE what it has heard. Who does not like it says a NOTIFICATION and goes.
 *
 *     both  OPEN  version, AS, hold time, identifier     then both  KEEPALIVE     or  NOTIFICATION
 */
import * as Effect from "effect/Effect"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import * as Protocol from "../../../src/Protocol.ts"
import type * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"

interface Open {
  readonly _tag: "Open"
  readonly version: number
  readonly as: number
  readonly hold: number
  readonly id: number
}
interface Notification {
  readonly _tag: "Notification"
  readonly code: number
  readonly subcode: number
}
interface Update {
  readonly _tag: "Update"
  readonly body: Uint8Array
}
type Frame = Open | Notification | Update | { readonly _tag: "Keepalive" }

const types = { Open: 1, Update: 2, Notification: 3, Keepalive: 4 } as const

const marker = new Uint8Array(16).fill(0xff)
const header = 19
const lengths = { Open: 29, Notification: 21, Keepalive: 19 } as const

const frames = Codec.gen<Frame>({
  maxLength: 4096,
  decode: function*(read) {
    for (let i = 0; i < marker.length; i++) {
      if ((yield* read.byte) !== 0xff) return yield* read.fail("the marker is not all ones")
    }
    const length = yield* read.uint(2)
    const type = yield* read.byte
    switch (type) {
      case types.Open: {
        if (length !== lengths.Open) return yield* read.fail("an OPEN without parameters has 29 bytes")
        const version = yield* read.byte
        const as = yield* read.uint(2)
        const hold = yield* read.uint(2)
        const id = yield* read.uint(4)
        if ((yield* read.byte) !== 0) return yield* read.fail("there are no optional parameters")
        return { _tag: "Open", version, as, hold, id }
      }
      case types.Update:
        if (length < header) return yield* read.fail("shorter than its header")
        return { _tag: "Update", body: yield* read.take(length - header) }
      case types.Notification:
        if (length !== lengths.Notification) return yield* read.fail("a NOTIFICATION without data has 21 bytes")
        return { _tag: "Notification", code: yield* read.byte, subcode: yield* read.byte }
      case types.Keepalive:
        return length === lengths.Keepalive ? { _tag: "Keepalive" } : yield* read.fail("a KEEPALIVE has 19 bytes")
      default:
        return yield* read.fail("no such type")
    }
  },
  encode: (frame, into) => {
    into.bytes(marker)
    into.uint(frame._tag === "Update" ? header + frame.body.length : lengths[frame._tag], 2, "big")
    into.uint(types[frame._tag], 1, "big")
    switch (frame._tag) {
      case "Open":
        into.uint(frame.version, 1, "big")
        into.uint(frame.as, 2, "big")
        into.uint(frame.hold, 2, "big")
        into.uint(frame.id, 4, "big")
        return into.uint(0, 1, "big")
      case "Update":
        return into.bytes(frame.body)
      case "Notification":
        return into.bytes(Uint8Array.of(frame.code, frame.subcode))
    }
  }
})

const session = Transport.framed(frames)

const notification = (code: number, subcode: number): Notification => ({ _tag: "Notification", code, subcode })

/** RFC 4271, 6.1, 6.2 and 6.6: how it is said what is wrong. */
const errors = {
  header: notification(1, 0),
  version: notification(2, 1),
  as: notification(2, 2),
  id: notification(2, 3),
  hold: notification(2, 6),
  state: notification(5, 0),
  busy: notification(6, 8)
} as const

export interface SideOptions {
  readonly as: number
  readonly id: number
  /** In seconds; 0 is for ever. */
  readonly hold: number
  /** The AS that the other side has to be of. */
  readonly peerAs: number
}

const side = (own: SideOptions) =>
  Effect.gen(function*() {
    const transport = yield* session
    yield* Handshake.send(transport, { _tag: "Open", version: 4, as: own.as, hold: own.hold, id: own.id })
    const refuse = (
      words: Notification,
      reason: HandshakeError.Reason = new HandshakeError.InvalidGreeting({
        expected: "an OPEN",
        received: "another one"
      })
    ) => Handshake.refuse(transport, words, reason)
    const heard = (frame: Frame) =>
      frame._tag === "Notification"
        ? Effect.fail(
          new HandshakeError.Rejected({
            by: "peer",
            said: `${frame.code}/${frame.subcode}`,
            retryable: frame.code === errors.busy.code
          })
        )
        : refuse(errors.state)
    const open = yield* Handshake.receive(transport, "open", (frame) => {
      if (frame._tag !== "Open") return heard(frame)
      if (frame.version !== 4) {
        return refuse(
          errors.version,
          new HandshakeError.UnsupportedVersion({ offered: `${frame.version}`, supported: ["4"] })
        )
      }
      if (frame.as !== own.peerAs) return refuse(errors.as)
      // It is 0 nowhere, and another one than ours.
      if (frame.id === 0 || frame.id === own.id) return refuse(errors.id)
      // One or two seconds are too few.
      if (frame.hold === 1 || frame.hold === 2) return refuse(errors.hold)
      return Effect.succeed(frame)
    }, { orReply: errors.header })
    yield* Handshake.send(transport, { _tag: "Keepalive" })
    yield* Handshake.receive(
      transport,
      "keepalive",
      (frame) => frame._tag === "Keepalive" ? Effect.void : heard(frame),
      { orReply: errors.header }
    )
    return Transport.extend(transport, { hold: Math.min(own.hold, open.hold), peerId: open.id, id: own.id })
  }).pipe(Handshake.deadline("10 seconds"))

export const hello = (options: { readonly server: SideOptions; readonly client: SideOptions }) =>
  Protocol.make({
    name: "hello",
    server: side(options.server),
    client: side(options.client),
    refuse: () => Handshake.refuse(session, errors.busy)
  })

// --- What its laws are told ---

const own: { readonly server: SideOptions; readonly client: SideOptions } = {
  server: { as: 65_001, id: 0x0a000001, hold: 90, peerAs: 65_002 },
  client: { as: 65_002, id: 0x0a000002, hold: 180, peerAs: 65_001 }
}
const sides = (options: { readonly server?: Partial<SideOptions>; readonly client?: Partial<SideOptions> }) =>
  hello({ server: { ...own.server, ...options.server }, client: { ...own.client, ...options.client } })
const both = sides({})

const bytesOf = (...said: ReadonlyArray<Frame>) => Codec.encodeAll(frames, said)

const read = (said: Uint8Array): Frame | undefined => {
  try {
    return Codec.decodeAll(frames, said)[0]
  } catch {
    return undefined
  }
}

/** Says this and confirms whatever it hears. */
const opening = (open: Partial<Open> & Pick<SideOptions, "as" | "id" | "hold">) =>
  Effect.gen(function*() {
    const transport = yield* session
    yield* transport.sendAll([{ _tag: "Open", version: 4, ...open }, { _tag: "Keepalive" }])
    const heard = [yield* transport.receive, yield* transport.receive]
    if (heard[1]._tag !== "Keepalive") return yield* Effect.fail(heard[1])
    return transport
  })
const impostors = ({ as, hold, id }: SideOptions, other: SideOptions) => [
  opening({ as, hold, id, version: 3 }),
  opening({ as, hold, id, version: 5 }),
  opening({ as: 65_003, hold, id }),
  opening({ as: other.as, hold, id }),
  opening({ as, hold, id: 0 }),
  opening({ as, hold, id: other.id }),
  opening({ as, hold: 1, id }),
  opening({ as, hold: 2, id })
]

const words = (frame: Frame | undefined, due: Frame | undefined, isServer: boolean): Notification | undefined => {
  const me = isServer ? own.server : own.client
  if (frame === undefined) return errors.header
  if (frame._tag === "Notification") return undefined
  if (frame._tag !== "Open" || due?._tag !== "Open") return errors.state
  if (frame.version !== 4) return errors.version
  if (frame.as !== me.peerAs) return errors.as
  return frame.id === 0 || frame.id === me.id ? errors.id : errors.hold
}

type S = Effect.Success<typeof both.server>
type C = Effect.Success<typeof both.client>

export const options: Laws.HandshakeOptions<S, C> = {
  name: "hello",
  server: both.server,
  client: both.client,
  deadline: "10 seconds",
  maxBytes: 8192,
  // Any hold time but 1 and 2 will do, and any identifier but 0 and one's own.
  accepts: ({ due, said, side }) => {
    const [frame, instead] = [read(due), read(said)]
    const { id } = own[side]
    return frame?._tag === "Open" && instead?._tag === "Open" && said.length === due.length &&
      // Not in the words of the codec, which may be wrong itself
      said.subarray(0, header).every((byte, at) => byte === due[at]) && said[said.length - 1] === 0 &&
      instead.version === frame.version && instead.as === frame.as && instead.id !== 0 && instead.id !== id &&
      instead.hold !== 1 && instead.hold !== 2
  },
  refusal: {
    server: ({ due, said }) => {
      const word = words(read(said), read(due), true)
      return word === undefined ? undefined : [word, errors.state].map((frame) => bytesOf(frame))
    },
    client: ({ due, said }) => {
      const word = words(read(said), read(due), false)
      return word === undefined ? undefined : [word, errors.state].map((frame) => bytesOf(frame))
    }
  },
  wrong: { server: [bytesOf(errors.busy)], client: [bytesOf(errors.busy)] },
  impostors: { client: impostors(own.client, own.server), server: impostors(own.server, own.client) },
  failure: ({ said }) => {
    const frame = read(said)
    return frame?._tag === "Notification"
      ? { reason: "Rejected", fault: "peer", retryable: frame.code === errors.busy.code }
      : { fault: "peer", retryable: false }
  },
  alternatives: [
    { name: "another client", client: sides({ client: { id: 0x0a000003, hold: 30 } }).client }
  ],
  negotiated: {
    server: ({ hold, id, peerId }) => [hold, id, peerId],
    client: ({ hold, id, peerId }) => [hold, peerId, id],
    value: [90, own.server.id, own.client.id]
  },
  calls: {
    serve: Pipeline.serve((frame: Frame) => Effect.succeed(frame)),
    requests: [{ _tag: "Update", body: Uint8Array.of(1, 2) }, { _tag: "Keepalive" }],
    respond: (frame) => frame
  }
}
