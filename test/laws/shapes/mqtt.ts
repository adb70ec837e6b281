/**
 * As MQTT 3.1.1 begins: one packet with a fixed header, a length of several bytes, flags that say what follows, and a login;
 * four bytes for an answer.
 *
 *     C CONNECT (level 4, flags, keep-alive, client id, user, password)
 *     S CONNACK (session present, return code)
 *
 * The server refuses with a return code who is not let in, and closes without a word where what came is no CONNECT, as the
 * specification wants it. So does a client that does not understand its answer.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { timingSafeEqual } from "node:crypto"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import type * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"

interface Connect {
  readonly _tag: "Connect"
  readonly level: number
  readonly clean: boolean
  /** In seconds. */
  readonly keepAlive: number
  readonly clientId: string
  readonly user: string | undefined
  readonly password: string | undefined
}

interface Connack {
  readonly _tag: "Connack"
  readonly present: boolean
  readonly code: number
}

interface Publish {
  readonly _tag: "Publish"
  readonly id: number
  readonly topic: string
  readonly payload: string
}

interface Puback {
  readonly _tag: "Puback"
  readonly id: number
}

type Packet = Connect | Connack | Publish | Puback

/** What a packet is made of, from its front. */
class Fields {
  private readonly bytes: Uint8Array
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  take(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) throw new RangeError("it ends in a field")
    this.at += length
    return this.bytes.subarray(this.at - length, this.at)
  }

  byte(): number {
    return this.take(1)[0]
  }

  uint16(): number {
    return this.byte() * 256 + this.byte()
  }

  /** 1.5.3: UTF-8, without U+0000. */
  text(length = this.uint16()): string {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.take(length))
    if (text.includes("\0")) throw new RangeError("a text with U+0000")
    return text
  }

  get rest(): number {
    return this.bytes.length - this.at
  }
}

const connectOf = (fields: Fields): Connect => {
  if (fields.text() !== "MQTT") throw new RangeError("another protocol")
  const level = fields.byte()
  const flags = fields.byte()
  // 3.1.2.3 to 3.1.2.8: the lowest bit is reserved, and nobody has a will here. A password needs a user.
  if ((flags & 0b0011_1101) !== 0) throw new RangeError("a flag that must not be set")
  if ((flags & 0b1100_0000) === 0b0100_0000) throw new RangeError("a password without a user")
  return {
    _tag: "Connect",
    level,
    clean: (flags & 2) !== 0,
    keepAlive: fields.uint16(),
    clientId: fields.text(),
    user: flags & 0x80 ? fields.text() : undefined,
    password: flags & 0x40 ? fields.text() : undefined
  }
}

const connackOf = (fields: Fields): Connack => {
  const [flags, code] = [fields.byte(), fields.byte()]
  // 3.2.2.2: who is refused has no session.
  if (flags > 1 || code > 5 || flags === 1 && code !== 0) throw new RangeError("no such answer")
  return { _tag: "Connack", present: flags === 1, code }
}

const packetOf = (frame: Uint8Array): Packet => {
  const fields = new Fields(frame)
  switch (fields.byte()) {
    case 0x10:
      return connectOf(fields)
    case 0x20:
      return connackOf(fields)
    case 0x32: {
      const topic = fields.text()
      return { _tag: "Publish", topic, id: fields.uint16(), payload: fields.text(fields.rest) }
    }
    case 0x40:
      return { _tag: "Puback", id: fields.uint16() }
    default:
      throw new RangeError("there is no such packet")
  }
}

const number = (value: number, width: 1 | 2): Uint8Array => {
  if (!Number.isInteger(value) || value < 0 || value >= 256 ** width) throw new RangeError("no such number")
  return width === 1 ? Uint8Array.of(value) : Uint8Array.of(value >> 8, value & 255)
}

const field = (text: string): Uint8Array => {
  if (!text.isWellFormed() || text.includes("\0")) throw new RangeError("no such text")
  const bytes = new TextEncoder().encode(text)
  return Buffer.concat([number(bytes.length, 2), bytes])
}

const fieldsOf = (packet: Packet): ReadonlyArray<Uint8Array> => {
  switch (packet._tag) {
    case "Connect": {
      const { clean, clientId, keepAlive, level, password, user } = packet
      const flags = (clean ? 2 : 0) + (user === undefined ? 0 : 0x80) + (password === undefined ? 0 : 0x40)
      return [
        Uint8Array.of(0x10),
        field("MQTT"),
        number(level, 1),
        Uint8Array.of(flags),
        number(keepAlive, 2),
        ...[clientId, user, password].filter((text) => text !== undefined).map(field)
      ]
    }
    case "Connack":
      return [Uint8Array.of(0x20, packet.present ? 1 : 0), number(packet.code, 1)]
    case "Publish":
      return [
        Uint8Array.of(0x32),
        field(packet.topic),
        number(packet.id, 2),
        field(packet.payload).subarray(2)
      ]
    case "Puback":
      return [Uint8Array.of(0x40), number(packet.id, 2)]
  }
}

const packets = Codec.lengthPrefixed({ offset: 1, bytes: "varint", maxBytes: 4, maxLength: 2048 }).pipe(
  Codec.mapOrFail({
    decode: (frame): Result.Result<Packet, string> =>
      Result.try({
        try: () => {
          const packet = packetOf(frame)
          if (Buffer.compare(Buffer.concat(fieldsOf(packet)), frame) !== 0) throw new RangeError("more than its fields")
          return packet
        },
        catch: (error) => error instanceof RangeError ? error.message : "no text"
      }),
    encode: (packet: Packet): Result.Result<Uint8Array, string> =>
      Result.try({
        try: () => Buffer.concat(fieldsOf(packet)),
        catch: (error) => error instanceof RangeError ? error.message : "no packet"
      })
  })
)

const open = Transport.framed(packets)

const same = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const codes = { accepted: 0, version: 1, clientId: 2, unavailable: 3, login: 4, nobody: 5 }

const denied = (detail: string) =>
  new HandshakeError.AuthenticationFailed({ method: "password", detail, fault: "peer" })

/** Who must not come in, and what is said to him. */
const refusalOf = (
  { clientId, level, password, user }: Connect,
  users: ReadonlyMap<string, string>
): { readonly code: number; readonly reason: HandshakeError.Reason } | undefined => {
  if (level !== 4) {
    return {
      code: codes.version,
      reason: new HandshakeError.UnsupportedVersion({ offered: `level ${level}`, supported: ["level 4"] })
    }
  }
  if (!/^[0-9a-zA-Z]{1,23}$/.test(clientId)) {
    return {
      code: codes.clientId,
      reason: new HandshakeError.InvalidGreeting({ expected: "1 to 23 letters and digits", received: "another id" })
    }
  }
  if (user === undefined || password === undefined) return { code: codes.nobody, reason: denied("no login") }
  const known = users.get(user)
  return known !== undefined && same(known, password)
    ? undefined
    : { code: codes.login, reason: denied("no such login") }
}

const serverOf = (users: ReadonlyMap<string, string>, sessions: ReadonlySet<string>) =>
  Effect.gen(function*() {
    const transport = yield* open
    const connect = yield* Handshake.receive(transport, "CONNECT", (packet) =>
      packet._tag === "Connect"
        ? Effect.succeed(packet)
        : Effect.fail(new HandshakeError.InvalidGreeting({ expected: "CONNECT", received: packet._tag })), {
      secret: true
    })
    const refusal = refusalOf(connect, users)
    if (refusal !== undefined) {
      const { code, reason } = refusal
      return yield* Handshake.refuse(transport, { _tag: "Connack", present: false, code }, reason)
    }
    const { clean, clientId, keepAlive, user } = connect
    const present = !clean && sessions.has(clientId)
    yield* Handshake.send(transport, { _tag: "Connack", present, code: codes.accepted }, { name: "CONNACK" })
    return Transport.extend(transport, { clientId, keepAlive, user, present })
  }).pipe(
    Handshake.withRefusal(() => Handshake.refuse(open, { _tag: "Connack", present: false, code: codes.unavailable })),
    Handshake.named("mqtt")
  )

const refusedWith = (code: number): HandshakeError.Reason => {
  switch (code) {
    case codes.version:
      return new HandshakeError.UnsupportedVersion({ offered: "level 4", supported: [], fault: "local" })
    case codes.login:
    case codes.nobody:
      return new HandshakeError.AuthenticationFailed({ method: "password", detail: `code ${code}`, fault: "local" })
    default:
      return new HandshakeError.Rejected({
        by: "peer",
        said: "CONNACK",
        code: `${code}`,
        retryable: code === codes.unavailable
      })
  }
}

const passwords = { alice: "correct horse", bob: "battery staple" }

const clientOf = (options: Partial<Connect>) => {
  const connect: Connect = {
    _tag: "Connect",
    level: 4,
    clean: true,
    keepAlive: 60,
    clientId: "sensor1",
    user: "alice",
    password: passwords.alice,
    ...options
  }
  return Effect.gen(function*() {
    const transport = yield* open
    yield* Handshake.send(transport, connect, { name: "CONNECT", secret: true })
    const present = yield* Handshake.receive(transport, "CONNACK", (packet) => {
      if (packet._tag !== "Connack") {
        return Effect.fail(new HandshakeError.InvalidGreeting({ expected: "CONNACK", received: packet._tag }))
      }
      if (packet.code !== codes.accepted) return Effect.fail(refusedWith(packet.code))
      // 3.2.2.2: whoever wants no session has none.
      return packet.present && connect.clean
        ? Effect.fail(new HandshakeError.InvalidGreeting({ expected: "no session", received: "a session" }))
        : Effect.succeed(packet.present)
    })
    const { clientId, keepAlive, user } = connect
    return Transport.extend(transport, { clientId, keepAlive, user, present })
  }).pipe(Handshake.named("mqtt"))
}

const server = serverOf(new Map(Object.entries(passwords)), new Set(["sensor2"]))
const client = clientOf({})

/** The packet that some bytes begin with, if they do. */
const firstOf = (said: Uint8Array): Packet | undefined => {
  try {
    return Codec.decodeAll(packets, said).at(0)
  } catch {
    return undefined
  }
}

const connect = Codec.encodeAll(packets, [
  {
    _tag: "Connect",
    level: 4,
    clean: true,
    keepAlive: 60,
    clientId: "sensor1",
    user: "alice",
    password: passwords.alice
  }
])

const connack = (code: number) => Uint8Array.of(0x20, 2, 0, code)

export const mqtt: Laws.HandshakeOptions<Effect.Success<typeof server>, Effect.Success<typeof client>> = {
  name: "mqtt",
  server,
  client,
  secrets: Object.values(passwords),
  alternatives: [
    { name: "bob", client: clientOf({ user: "bob", password: passwords.bob, clientId: "sensor3", keepAlive: 0 }) },
    ...[
      { name: "a session", clean: false, clientId: "sensor2", present: true },
      { name: "a session that is not wanted", clean: true, clientId: "sensor2", present: false },
      { name: "no session", clean: false, clientId: "sensor3", present: false }
    ].map(({ clean, clientId, name, present }) => ({
      name,
      client: clientOf({ clean, clientId }),
      value: { clientId, keepAlive: 60, present, user: "alice" }
    }))
  ],
  impostors: {
    client: [
      { password: passwords.bob },
      { user: "nobody" },
      { password: undefined },
      { user: undefined, password: undefined },
      { level: 3 },
      { level: 5 },
      { clientId: "" },
      { clientId: "a".repeat(24) }
    ].map(clientOf),
    server: [serverOf(new Map(), new Set())]
  },
  accepts: ({ due, said, side }) => {
    // The codec may be wrong itself: what it must not take is compared as bytes, all but the flag for a clean session.
    const isSame = (from: number, to: number) => Buffer.compare(said.subarray(from, to), due.subarray(from, to)) === 0
    if (side === "client" || said[0] !== due[0] || !isSame(2, 9) || (said[9] & ~2) !== (due[9] & ~2)) return false
    // Whoever says who he is may choose his own name, and whether he has a session.
    const packet = firstOf(said)
    const length = 12 + ["", "alice", passwords.alice].reduce((sum, text) => sum + 2 + text.length, 0)
    return packet?._tag === "Connect" && packet.level === 4 && /^[0-9a-zA-Z]{1,23}$/.test(packet.clientId) &&
      packet.user === "alice" && packet.password === passwords.alice &&
      said.length === length + packet.clientId.length
  },
  wrong: {
    // Something behind the last field, and a length that is longer than it need be.
    server: [
      Uint8Array.of(0x10, connect.length - 1, ...connect.subarray(2), 0x78),
      Uint8Array.of(0x10, connect[1] + 0x80, 0, ...connect.subarray(2))
    ],
    client: [connack(1), connack(2), connack(3), connack(5)]
  },
  refusal: {
    server: ({ said }) => {
      const packet = firstOf(said)
      if (packet?._tag !== "Connect") return undefined
      if (packet.level !== 4) return connack(1)
      if (!/^[0-9a-zA-Z]{1,23}$/.test(packet.clientId)) return connack(2)
      return packet.user === undefined || packet.password === undefined ? connack(5) : connack(4)
    },
    client: () => undefined
  },
  failure: ({ said, side }) => {
    const packet = firstOf(said)
    if (side === "server") {
      return packet?._tag === "Connect" && packet.level !== 4
        ? { reason: "UnsupportedVersion", fault: "peer" }
        : { fault: "peer", retryable: false }
    }
    if (packet?._tag !== "Connack" || packet.code === 0) return { fault: "peer", retryable: false }
    return packet.code === 1
      ? { reason: "UnsupportedVersion", fault: "local" }
      : packet.code > 3
      ? { reason: "AuthenticationFailed", fault: "local" }
      : { reason: "Rejected", retryable: packet.code === 3 }
  },
  negotiated: {
    server: ({ clientId, keepAlive, present, user }) => ({ clientId, keepAlive, present, user }),
    client: ({ clientId, keepAlive, present, user }) => ({ clientId, keepAlive, present, user }),
    value: { clientId: "sensor1", keepAlive: 60, present: false, user: "alice" }
  },
  calls: {
    serve: Pipeline.serve((packet: Packet) =>
      Effect.succeed<Packet>({ _tag: "Puback", id: packet._tag === "Publish" ? packet.id : 0 })
    ),
    requests: [1, 2, 700].map((id): Publish => ({ _tag: "Publish", id, topic: "a/b", payload: "hello" })),
    respond: (packet): Packet => ({ _tag: "Puback", id: packet._tag === "Publish" ? packet.id : 0 })
  }
}
