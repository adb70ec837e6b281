/**
 * As Redis begins to speak RESP3: `HELLO` with a version, a login and a name, all in one message, and a map for an answer.
 *
 *     C *7 $5 HELLO $1 3 $4 AUTH $3 app $8 <password> $7 SETNAME $3 web
 *     S %3 $6 server $5 redis $5 proto :3 $2 id :17
 *
 * The server refuses with an error whose first word is a code: NOPROTO, NOAUTH, WRONGPASS, or ERR; LOADING where it has no
 * room. A client says nothing to what it does not understand.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { timingSafeEqual } from "node:crypto"
import * as Bytes from "../../../src/Bytes.ts"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import type * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"

type Command = ReadonlyArray<string>

interface Failure {
  readonly _tag: "Failure"
  readonly code: string
  readonly text: string
}

type Reply = string | number | Failure | ReadonlyMap<string, string | number>

const maxItems = 32

function* count(read: Codec.Reader): Codec.Reading<number> {
  const line = yield* read.line(16)
  return /^(0|[1-9]\d{0,8})$/.test(line) ? Number(line) : yield* read.fail("a length was due")
}

function* items(read: Codec.Reader): Codec.Reading<number> {
  const number = yield* count(read)
  return number <= maxItems ? number : yield* read.fail("too many items")
}

function* bulk(read: Codec.Reader): Codec.Reading<string> {
  const text = yield* read.text(yield* count(read))
  yield* read.expect("\r\n")
  return text
}

function* command(read: Codec.Reader): Codec.Reading<Command> {
  yield* read.expect("*")
  const length = yield* items(read)
  const words: Array<string> = []
  while (words.length < length) {
    yield* read.expect("$")
    words.push(yield* bulk(read))
  }
  return words
}

function* scalar(read: Codec.Reader): Codec.Reading<string | number> {
  const type = yield* read.byte
  if (type === 0x24) return yield* bulk(read)
  return type === 0x3a ? yield* count(read) : yield* read.fail("neither a text nor a number")
}

function* reply(read: Codec.Reader): Codec.Reading<Reply> {
  switch (yield* read.byte) {
    case 0x24:
      return yield* bulk(read)
    case 0x3a:
      return yield* count(read)
    case 0x2d: {
      const [, code, text] = /^([A-Z]+) (.*)$/.exec(yield* read.line(512)) ?? []
      return code === undefined ? yield* read.fail("an error begins with its code") : { _tag: "Failure", code, text }
    }
    case 0x25: {
      const length = yield* items(read)
      const map = new Map<string, string | number>()
      for (let i = 0; i < length; i++) {
        const key = yield* scalar(read)
        if (typeof key !== "string" || map.has(key)) return yield* read.fail("each key is a text of its own")
        map.set(key, yield* scalar(read))
      }
      return map
    }
    default:
      return yield* read.fail("there is no such type")
  }
}

type Encoded = Result.Result<void, Codec.CodecError> | undefined

const unencodable = (problem: string) => Result.fail(new Codec.MalformedFrame({ problem, excerpt: "", fault: "local" }))

const encodeScalar = (value: string | number, into: Codec.ByteWriter): Encoded => {
  if (typeof value === "number") {
    if (!Number.isInteger(value) || value < 0 || value > 999_999_999) return unencodable("no such number")
    into.string(`:${value}\r\n`)
  } else {
    if (!value.isWellFormed()) return unencodable("half a surrogate pair")
    into.string(`$${Bytes.utf8Length(value)}\r\n${value}\r\n`)
  }
  return undefined
}

const limits = { ending: "\r\n", maxLength: 4096 }

const commands = Codec.gen<Command>({
  ...limits,
  decode: command,
  encode: (words, into) => {
    if (words.length > maxItems) return unencodable("too many words")
    into.string(`*${words.length}\r\n`)
    for (const word of words) {
      const failure = encodeScalar(word, into)
      if (failure !== undefined) return failure
    }
  }
})

const replies = Codec.gen<Reply>({
  ...limits,
  decode: reply,
  encode: (reply, into) => {
    if (typeof reply !== "object") return encodeScalar(reply, into)
    if ("_tag" in reply) {
      const line = `${reply.code} ${reply.text}`
      if (!/^[A-Z]+ [^\r\n]*$/.test(line) || !line.isWellFormed()) return unencodable("no error")
      into.string(`-${line}\r\n`)
      return
    }
    if (reply.size > maxItems) return unencodable("too many items")
    into.string(`%${reply.size}\r\n`)
    for (const part of [...reply].flat()) {
      const failure = encodeScalar(part, into)
      if (failure !== undefined) return failure
    }
  }
})

const failure = (code: string, text: string): Failure => ({ _tag: "Failure", code, text })

const words = {
  protocol: failure("ERR", "HELLO was expected"),
  syntax: failure("ERR", "syntax error in HELLO"),
  version: failure("NOPROTO", "unsupported protocol version"),
  login: failure("NOAUTH", "HELLO must be called with AUTH"),
  password: failure("WRONGPASS", "invalid username-password pair or user is disabled."),
  room: failure("LOADING", "try again later")
}

interface Login {
  readonly user: string
  readonly password: string
}

/** What a client has asked for; where it cannot have it, what it is told and what that is for this side. */
type Verdict =
  | { readonly user: string; readonly name: string }
  | { readonly answer: Failure; readonly reason: HandshakeError.Reason }

const same = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const judge = (command: Command, users: ReadonlyMap<string, string>): Verdict => {
  const unexpected = (expected: string) => new HandshakeError.InvalidGreeting({ expected, received: "another command" })
  const [verb, version, ...options] = command
  if (verb?.toUpperCase() !== "HELLO" || version === undefined) {
    return { answer: words.protocol, reason: unexpected("HELLO") }
  }
  if (version !== "3") {
    return {
      answer: words.version,
      reason: new HandshakeError.UnsupportedVersion({ offered: "another", supported: ["3"] })
    }
  }
  let [login, name]: [Login | undefined, string] = [undefined, ""]
  for (let at = 0; at < options.length;) {
    const [option, first, second] = options.slice(at)
    if (option.toUpperCase() === "AUTH" && second !== undefined && login === undefined) {
      login = { user: first, password: second }
      at += 3
    } else if (option.toUpperCase() === "SETNAME" && /^[!-~]+$/.test(first ?? "") && name === "") {
      name = first
      at += 2
    } else {
      return { answer: words.syntax, reason: unexpected("AUTH and SETNAME") }
    }
  }
  const denied = (detail: string) => new HandshakeError.AuthenticationFailed({ method: "AUTH", detail, fault: "peer" })
  if (login === undefined) return { answer: words.login, reason: denied("no login") }
  const password = users.get(login.user)
  return password !== undefined && same(password, login.password)
    ? { user: login.user, name }
    : { answer: words.password, reason: denied("no such login") }
}

const open = Transport.framed(Codec.duplex(commands, replies))

const serverOf = (users: ReadonlyMap<string, string>) => {
  let connections = 0
  return Effect.gen(function*() {
    const transport = yield* open
    // The login stands in the command itself.
    const verdict = yield* Handshake.receive(transport, "HELLO", (command) => Effect.succeed(judge(command, users)), {
      orReply: words.protocol,
      secret: true
    })
    if ("answer" in verdict) return yield* Handshake.refuse(transport, verdict.answer, verdict.reason)
    const id = ++connections
    const info = new Map<string, string | number>([["server", "redis"], ["proto", 3], ["id", id]])
    yield* Handshake.send(transport, info, { name: "info" })
    return Transport.extend(transport, { ...verdict, id })
  }).pipe(Handshake.withRefusal(() => Handshake.refuse(open, words.room)), Handshake.named("resp"))
}

const refusedBy = ({ code, text }: Failure): HandshakeError.Reason => {
  switch (code) {
    case "WRONGPASS":
    case "NOAUTH":
      return new HandshakeError.AuthenticationFailed({ method: "AUTH", detail: code, fault: "local" })
    case "NOPROTO":
      return new HandshakeError.UnsupportedVersion({ offered: "3", supported: [], fault: "local" })
    default:
      return new HandshakeError.Rejected({
        by: "peer",
        said: JSON.stringify(text),
        code,
        retryable: code === "LOADING"
      })
  }
}

const clientSaying = (command: Command) =>
  Effect.gen(function*() {
    const transport = yield* Transport.framed(Codec.duplex(replies, commands))
    yield* Handshake.send(transport, command, { name: "HELLO", secret: true })
    return yield* Handshake.receive(transport, "info", (reply) => {
      const id = reply instanceof Map ? reply.get("id") : undefined
      if (
        reply instanceof Map && reply.get("server") === "redis" && reply.get("proto") === 3 && typeof id === "number"
      ) {
        return Effect.succeed(Transport.extend(transport, { id }))
      }
      return Effect.fail(
        typeof reply === "object" && "_tag" in reply ? refusedBy(reply) : new HandshakeError.InvalidGreeting({
          expected: "a map with server, proto 3 and id",
          received: Transport.show(transport, reply)
        })
      )
    })
  }).pipe(Handshake.named("resp"))

const clientOf = ({ password, user }: Login, name: string) =>
  Handshake.extend(clientSaying(["HELLO", "3", "AUTH", user, password, "SETNAME", name]), { user, name })

const app: Login = { user: "app", password: "correct horse" }
const admin: Login = { user: "admin", password: "battery staple" }
const foreign: Login = { user: "Jürgen", password: "Grüße, 你好" }

const server = serverOf(new Map([app, admin, foreign].map(({ password, user }) => [user, password])))
const client = clientOf(app, "web")

/** The one frame that some bytes are, if they are one. */
const frameOf = <In>(codec: Codec.Codec<In, never>, said: Uint8Array): In | undefined => {
  try {
    return Codec.decodeAll(codec, said).at(0)
  } catch {
    return undefined
  }
}

export const resp: Laws.HandshakeOptions<Effect.Success<typeof server>, Effect.Success<typeof client>> = {
  name: "resp",
  server,
  client,
  secrets: [app, admin, foreign].map(({ password }) => password),
  alternatives: [
    { name: "admin", client: clientOf(admin, "cron") },
    { name: "no ASCII", client: clientOf(foreign, "web") },
    {
      name: "the other way round",
      client: Handshake.extend(
        clientSaying(["hello", "3", "setname", "web", "auth", app.user, app.password]),
        { user: app.user, name: "web" }
      )
    }
  ],
  impostors: {
    client: [
      clientOf({ ...app, password: admin.password }, "web"),
      clientOf({ user: "nobody", password: "" }, "web"),
      clientSaying(["HELLO", "2", "AUTH", app.user, app.password]),
      clientSaying(["HELLO", "3"]),
      clientSaying(["HELLO", "3", "SETNAME", "web"]),
      clientSaying(["AUTH", app.user, app.password])
    ],
    server: [serverOf(new Map())]
  },
  accepts: ({ due, said, side }) => {
    if (side === "server") {
      // Whatever a client calls itself, and HELLO, AUTH and SETNAME in any case.
      const [lines, expected] = [said, due].map((bytes) => new TextDecoder().decode(bytes).split("\r\n"))
      const [length, name, end] = lines.slice(13)
      return lines.length === 16 && end === "" && length === `$${name.length}` && /^[!-~]+$/.test(name) &&
        lines.slice(0, 13).every((line, i) => ([2, 6, 12].includes(i) ? line.toUpperCase() : line) === expected[i])
    }
    return /^%3\r\n\$6\r\nserver\r\n\$5\r\nredis\r\n\$5\r\nproto\r\n:3\r\n\$2\r\nid\r\n:(0|[1-9]\d{0,8})\r\n$/
      .test(new TextDecoder().decode(said))
  },
  wrong: {
    server: ["*5\r\n$5\r\nHELLO\r\n$01\r\n3\r\n$4\r\nAUTH\r\n$3\r\napp\r\n$13\r\ncorrect horse\r\n"],
    client: [
      "-LOADING try again later\r\n",
      "%4\r\n$6\r\nserver\r\n$5\r\nredis\r\n$5\r\nproto\r\n:2\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:7\r\n"
    ]
  },
  refusal: {
    server: ({ said }) => {
      const [verb, version, ...options] = frameOf(commands, said) ?? []
      if (verb?.toUpperCase() !== "HELLO" || version === undefined) return "-ERR HELLO was expected\r\n"
      if (version !== "3") return "-NOPROTO unsupported protocol version\r\n"
      return options.some((word) => word.toUpperCase() === "AUTH")
        ? [
          "-WRONGPASS invalid username-password pair or user is disabled.\r\n",
          "-ERR syntax error in HELLO\r\n"
        ]
        : ["-NOAUTH HELLO must be called with AUTH\r\n", "-ERR syntax error in HELLO\r\n"]
    },
    client: () => undefined
  },
  failure: ({ said, side }) => {
    if (side === "server") return { fault: "peer", retryable: false }
    const reply = frameOf(replies, said)
    const code = typeof reply === "object" && "_tag" in reply ? reply.code : undefined
    return code === "WRONGPASS" || code === "NOAUTH"
      ? { reason: "AuthenticationFailed", fault: "local", retryable: false }
      : code === "NOPROTO"
      ? { reason: "UnsupportedVersion", fault: "local", retryable: false }
      : code === undefined
      ? { fault: "peer", retryable: false }
      : { reason: "Rejected", fault: "peer", retryable: code === "LOADING" }
  },
  negotiated: {
    server: ({ id, name, user }) => ({ id, name, user }),
    client: ({ id, name, user }) => ({ id, name, user })
  },
  calls: {
    serve: Pipeline.serve(([, ...words]: Command) => Effect.succeed(words.join(" "))),
    requests: [["ECHO", "Hello"], ["ECHO", ""], ["ECHO", "Hello", "again"]],
    respond: ([, ...words]) => words.join(" ")
  }
}
