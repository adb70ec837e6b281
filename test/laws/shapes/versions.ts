/**
 * A negotiation of versions: the client offers those that it speaks, the server chooses the highest that it speaks too, and
 * both prove, with a key that they share, that they have heard the same, so that nobody between them can lower the choice.
 *
 *     C  Offer    versions, nonce           S  Choice   the version, all of the server's, nonce     or  Refusal
 *     C  Confirm  HMAC of what was said     S  Confirm  HMAC of what was said                       or  Refusal
 *
 * | frame | type | body |
 * |---|---|---|
 * | Offer | 1 | nonce (16), count (1), as many versions (2 each), each higher than the one before |
 * | Choice | 2 | nonce (16), version (2), count (1), as many versions |
 * | Confirm | 3 | HMAC-SHA-256 (32) |
 * | Refusal | 4 | why (1), count (1), as many versions |
 *
 * Before the body come "NV", the type, a byte that is reserved and 0, and the length of the body in two bytes.
 */
import * as Effect from "effect/Effect"
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import * as Protocol from "../../../src/Protocol.ts"
import type * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"

type Versions = ReadonlyArray<number>

type Frame =
  | { readonly _tag: "Offer"; readonly nonce: Uint8Array; readonly versions: Versions }
  | { readonly _tag: "Choice"; readonly nonce: Uint8Array; readonly version: number; readonly versions: Versions }
  | { readonly _tag: "Confirm"; readonly mac: Uint8Array }
  | { readonly _tag: "Refusal"; readonly why: number; readonly versions: Versions }

/** Why a side refuses. */
const why = { malformed: 1, version: 2, proof: 3, busy: 4 } as const

const types = { Offer: 1, Choice: 2, Confirm: 3, Refusal: 4 } as const

function* versionsOf(read: Codec.Reader): Codec.Reading<Versions> {
  const versions: Array<number> = []
  for (let count = yield* read.byte; count > 0; count--) {
    const version = yield* read.uint(2)
    if (version <= (versions.at(-1) ?? 0)) return yield* read.fail("each version is higher than the one before")
    versions.push(version)
  }
  return versions
}

function* bodyOf(read: Codec.Reader, type: number): Codec.Reading<Frame> {
  switch (type) {
    case types.Offer:
      return { _tag: "Offer", nonce: yield* read.take(16), versions: yield* versionsOf(read) }
    case types.Choice:
      return {
        _tag: "Choice",
        nonce: yield* read.take(16),
        version: yield* read.uint(2),
        versions: yield* versionsOf(read)
      }
    case types.Confirm:
      return { _tag: "Confirm", mac: yield* read.take(32) }
    case types.Refusal:
      return { _tag: "Refusal", why: yield* read.byte, versions: yield* versionsOf(read) }
    default:
      return yield* read.fail("no such type")
  }
}

const lengthOf = (frame: Frame): number => {
  switch (frame._tag) {
    case "Offer":
      return 17 + 2 * frame.versions.length
    case "Choice":
      return 19 + 2 * frame.versions.length
    case "Confirm":
      return 32
    case "Refusal":
      return 2 + 2 * frame.versions.length
  }
}

const writeVersions = (versions: Versions, into: Codec.ByteWriter) => {
  into.uint(versions.length, 1, "big")
  for (const version of versions) into.uint(version, 2, "big")
}

const frames = Codec.gen<Frame>({
  maxLength: 1024,
  decode: function*(read) {
    yield* read.expect("NV")
    const type = yield* read.byte
    if ((yield* read.byte) !== 0) return yield* read.fail("the reserved byte is not 0")
    const length = yield* read.uint(2)
    const frame = yield* bodyOf(read, type)
    return length === lengthOf(frame) ? frame : yield* read.fail("another length than that of its fields")
  },
  encode: (frame, into) => {
    into.string("NV")
    into.bytes(Uint8Array.of(types[frame._tag], 0))
    into.uint(lengthOf(frame), 2, "big")
    switch (frame._tag) {
      case "Offer":
        into.bytes(frame.nonce)
        return writeVersions(frame.versions, into)
      case "Choice":
        into.bytes(frame.nonce)
        into.uint(frame.version, 2, "big")
        return writeVersions(frame.versions, into)
      case "Confirm":
        return into.bytes(frame.mac)
      case "Refusal":
        into.uint(frame.why, 1, "big")
        return writeVersions(frame.versions, into)
    }
  }
})

const negotiation = Transport.framed(frames)
const packets = Codec.lengthPrefixed({ bytes: 2, maxLength: 1024 })

/** The best that both have. */
const highest = (offered: Versions, own: Versions): number | undefined =>
  offered.findLast((version) => own.includes(version))

/** What one side proves: that it knows the key, and has heard and said these two frames, down to the byte. */
const proofOf = (key: string, side: "client" | "server", offer: Frame, choice: Frame): Uint8Array =>
  createHmac("sha256", key).update(side).update(Codec.encodeAll(frames, [offer, choice])).digest()

const same = (a: Uint8Array, b: Uint8Array) => a.length === b.length && timingSafeEqual(a, b)

const refusal = (reason: number, versions: Versions): Frame => ({ _tag: "Refusal", why: reason, versions })

const authenticationFailed = (fault: "local" | "peer") =>
  new HandshakeError.AuthenticationFailed({ method: "transcript", detail: "what was said is not proved", fault })

/** Why this side has to give up that has heard something else than what was due. */
const unexpected = (expected: string, frame: Frame, own: Versions): HandshakeError.Reason => {
  if (frame._tag !== "Refusal") return new HandshakeError.InvalidGreeting({ expected, received: frame._tag })
  switch (frame.why) {
    case why.version:
      return new HandshakeError.UnsupportedVersion({
        offered: own.join(", "),
        supported: frame.versions.map(String),
        fault: "local"
      })
    case why.proof:
      return authenticationFailed("local")
    default:
      return new HandshakeError.Rejected({
        by: "peer",
        said: `refusal ${frame.why}`,
        retryable: frame.why === why.busy
      })
  }
}

export interface SideOptions {
  readonly key: string
  /** From the lowest to the highest. */
  readonly versions: Versions
}

/** Receives the proof of the other side. */
const confirmed = (
  transport: Effect.Success<typeof negotiation>,
  { key, versions }: SideOptions,
  side: "client" | "server",
  offer: Frame,
  choice: Frame
) =>
  Handshake.receive(transport, "confirm", (frame) =>
    frame._tag !== "Confirm"
      ? Effect.fail(unexpected("a confirmation", frame, versions))
      : same(frame.mac, proofOf(key, side, offer, choice))
      ? Effect.void
      : Effect.fail(authenticationFailed("peer")), { orReply: refusal(why.proof, []), secret: true })

const server = ({ key, versions }: SideOptions) =>
  Effect.gen(function*() {
    const transport = yield* negotiation
    const { offer, version } = yield* Handshake.receive(
      transport,
      "offer",
      (offer) => {
        if (offer._tag !== "Offer") return Effect.fail(unexpected("an offer", offer, versions))
        const version = highest(offer.versions, versions)
        return version !== undefined ? Effect.succeed({ offer, version }) : Handshake.refuse(
          transport,
          refusal(why.version, versions),
          new HandshakeError.UnsupportedVersion({
            offered: offer.versions.join(", "),
            supported: versions.map(String)
          })
        )
      },
      { orReply: refusal(why.malformed, versions) }
    )
    const choice: Frame = { _tag: "Choice", nonce: randomBytes(16), version, versions }
    yield* Handshake.send(transport, choice)
    yield* confirmed(transport, { key, versions }, "client", offer, choice)
    yield* Handshake.send(transport, { _tag: "Confirm", mac: proofOf(key, "server", offer, choice) }, {
      name: "prove",
      secret: true
    })
    return Transport.extend(yield* Transport.switchCodec(transport, packets), { version })
  }).pipe(Handshake.deadline("10 seconds"))

const client = ({ key, versions }: SideOptions) =>
  Effect.gen(function*() {
    const transport = yield* negotiation
    const offer: Frame = { _tag: "Offer", nonce: randomBytes(16), versions }
    yield* Handshake.send(transport, offer)
    const choice = yield* Handshake.receive(
      transport,
      "choice",
      (choice) =>
        choice._tag !== "Choice"
          ? Effect.fail(unexpected("a choice", choice, versions))
          // It must be the best that both have: whoever chooses less has been lied to, or lies.
          : choice.version === highest(versions, choice.versions)
          ? Effect.succeed(choice)
          : Effect.fail(
            new HandshakeError.UnsupportedVersion({ offered: `${choice.version}`, supported: versions.map(String) })
          ),
      { orReply: refusal(why.version, versions) }
    )
    yield* Handshake.send(transport, { _tag: "Confirm", mac: proofOf(key, "client", offer, choice) }, {
      name: "prove",
      secret: true
    })
    yield* confirmed(transport, { key, versions }, "server", offer, choice)
    return Transport.extend(yield* Transport.switchCodec(transport, packets), { version: choice.version })
  }).pipe(Handshake.deadline("5 seconds"))

export const versioned = (options: { readonly server: SideOptions; readonly client: SideOptions }) =>
  Protocol.make({
    name: "versions",
    server: server(options.server),
    client: client(options.client),
    refuse: () => Handshake.refuse(negotiation, refusal(why.busy, options.server.versions))
  })

// --- What its laws are told ---

const key = "a key of some length"
const serverVersions = [2, 3, 4, 7]
const clientVersions = [1, 3, 4, 5]
const sides = (options: { readonly server?: Partial<SideOptions>; readonly client?: Partial<SideOptions> }) =>
  versioned({
    server: { key, versions: serverVersions, ...options.server },
    client: { key, versions: clientVersions, ...options.client }
  })
const both = sides({})

/** A server that knows the key and chooses as it likes, whatever was offered. */
const choosing = (version: number, versions: Versions) =>
  Effect.gen(function*() {
    const transport = yield* negotiation
    const offer = yield* transport.receive
    const choice: Frame = { _tag: "Choice", nonce: randomBytes(16), version, versions }
    yield* transport.send(choice)
    yield* transport.receive
    yield* transport.send({ _tag: "Confirm", mac: proofOf(key, "server", offer, choice) })
    return yield* Effect.flatMap(Transport.switchCodec(transport, packets), ({ receive }) => receive)
  })

/** A side that proves something else than what was said. */
const proving = (proof: (offer: Frame, choice: Frame) => Uint8Array) =>
  Effect.gen(function*() {
    const transport = yield* negotiation
    const offer: Frame = { _tag: "Offer", nonce: randomBytes(16), versions: clientVersions }
    yield* transport.send(offer)
    const choice = yield* transport.receive
    yield* transport.send({ _tag: "Confirm", mac: proof(offer, choice) })
    const confirmed = yield* transport.receive
    if (confirmed._tag !== "Confirm") return yield* Effect.fail(confirmed)
    return transport
  })

/** A server that proves something else. */
const answering = (proof: (offer: Frame, choice: Frame, heard: Uint8Array) => Frame) =>
  Effect.gen(function*() {
    const transport = yield* negotiation
    const offer = yield* transport.receive
    const choice: Frame = { _tag: "Choice", nonce: randomBytes(16), version: 4, versions: serverVersions }
    yield* transport.send(choice)
    const confirm = yield* transport.receive
    yield* transport.send(proof(offer, choice, confirm._tag === "Confirm" ? confirm.mac : new Uint8Array(32)))
    return yield* Effect.flatMap(Transport.switchCodec(transport, packets), ({ receive }) => receive)
  })

const bytesOf = (...said: ReadonlyArray<Frame>) => Codec.encodeAll(frames, said)

/** Why somebody refuses with this; undefined where it is no refusal. */
const refusalIn = (said: Uint8Array): number | undefined => {
  try {
    const [frame] = Codec.decodeAll(frames, said)
    return frame?._tag === "Refusal" ? frame.why : undefined
  } catch {
    return undefined
  }
}

type S = Effect.Success<typeof both.server>
type C = Effect.Success<typeof both.client>

export const options: Laws.HandshakeOptions<S, C> = {
  name: "versions",
  server: both.server,
  client: both.client,
  deadline: { server: "10 seconds", client: "5 seconds" },
  maxBytes: 2048,
  secrets: [key],
  fresh: { server: true, client: true },
  // Nobody answers a refusal. What is wrong with a nonce or a list shows only in the proof.
  refusal: {
    server: ({ index, said }) =>
      refusalIn(said) !== undefined ? undefined : [
        refusal(why.proof, []),
        ...(index === 0 ? [refusal(why.malformed, serverVersions), refusal(why.version, serverVersions)] : [])
      ].map((frame) => bytesOf(frame)),
    client: ({ index, said }) =>
      refusalIn(said) !== undefined ? undefined : [
        refusal(why.proof, []),
        ...(index === 0 ? [refusal(why.version, clientVersions)] : [])
      ].map((frame) => bytesOf(frame))
  },
  wrong: {
    server: [
      bytesOf({ _tag: "Offer", nonce: new Uint8Array(16), versions: [] }),
      bytesOf({ _tag: "Offer", nonce: new Uint8Array(16), versions: [1, 5, 6] }),
      bytesOf({ _tag: "Offer", nonce: new Uint8Array(16), versions: [4, 3] })
    ],
    client: [bytesOf(refusal(why.busy, [])), bytesOf(refusal(99, []))]
  },
  impostors: {
    client: [
      sides({ client: { versions: [1, 5] } }).client,
      sides({ client: { versions: [] } }).client,
      sides({ client: { key: "another key" } }).client,
      proving((offer, choice) => proofOf("another key", "client", offer, choice)),
      proving((offer, choice) => proofOf(key, "server", offer, choice)),
      proving((offer, choice) => proofOf(key, "client", { ...offer, versions: [3] } as Frame, choice)),
      proving((offer, choice) => proofOf(key, "client", offer, { ...choice, version: 3 } as Frame)),
      proving(() => new Uint8Array(32))
    ],
    server: [
      sides({ server: { key: "another key" } }).server,
      choosing(3, serverVersions),
      choosing(7, serverVersions),
      choosing(2, [2]),
      choosing(0, []),
      answering((offer, choice) => ({ _tag: "Confirm", mac: proofOf("another key", "server", offer, choice) })),
      answering((_offer, _choice, mac) => ({ _tag: "Confirm", mac })),
      answering((offer, choice) => ({
        _tag: "Confirm",
        mac: proofOf(key, "server", { ...offer, versions: [4] } as Frame, choice)
      })),
      answering(() => ({ _tag: "Confirm", mac: new Uint8Array(32) }))
    ]
  },
  failure: ({ index, said, side }) => {
    switch (refusalIn(said)) {
      case undefined:
        // A choice with another nonce is found out by the server, which does not believe the client then.
        return { retryable: false, ...(side === "client" && index === 0 ? {} : { fault: "peer" }) }
      case why.version:
        return { reason: "UnsupportedVersion", fault: "local", retryable: false }
      case why.proof:
        return { reason: "AuthenticationFailed", fault: "local", retryable: false }
      case why.busy:
        return { reason: "Rejected", fault: "peer", retryable: true }
      default:
        return { reason: "Rejected", fault: "peer", retryable: false }
    }
  },
  alternatives: [
    { name: "an old client", client: sides({ client: { versions: [2] } }).client },
    { name: "a newer client", client: sides({ client: { versions: [3, 4, 7, 9] } }).client }
  ],
  negotiated: { server: ({ version }) => version, client: ({ version }) => version, value: 4 },
  calls: {
    serve: Pipeline.serve((packet: Uint8Array) => Effect.succeed(packet.toReversed())),
    requests: [Uint8Array.of(1, 2, 3), Uint8Array.of(), Uint8Array.of(4, 5)],
    respond: (packet) => packet.toReversed()
  }
}
