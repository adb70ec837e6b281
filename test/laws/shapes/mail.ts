/**
 * As a mail server speaks (RFC 5321, RFC 4954): the server has the first word, one of its answers has several lines, and its
 * client logs in with a password.
 *
 *     S 220 mail.example ready
 *     C EHLO client.example
 *     S 250-mail.example
 *     S 250-SIZE 35882577
 *     S 250 AUTH PLAIN
 *     C AUTH PLAIN <base64 of "\0user\0password">
 *     S 235 2.7.0 accepted
 *
 * The server refuses with 503 where EHLO was due, with 530 where AUTH was, and with 535 who cannot prove who he is; where it
 * has no room it says 421. A client says QUIT to what it does not understand, and nothing to a refusal.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { timingSafeEqual } from "node:crypto"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"

interface Reply {
  readonly code: string
  readonly lines: ReadonlyArray<string>
}

// RFC 5321, 4.5.3.1: a line has at most 512 bytes, with its end.
const commands = Codec.lines({ ending: "\r\n", maxLength: 510 })

const replies = commands.pipe(
  Codec.aggregate({ isLast: (line) => line[3] !== "-", maxLength: 4096 }),
  Codec.mapOrFail({
    decode: (lines): Result.Result<Reply, string> => {
      const code = lines[0].slice(0, 3)
      return /^[2-5]\d\d$/.test(code) && lines.every((line) => line.startsWith(code) && /^...[- ]/.test(line))
        ? Result.succeed({ code, lines: lines.map((line) => line.slice(4)) })
        : Result.fail("each line of a reply begins with the same code")
    },
    encode: ({ code, lines }: Reply) => {
      const [first, ...more] = lines.map((line, i) => `${code}${i === lines.length - 1 ? " " : "-"}${line}`)
      return first === undefined ? Result.fail("a reply has a line") : Result.succeed([first, ...more] as const)
    }
  })
)

const reply = (code: number, ...lines: ReadonlyArray<string>): Reply => ({ code: `${code}`, lines })

interface Login {
  readonly user: string
  readonly password: string
}

const base64 = (text: string): string => Buffer.from(text).toString("base64")

const plainOf = ({ password, user }: Login): string => base64(`\0${user}\0${password}`)

// RFC 4616: who acts, who logs in, and the password. Nobody acts for somebody else here.
const loginOf = (encoded: string): Login | undefined => {
  const text = Buffer.from(encoded, "base64").toString()
  const [actor, user, password, ...rest] = text.split("\0")
  // What `Buffer` has passed over is no base64.
  return base64(text) === encoded && actor === "" && user !== undefined && password !== undefined && rest.length === 0
    ? { user, password }
    : undefined
}

const same = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const denied = new HandshakeError.AuthenticationFailed({ method: "PLAIN", detail: "no such login", fault: "peer" })

/** Words of commands are taken in any case. */
const ehlo = /^EHLO ([\w.-]+)$/i
const auth = /^AUTH PLAIN (\S+)$/i

const open = Transport.framed(Codec.duplex(commands, replies))

const serverOf = (users: ReadonlyMap<string, string>, size: number) =>
  Effect.gen(function*() {
    const transport = yield* open
    yield* Handshake.send(transport, reply(220, "mail.example ready"), { name: "banner" })
    const client = yield* Handshake.receive(transport, "EHLO", (line) => {
      const name = ehlo.exec(line)?.[1]
      return name === undefined
        ? Effect.fail(
          new HandshakeError.InvalidGreeting({ expected: "EHLO", received: Transport.show(transport, line) })
        )
        : Effect.succeed(name)
    }, { orReply: reply(503, "5.5.1 EHLO comes first") })
    yield* Handshake.send(transport, reply(250, "mail.example", `SIZE ${size}`, "AUTH PLAIN"), { name: "extensions" })
    const login = yield* Handshake.receive(transport, "AUTH", (line) => {
      const encoded = auth.exec(line)?.[1]
      return encoded === undefined
        ? Effect.fail(
          new HandshakeError.InvalidGreeting({ expected: "AUTH PLAIN", received: Transport.show(transport, line) })
        )
        : Effect.succeed(loginOf(encoded))
    }, { orReply: reply(530, "5.7.0 log in first"), secret: true })
    const password = login && users.get(login.user)
    if (login === undefined || password === undefined || !same(password, login.password)) {
      return yield* Handshake.refuse(transport, reply(535, "5.7.8 no such login"), denied)
    }
    yield* Handshake.send(transport, reply(235, "2.7.0 accepted"), { name: "welcome" })
    return Transport.extend(transport, { client, user: login.user, size })
  }).pipe(
    Handshake.withRefusal(() => Handshake.refuse(open, reply(421, "4.3.2 come back later"))),
    Handshake.named("mail")
  )

const clientOf = (login: Login, name: string) =>
  Effect.gen(function*() {
    const transport = yield* Transport.framed(Codec.duplex(replies, commands))
    const answer = (step: string, due: string) =>
      Handshake.receive(
        transport,
        step,
        (reply) => {
          const { code } = reply
          const said = Transport.show(transport, reply.lines.join(" "))
          if (code === due) return Effect.succeed(reply.lines)
          if (code === "535") {
            return Effect.fail(
              new HandshakeError.AuthenticationFailed({ method: "PLAIN", detail: said, fault: "local" })
            )
          }
          // RFC 5321, 4.2.1: 4yz is for now, 5yz for ever.
          return Effect.fail(
            code >= "4"
              ? new HandshakeError.Rejected({ by: "peer", said, code, retryable: code < "5" })
              : new HandshakeError.InvalidGreeting({ expected: due, received: `${code} ${said}` })
          )
        },
        { orReply: "QUIT" }
      )
    yield* answer("banner", "220")
    yield* Handshake.send(transport, `EHLO ${name}`, { name: "EHLO" })
    const [, ...extensions] = yield* answer("extensions", "250")
    const size = extensions.map((line) => /^SIZE (\d+)$/.exec(line)?.[1]).find((size) => size !== undefined)
    if (!extensions.includes("AUTH PLAIN") || size === undefined) {
      const received = Transport.show(transport, extensions.join(", "))
      return yield* Handshake.refuse(
        transport,
        "QUIT",
        new HandshakeError.InvalidGreeting({ expected: "AUTH PLAIN and SIZE", received })
      )
    }
    yield* Handshake.send(transport, `AUTH PLAIN ${plainOf(login)}`, { name: "AUTH", secret: true })
    yield* answer("welcome", "235")
    return Transport.extend(transport, { client: name, user: login.user, size: Number(size) })
  }).pipe(Handshake.named("mail"))

const alice: Login = { user: "alice", password: "correct horse" }
const bob: Login = { user: "bob", password: "battery staple" }
const users = new Map([alice, bob].map(({ password, user }) => [user, password]))

const server = serverOf(users, 35_882_577)
const client = clientOf(alice, "client.example")

const decoder = new TextDecoder()

/** The lines of a reply, without its code, where this is a reply with that code. */
const linesOf = (said: Uint8Array, code: string): ReadonlyArray<string> | undefined => {
  const lines = decoder.decode(said).split("\r\n")
  const end = lines.pop()
  return end === "" && lines.every((line, i) => line.startsWith(code + (i === lines.length - 1 ? " " : "-")))
    ? lines.map((line) => line.slice(4))
    : undefined
}

/** What is a reply as a client understands it. */
const replyOf = (said: Uint8Array): Reply | undefined => {
  try {
    return Codec.decodeAll(replies, said).at(0)
  } catch {
    return undefined
  }
}

const codeOf = (said: Uint8Array): string | undefined => replyOf(said)?.code

export const mail: Laws.HandshakeOptions<Effect.Success<typeof server>, Effect.Success<typeof client>> = {
  name: "mail",
  server,
  client,
  secrets: [alice, bob].flatMap((login) => [login.password, plainOf(login)]),
  alternatives: [
    {
      name: "bob",
      client: clientOf(bob, "elsewhere"),
      value: { client: "elsewhere", size: 35_882_577, user: "bob" }
    },
    { name: "small", server: serverOf(users, 1000), value: { client: "client.example", size: 1000, user: "alice" } }
  ],
  impostors: {
    client: [
      clientOf({ ...alice, password: bob.password }, "client.example"),
      clientOf({ user: "nobody", password: "" }, "client.example"),
      // Who says more than a password.
      clientOf({ ...alice, password: `${alice.password}\0` }, "client.example"),
      ...Laws.almost(alice.password).map((password) => clientOf({ user: "alice", password }, "client.example"))
    ],
    server: [serverOf(new Map(), 35_882_577)]
  },
  accepts: ({ due, index, said, side }) => {
    const [line, expected] = [decoder.decode(said), decoder.decode(due)]
    if (side === "server") {
      // Whatever a client calls itself, and in whatever case it writes its commands.
      return index === 0
        ? /^EHLO [\w.-]+\r\n$/i.test(line)
        : /^auth plain /i.test(line) && line.slice(11) === expected.slice(11)
    }
    // What a text says is for people, but for the extensions, of which there may be others.
    const lines = linesOf(said, expected.slice(0, 3))?.slice(index)
    return lines !== undefined &&
      (index !== 1 || lines.includes("AUTH PLAIN") && lines.some((line) => /^SIZE \d+$/.test(line)))
  },
  // There is no room, and there is no such server any more.
  wrong: {
    // Who acts for somebody else.
    server: [`AUTH PLAIN ${base64(`bob\0alice\0${alice.password}`)}\r\n`],
    client: ["421 4.3.2 come back later\r\n", "521 5.3.2 no mail here\r\n"]
  },
  refusal: {
    server: ({ index, said }) =>
      index === 0
        ? "503 5.5.1 EHLO comes first\r\n"
        : auth.test(decoder.decode(said).trimEnd())
        ? "535 5.7.8 no such login\r\n"
        : "530 5.7.0 log in first\r\n",
    // A refusal is not answered.
    client: ({ said }) => (codeOf(said) ?? "") >= "4" ? undefined : "QUIT\r\n"
  },
  failure: ({ said, side }) => {
    if (side === "server") return { fault: "peer", retryable: false }
    const code = codeOf(said)
    if (code === "535") return { reason: "AuthenticationFailed", fault: "local", retryable: false }
    return code !== undefined && code >= "4"
      ? { reason: "Rejected", fault: "peer", retryable: code < "5" }
      : { fault: "peer", retryable: false }
  },
  negotiated: {
    server: ({ client, size, user }) => ({ client, size, user }),
    client: ({ client, size, user }) => ({ client, size, user }),
    value: { client: "client.example", size: 35_882_577, user: "alice" }
  },
  calls: {
    serve: Pipeline.serve((line: string) => Effect.succeed(reply(250, `2.0.0 ${line}`))),
    requests: ["NOOP", "RSET", "NOOP again"],
    respond: (line) => reply(250, `2.0.0 ${line}`)
  }
}
