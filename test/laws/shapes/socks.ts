/**
 * As SOCKS5 lets a client through to somebody else (RFC 1928), with a name and a password (RFC 1929): three questions and
 * three answers in bytes, each pair with frames of its own, and behind them whatever the other end speaks.
 *
 *     C 05 <number of methods> <methods>      S 05 02
 *     C 01 <length> user <length> password    S 01 00
 *     C 05 01 00 <address> <port>             S 05 00 00 <address> <port>
 *
 * The server refuses methods with 05 ff, a login with 01 01, and a request with the reply code that fits. To what is none of
 * these messages it says nothing, and a client that does not understand its answer does not either.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { timingSafeEqual } from "node:crypto"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import type * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"

const byte = (due: number) =>
  function*(read: Codec.Reader): Codec.Reading<number> {
    return (yield* read.byte) === due ? due : yield* read.fail(`${due} was due`)
  }

const version = byte(5)
const loginVersion = byte(1)

/** What a client can do, and which of that the server wants. */
const methods = Codec.gen<ReadonlyArray<number>>({
  decode: function*(read) {
    yield* version(read)
    const count = yield* read.byte
    return count === 0 ? yield* read.fail("no method") : [...(yield* read.take(count))]
  },
  encode: (methods, into) => into.bytes(Uint8Array.of(5, methods.length, ...methods))
})

const method = Codec.gen<number>({
  decode: function*(read) {
    yield* version(read)
    return yield* read.byte
  },
  encode: (method, into) => into.bytes(Uint8Array.of(5, method))
})

interface Login {
  readonly user: string
  readonly password: string
}

const short = (text: string, into: Codec.ByteWriter) => {
  const bytes = new TextEncoder().encode(text)
  if (bytes.length === 0 || bytes.length > 255) return false
  into.bytes(Uint8Array.of(bytes.length))
  into.bytes(bytes)
  return true
}

const unencodable = (problem: string) => Result.fail(new Codec.MalformedFrame({ problem, excerpt: "", fault: "local" }))

const logins = Codec.gen<Login>({
  decode: function*(read) {
    yield* loginVersion(read)
    const user = yield* read.text(yield* read.byte)
    const password = yield* read.text(yield* read.byte)
    return user === "" || password === "" ? yield* read.fail("nothing where a text was due") : { user, password }
  },
  encode: ({ password, user }, into) => {
    into.bytes(Uint8Array.of(1))
    return short(user, into) && short(password, into) ? undefined : unencodable("no such login")
  }
})

const status = Codec.gen<number>({
  decode: function*(read) {
    yield* loginVersion(read)
    return yield* read.byte
  },
  encode: (status, into) => into.bytes(Uint8Array.of(1, status))
})

/** An address of IPv4, of IPv6, or a name. */
type Address =
  | { readonly type: 1 | 4; readonly bytes: Uint8Array }
  | { readonly type: 3; readonly name: string }

/** What a client asks for, or what came of it. `address` is not there where it is of a type that nobody knows. */
interface Message {
  readonly code: number
  readonly address: Address | undefined
  readonly port: number
}

const messages = Codec.gen<Message>({
  decode: function*(read) {
    yield* version(read)
    const code = yield* read.byte
    yield* byte(0)(read)
    const type = yield* read.byte
    let address: Address
    switch (type) {
      case 1:
      case 4:
        address = { type, bytes: yield* read.take(type === 1 ? 4 : 16) }
        break
      case 3: {
        const name = yield* read.text(yield* read.byte)
        if (name === "") return yield* read.fail("a name has a letter")
        address = { type, name }
        break
      }
      default:
        // Nobody knows how long it is.
        return { code, address: undefined, port: 0 }
    }
    return { code, address, port: yield* read.uint(2) }
  },
  encode: ({ address, code, port }, into) => {
    if (address === undefined) return unencodable("no address")
    into.bytes(Uint8Array.of(5, code, 0, address.type))
    if (address.type !== 3) into.bytes(address.bytes)
    else if (!short(address.name, into)) return unencodable("no such name")
    into.uint(port, 2, "big")
  }
})

const same = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const nowhere: Address = { type: 1, bytes: new Uint8Array(4) }
const here: Address = { type: 1, bytes: Uint8Array.of(192, 0, 2, 1) }

const withLogin = 2
const noMethod = 0xff
const refusals = { general: 1, forbidden: 2, command: 7, address: 8 }

const showAddress = (address: Address): string =>
  address.type === 3 ? address.name : Buffer.from(address.bytes).toString("hex")

const invalid = (expected: string, received: string) => new HandshakeError.InvalidGreeting({ expected, received })

/** Lets those who have a password here through to the `targets`, which are names or addresses. */
const serverOf = (users: ReadonlyMap<string, string>, targets: ReadonlySet<string>) =>
  Effect.gen(function*() {
    const greeted = yield* Transport.framed(Codec.duplex(methods, method))
    const offered = yield* Handshake.receive(greeted, "methods", (methods) => Effect.succeed(methods))
    if (!offered.includes(withLogin)) {
      return yield* Handshake.refuse(greeted, noMethod, invalid("a login", `methods ${offered.join(", ")}`))
    }
    yield* Handshake.send(greeted, withLogin, { name: "method" })

    const entering = yield* Handshake.switchCodec(greeted, Codec.duplex(logins, status))
    const { password, user } = yield* Handshake.receive(entering, "login", (login) => Effect.succeed(login), {
      secret: true
    })
    const known = users.get(user)
    if (known === undefined || !same(known, password)) {
      const reason = new HandshakeError.AuthenticationFailed({ method: "login", detail: "not accepted", fault: "peer" })
      return yield* Handshake.refuse(entering, 1, reason)
    }
    yield* Handshake.send(entering, 0, { name: "welcome" })

    const asking = yield* Handshake.switchCodec(entering, messages)
    const { address, code, port } = yield* Handshake.receive(asking, "request", (request) => Effect.succeed(request))
    const no = (code: number, reason: HandshakeError.Reason) =>
      Handshake.refuse(asking, { code, address: nowhere, port: 0 }, reason)
    if (code !== 1) return yield* no(refusals.command, invalid("CONNECT", `command ${code}`))
    if (address === undefined) return yield* no(refusals.address, invalid("an address", "another type of it"))
    const target = `${showAddress(address)}:${port}`
    if (!targets.has(target)) {
      const reason = new HandshakeError.Rejected({ by: "local", said: "forbidden", retryable: false })
      return yield* no(refusals.forbidden, reason)
    }
    yield* Handshake.send(asking, { code: 0, address: here, port: 1080 }, { name: "reply" })
    return Transport.extend(yield* Handshake.switchCodec(asking, Codec.bytes), { user, target })
  }).pipe(
    Handshake.withRefusal(() => Handshake.refuse(Transport.framed(Codec.duplex(methods, method)), noMethod)),
    Handshake.named("socks")
  )

const clientOf = ({ command = 1, login, methods: offered = [0, withLogin], port = 443, target }: {
  readonly login: Login
  readonly target: Address
  readonly port?: number
  readonly command?: number
  readonly methods?: ReadonlyArray<number>
}) =>
  Effect.gen(function*() {
    const greeting = yield* Transport.framed(Codec.duplex(method, methods))
    yield* Handshake.send(greeting, offered, { name: "methods" })
    yield* Handshake.verify(greeting, "method", (method) => {
      if (method === withLogin) return Effect.void
      return Effect.fail(
        method === noMethod
          ? new HandshakeError.Rejected({ by: "peer", said: "no method", code: "255", retryable: false })
          : invalid("a login", `method ${method}`)
      )
    })

    const entering = yield* Handshake.switchCodec(greeting, Codec.duplex(status, logins))
    yield* Handshake.send(entering, login, { name: "login", secret: true })
    yield* Handshake.verify(entering, "welcome", (status) =>
      status === 0
        ? Effect.void
        : Effect.fail(
          new HandshakeError.AuthenticationFailed({ method: "login", detail: `status ${status}`, fault: "local" })
        ))

    const asking = yield* Handshake.switchCodec(entering, messages)
    yield* Handshake.send(asking, { code: command, address: target, port }, { name: "request" })
    yield* Handshake.verify(asking, "reply", ({ address, code }) => {
      if (code !== 0) {
        return Effect.fail(
          new HandshakeError.Rejected({
            by: "peer",
            said: "not let through",
            code: `${code}`,
            retryable: code === refusals.general
          })
        )
      }
      return address === undefined ? Effect.fail(invalid("an address", "another type of it")) : Effect.void
    })
    return Transport.extend(yield* Handshake.switchCodec(asking, Codec.bytes), {
      user: login.user,
      target: `${showAddress(target)}:${port}`
    })
  }).pipe(Handshake.named("socks"))

const alice: Login = { user: "alice", password: "correct horse" }
const bob: Login = { user: "bob", password: "battery staple" }
const named: Address = { type: 3, name: "example.com" }
const numbered: Address = { type: 4, bytes: Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1) }

const users = new Map([alice, bob].map(({ password, user }) => [user, password]))
const targets = new Set(["example.com:443", `${showAddress(numbered)}:22`])

const server = serverOf(users, targets)
const client = clientOf({ login: alice, target: named })

export const socks: Laws.HandshakeOptions<Effect.Success<typeof server>, Effect.Success<typeof client>> = {
  name: "socks",
  server,
  client,
  secrets: [alice.password, bob.password],
  alternatives: [
    { name: "bob", client: clientOf({ login: bob, target: numbered, port: 22, methods: [withLogin] }) }
  ],
  impostors: {
    client: [
      clientOf({ login: { ...alice, password: bob.password }, target: named }),
      clientOf({ login: { user: "nobody", password: "x" }, target: named }),
      clientOf({ login: alice, target: named, methods: [0, 1] }),
      clientOf({ login: alice, target: named, command: 2 }),
      clientOf({ login: alice, target: { type: 3, name: "example.org" } }),
      clientOf({ login: alice, target: named, port: 80 })
    ],
    server: [serverOf(new Map(), targets), serverOf(users, new Set())]
  },
  accepts: ({ index, said, side }) =>
    side === "server"
      // Any methods, as long as a login is among them.
      ? index === 0 && said[0] === 5 && said[1] > 0 && said.length === 2 + said[1] && said.subarray(2).includes(2)
      // Where the connection goes out is for the server to say.
      : index === 2 && said[0] === 5 && said[1] === 0 && said[2] === 0 &&
        (said[3] === 1 && said.length === 10 || said[3] === 3 && said[4] > 0 && said.length === 7 + said[4]),
  // An address of a type that nobody knows.
  wrong: { server: [Uint8Array.of(5, 1, 0, 2, 0, 0, 0, 0, 0, 80)] },
  refusal: {
    server: ({ index, said }) => {
      switch (index) {
        case 0:
          return said[0] === 5 && said[1] > 0 ? Uint8Array.of(5, 0xff) : undefined
        case 1:
          return said[0] === 1 ? Uint8Array.of(1, 1) : undefined
        default:
          if (said[0] !== 5 || said[2] !== 0) return undefined
          return [
            Uint8Array.of(5, said[1] !== 1 ? 7 : [1, 3, 4].includes(said[3]) ? 2 : 8, 0, 1, 0, 0, 0, 0, 0, 0)
          ]
      }
    },
    client: () => undefined
  },
  failure: ({ index, side, said }) =>
    side === "server"
      ? { fault: index === 2 && said[1] === 1 && [1, 3, 4].includes(said[3]) ? undefined : "peer", retryable: false }
      : index === 1 && said[0] === 1 && said[1] !== 0
      ? { reason: "AuthenticationFailed", fault: "local" }
      : index === 2 && said[0] === 5 && said[1] !== 0 && said[2] === 0
      ? { fault: "peer", retryable: said[1] === 1 }
      : { fault: "peer", retryable: false },
  negotiated: {
    server: ({ target, user }) => ({ target, user }),
    client: ({ target, user }) => ({ target, user }),
    value: { target: "example.com:443", user: "alice" }
  }
}
