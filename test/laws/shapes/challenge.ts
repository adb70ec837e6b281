/**
 * A mutual challenge: both sides prove that they know the key of a user, over a nonce of each.
 *
 *     C  HELLO <user> <nonce>     S  CHALLENGE <nonce> <HMAC>     or  DENIED
 *     C  PROOF <HMAC>             S  WELCOME                      or  DENIED
 *
 * Whose proof it is stands in what is proved, or each side could be given its own one back.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { createHmac, randomBytes, timingSafeEqual } from "node:crypto"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import * as Protocol from "../../../src/Protocol.ts"
import type * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"

const lines = Transport.framed(Codec.lines({ maxLength: 256 }))

/** Where the nonces come from: sixteen bytes, in hexadecimal digits. */
export type Nonce = Effect.Effect<string>

export const cryptoNonce: Nonce = Effect.sync(() => randomBytes(16).toString("hex"))

/** The same each time under the laws. */
export const randomNonce: Nonce = Effect.map(
  Effect.all(Array.from({ length: 16 }, () => Random.nextIntBetween(0, 255))),
  (bytes) => Buffer.from(bytes).toString("hex")
)

const proofOf = (key: string, side: "client" | "server", user: string, client: string, server: string): string =>
  createHmac("sha256", key).update(JSON.stringify([side, user, client, server])).digest("hex")

const same = (a: string, b: string) => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const invalid = (expected: string) =>
  Effect.fail(new HandshakeError.InvalidGreeting({ expected, received: "another line" }))

const failed = (fault: "local" | "peer") =>
  Effect.fail(new HandshakeError.AuthenticationFailed({ method: "challenge", detail: "not proved", fault }))

/** What a line says that is not the one that was due. */
const unexpected = (line: string, expected: string) =>
  line === "DENIED"
    ? failed("local")
    : line === "BUSY"
    ? Effect.fail(new HandshakeError.Rejected({ by: "peer", said: line, retryable: true }))
    : invalid(expected)

export interface Options {
  readonly users: Readonly<Record<string, string>>
  readonly user: string
  readonly key: string
  readonly nonce: Nonce
}

const server = ({ nonce, users }: Pick<Options, "nonce" | "users">) =>
  Effect.gen(function*() {
    const transport = yield* lines
    const { theirs, user } = yield* Handshake.receive(transport, "hello", (line) => {
      const [, user, theirs] = /^HELLO ([a-z]{1,16}) ([0-9a-f]{32})$/.exec(line) ?? []
      return user === undefined ? invalid("HELLO, a user and a nonce") : Effect.succeed({ theirs, user })
    }, { orReply: "DENIED" })
    const own = yield* nonce
    // Nobody learns from this who is known: the key of who is not is one that nobody has.
    const key = Object.hasOwn(users, user) ? users[user] : randomBytes(32).toString("hex")
    yield* Handshake.send(transport, `CHALLENGE ${own} ${proofOf(key, "server", user, theirs, own)}`, {
      name: "challenge",
      secret: true
    })
    yield* Handshake.receive(transport, "proof", (line) => {
      const [, proof] = /^PROOF ([0-9a-f]{64})$/.exec(line) ?? []
      if (proof === undefined) return unexpected(line, "PROOF")
      return same(proof, proofOf(key, "client", user, theirs, own)) ? Effect.void : failed("peer")
    }, { orReply: "DENIED", secret: true })
    yield* Handshake.send(transport, "WELCOME")
    return Transport.extend(transport, { user })
  }).pipe(Handshake.deadline("10 seconds"))

const client = ({ key, nonce, user }: Pick<Options, "key" | "nonce" | "user">) =>
  Effect.gen(function*() {
    const transport = yield* lines
    const own = yield* nonce
    yield* Handshake.send(transport, `HELLO ${user} ${own}`, { name: "hello" })
    const theirs = yield* Handshake.receive(transport, "challenge", (line) => {
      const [, theirs, proof] = /^CHALLENGE ([0-9a-f]{32}) ([0-9a-f]{64})$/.exec(line) ?? []
      if (theirs === undefined) return unexpected(line, "CHALLENGE")
      // A nonce that is our own is a mirror.
      return theirs !== own && same(proof, proofOf(key, "server", user, own, theirs))
        ? Effect.succeed(theirs)
        : failed("peer")
    }, { orReply: "DENIED", secret: true })
    yield* Handshake.send(transport, `PROOF ${proofOf(key, "client", user, own, theirs)}`, {
      name: "proof",
      secret: true
    })
    yield* Handshake.receive(
      transport,
      "welcome",
      (line) => line === "WELCOME" ? Effect.void : unexpected(line, "WELCOME"),
      { orReply: "DENIED" }
    )
    return Transport.extend(transport, { user })
  }).pipe(Handshake.deadline("10 seconds"))

export const challenge = (options: Options) =>
  Protocol.make({
    name: "challenge",
    server: server(options),
    client: client(options),
    refuse: () => Handshake.refuse(lines, "BUSY")
  })

// --- What its laws are told ---

const users = { ann: "the key of ann", bob: "bob has another one" }

const says = (line: string) => (said: Uint8Array) => new TextDecoder().decode(said) === `${line}\n`
const isDenied = says("DENIED")
const isBusy = says("BUSY")

const optionsWith = (nonce: Nonce) => {
  const sides = (options: Partial<Options>) => challenge({ users, user: "ann", key: users.ann, nonce, ...options })
  const { client, server } = sides({})
  const ask = (proof: (theirs: string, own: string, heard: string) => string) =>
    Effect.gen(function*() {
      const transport = yield* lines
      const own = yield* nonce
      yield* transport.send(`HELLO ann ${own}`)
      const [, theirs, heard] = (yield* transport.receive).split(" ")
      yield* transport.send(`PROOF ${proof(theirs, own, heard)}`)
      const answer = yield* transport.receive
      if (answer !== "WELCOME") return yield* Effect.fail(answer)
      return transport
    })
  const answer = (proof: (theirs: string, own: string) => string) =>
    Effect.gen(function*() {
      const transport = yield* lines
      const [, , theirs] = (yield* transport.receive).split(" ")
      const own = yield* nonce
      yield* transport.send(`CHALLENGE ${proof(theirs, own)}`)
      yield* transport.receive
      yield* transport.send("WELCOME")
      return yield* transport.receive
    })
  const options: Laws.HandshakeOptions<Effect.Success<typeof server>, Effect.Success<typeof client>> = {
    name: "challenge",
    server,
    client,
    deadline: "10 seconds",
    maxBytes: 512,
    secrets: Object.values(users),
    fresh: { server: true, client: true },
    // Nobody answers a no.
    refusal: {
      server: ({ index, said }) => index === 1 && (isDenied(said) || isBusy(said)) ? undefined : "DENIED\n",
      client: ({ said }) => isDenied(said) || isBusy(said) ? undefined : "DENIED\n"
    },
    wrong: { client: ["BUSY\n"] },
    impostors: {
      client: [
        sides({ key: users.bob }).client,
        sides({ user: "eve", key: users.ann }).client,
        sides({ user: "constructor", key: "" }).client,
        ask((theirs, own) => proofOf("a guess", "client", "ann", own, theirs)),
        ask((_theirs, _own, heard) => heard),
        ask((theirs, own) => proofOf(users.ann, "client", "bob", own, theirs)),
        ask((theirs, own) => proofOf(users.ann, "client", "ann", theirs, own)),
        ask((theirs) => proofOf(users.ann, "client", "ann", "", theirs)),
        ask((_theirs, own) => proofOf(users.ann, "client", "ann", own, ""))
      ],
      server: [
        sides({ users: { ann: users.bob } }).server,
        answer((theirs, own) => `${own} ${proofOf("a guess", "server", "ann", theirs, own)}`),
        answer((theirs, own) => `${own} ${proofOf(users.ann, "client", "ann", theirs, own)}`),
        answer((_theirs, own) => `${own} ${proofOf(users.ann, "server", "ann", "", own)}`),
        answer((theirs, own) => `${own} ${proofOf(users.ann, "server", "ann", theirs, "")}`),
        answer((theirs) => `${theirs} ${proofOf(users.ann, "server", "ann", theirs, theirs)}`),
        answer((theirs, own) => `${own} ${proofOf(users.bob, "server", "bob", theirs, own)}`)
      ]
    },
    // What is wrong with a hello, the client finds out, and says no to it.
    failure: ({ index, said, side }) =>
      side === "server" && index === 0
        ? { retryable: false }
        : isDenied(said)
        ? { reason: "AuthenticationFailed", fault: "local", retryable: false }
        : isBusy(said)
        ? { reason: "Rejected", fault: "peer", retryable: true }
        : { fault: "peer", retryable: false },
    alternatives: [{ name: "another user", client: sides({ user: "bob", key: users.bob }).client }],
    negotiated: { server: ({ user }) => user, client: ({ user }) => user, value: "ann" },
    calls: {
      serve: Pipeline.serve((line: string) => Effect.succeed(line.toUpperCase())),
      requests: ["a", "b", "c"],
      respond: (line) => line.toUpperCase()
    }
  }
  return options
}

export const options = optionsWith(cryptoNonce)

export const seededOptions = { ...optionsWith(randomNonce), name: "challenge with seeded nonces" }
