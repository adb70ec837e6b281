/**
 * An upgrade of HTTP/1.1, as WebSocket does it (RFC 6455, 4.1 and 4.2): the client asks with a random key and a bearer token,
 * the server answers with a digest of the key, and both go on with messages that have their length before them.
 *
 *     C  GET /chat, Upgrade, Connection, Sec-WebSocket-Key …     S  101, Sec-WebSocket-Accept …     or  4xx
 *
 * What HTTP leaves to who speaks, it leaves free: the order of the fields, the case of their names, spaces around their values,
 * and fields that nobody here knows.
 */
import * as Effect from "effect/Effect"
import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import * as Codec from "../../../src/Codec.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Pipeline from "../../../src/Pipeline.ts"
import * as Protocol from "../../../src/Protocol.ts"
import type * as Laws from "../../../src/testing/Laws.ts"
import * as Transport from "../../../src/Transport.ts"

type Head = readonly [string, ...ReadonlyArray<string>]

const heads = Transport.framed(
  Codec.lines({ ending: "\r\n", maxLength: 1024 }).pipe(
    Codec.aggregate({ isLast: (line) => line === "", maxLength: 4096 })
  )
)
const packets = Codec.lengthPrefixed({ bytes: 2, maxLength: 1024 })

const same = (a: string, b: string) => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** RFC 6455, 4.2.2: the key as it stands there, and a text that no other protocol knows. */
const digestOf = (key: string) =>
  createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64")

// --- The fields of a head: RFC 9112, 5 ---

type Fields = ReadonlyMap<string, ReadonlyArray<string>>

/** Each name in lower case with its values. `undefined` where a line is no field, such as one with a space before its colon. */
const fieldsOf = ([, ...lines]: Head): Fields | undefined => {
  const fields = new Map<string, Array<string>>()
  for (const line of lines.slice(0, -1)) {
    const [, name, value] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\uffff]*?)[ \t]*$/.exec(line) ?? []
    if (name === undefined) return undefined
    const key = name.toLowerCase()
    fields.set(key, [...fields.get(key) ?? [], value])
  }
  return fields
}

/** The one value of a field; `undefined` where it has none, or several. */
const only = (fields: Fields, name: string): string | undefined => {
  const values = fields.get(name) ?? []
  return values.length === 1 ? values[0] : undefined
}

/** RFC 9110, 5.6.1: a list may be in one field or in several, with empty elements. */
const listOf = (fields: Fields, name: string): ReadonlyArray<string> =>
  (fields.get(name) ?? []).flatMap((value) => value.split(",")).map((value) => value.replace(/^[ \t]+|[ \t]+$/g, ""))
    .filter((value) => value !== "")

/** RFC 6455, 4.1: both are compared without regard to case. */
const isUpgrade = (fields: Fields) =>
  listOf(fields, "upgrade").some((name) => name.toLowerCase() === "websocket") &&
  listOf(fields, "connection").some((name) => name.toLowerCase() === "upgrade")

// --- The server ---

const badRequest: Head = ["HTTP/1.1 400 Bad Request", "Connection: close", ""]
const unauthorized: Head = ["HTTP/1.1 401 Unauthorized", "WWW-Authenticate: Bearer", "Connection: close", ""]
const notFound: Head = ["HTTP/1.1 404 Not Found", "Connection: close", ""]
const upgradeRequired: Head = [
  "HTTP/1.1 426 Upgrade Required",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Connection: close, Upgrade",
  ""
]
const unavailable: Head = ["HTTP/1.1 503 Service Unavailable", "Connection: close", ""]

export interface ServerOptions {
  readonly token: string
  /** The protocols that it speaks, the best one first. */
  readonly protocols: ReadonlyArray<string>
}

const server = ({ protocols, token }: ServerOptions) =>
  Effect.gen(function*() {
    const transport = yield* heads
    const { key, protocol } = yield* Handshake.receive(
      transport,
      "request",
      (head) => {
        const invalid = (expected: string, reply: Head) =>
          Handshake.refuse(
            transport,
            reply,
            new HandshakeError.InvalidGreeting({ expected, received: "another request" })
          )
        const fields = fieldsOf(head)
        const [, target] = /^GET (\/[!-~]*) HTTP\/1\.1$/.exec(head[0]) ?? []
        if (target === undefined || fields === undefined) return invalid("a GET of HTTP/1.1", badRequest)
        if (only(fields, "host") === undefined) return invalid("one host", badRequest)
        if (fields.has("transfer-encoding") || (only(fields, "content-length") ?? "0") !== "0") {
          return invalid("no body", badRequest)
        }
        if (fields.has("content-length") && only(fields, "content-length") === undefined) {
          return invalid("no body", badRequest)
        }
        if (target !== "/chat") return invalid("/chat", notFound)
        if (!isUpgrade(fields)) return invalid("an upgrade to websocket", upgradeRequired)
        const version = only(fields, "sec-websocket-version")
        if (version === undefined) return invalid("one version", badRequest)
        if (version !== "13") {
          return Handshake.refuse(
            transport,
            upgradeRequired,
            new HandshakeError.UnsupportedVersion({ offered: "another one", supported: ["13"] })
          )
        }
        const key = only(fields, "sec-websocket-key")
        // Sixteen bytes in base64: the last digit before the padding has four bits to spare, which are 0.
        if (key === undefined || !/^[A-Za-z0-9+/]{21}[AQgw]==$/.test(key)) return invalid("a key", badRequest)
        // RFC 7235, 2.1: the scheme is compared without regard to case, the token is not.
        const [, given] = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i.exec(only(fields, "authorization") ?? "") ?? []
        if (given === undefined || !same(given, token)) {
          return Handshake.refuse(
            transport,
            unauthorized,
            new HandshakeError.AuthenticationFailed({ method: "bearer", detail: "not accepted", fault: "peer" })
          )
        }
        const offered = listOf(fields, "sec-websocket-protocol")
        return Effect.succeed({ key, protocol: protocols.find((protocol) => offered.includes(protocol)) })
      },
      { orReply: badRequest, secret: true }
    )
    yield* transport.send([
      "HTTP/1.1 101 Switching Protocols",
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Accept: ${digestOf(key)}`,
      ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
      ""
    ])
    return Transport.extend(yield* Transport.switchCodec(transport, packets), { protocol })
  }).pipe(Handshake.deadline("10 seconds"))

// --- The client ---

export interface ClientOptions {
  readonly token: string
  readonly protocols: ReadonlyArray<string>
}

const client = ({ protocols, token }: ClientOptions) =>
  Effect.gen(function*() {
    const transport = yield* heads
    const key = randomBytes(16).toString("base64")
    yield* Handshake.send(transport, [
      "GET /chat HTTP/1.1",
      "Host: chat.example",
      "Upgrade: websocket",
      "Connection: keep-alive, Upgrade",
      "Sec-WebSocket-Version: 13",
      `Sec-WebSocket-Key: ${key}`,
      `Authorization: Bearer ${token}`,
      ...(protocols.length === 0 ? [] : [`Sec-WebSocket-Protocol: ${protocols.join(", ")}`]),
      ""
    ], { name: "request", secret: true })
    const protocol = yield* Handshake.receive(transport, "response", (head) => {
      const received = Transport.show(transport, head)
      const invalid = (expected: string) => Effect.fail(new HandshakeError.InvalidGreeting({ expected, received }))
      const fields = fieldsOf(head)
      const [, status] = /^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e\x80-\uffff]*$/.exec(head[0]) ?? []
      if (status === undefined || fields === undefined) return invalid("a response of HTTP/1.1")
      if (status === "401") {
        return Effect.fail(
          new HandshakeError.AuthenticationFailed({ method: "bearer", detail: "the server said no", fault: "local" })
        )
      }
      if (status[0] === "4" || status[0] === "5") {
        return Effect.fail(new HandshakeError.Rejected({ by: "peer", said: received, retryable: status[0] === "5" }))
      }
      if (status !== "101") return invalid("101 Switching Protocols")
      if (!isUpgrade(fields)) return invalid("an upgrade to websocket")
      if (!same(only(fields, "sec-websocket-accept") ?? "", digestOf(key))) return invalid("the digest of its key")
      // RFC 6455, 4.1: nothing may be chosen that was not offered.
      if (fields.has("sec-websocket-extensions")) return invalid("no extensions")
      if (!fields.has("sec-websocket-protocol")) return Effect.succeed(undefined)
      const chosen = only(fields, "sec-websocket-protocol")
      return chosen !== undefined && protocols.includes(chosen)
        ? Effect.succeed(chosen)
        : invalid("one of the protocols that were offered")
    })
    return Transport.extend(yield* Transport.switchCodec(transport, packets), { protocol })
  }).pipe(Handshake.deadline("5 seconds"))

export const upgrade = (options: { readonly server: ServerOptions; readonly client: ClientOptions }) =>
  Protocol.make({
    name: "upgrade",
    server: server(options.server),
    client: client(options.client),
    refuse: () => Handshake.refuse(heads, unavailable)
  })

// --- What its laws are told ---

const token = "Zm9sZGVkLXNlY3JldA"
const asking = (client: Partial<ClientOptions>) =>
  upgrade({
    server: { token, protocols: ["chat.v2", "chat.v1"] },
    client: { token, protocols: ["chat.v1", "chat.v2"], ...client }
  })
const { client: asks, server: answers } = asking({})

const text = (head: Head) => `${head.join("\r\n")}\r\n`

const request: Head = [
  "GET /chat HTTP/1.1",
  "Host: chat.example",
  "Upgrade: websocket",
  "Connection: Upgrade",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  `Authorization: Bearer ${token}`,
  ""
]
const response = (key: string): Head => [
  "HTTP/1.1 101 Switching Protocols",
  "Upgrade: websocket",
  "Connection: Upgrade",
  `Sec-WebSocket-Accept: ${digestOf(key)}`,
  ""
]
const swapped = (head: Head, name: string, ...fields: ReadonlyArray<string>): Head => {
  const [first, ...rest] = head
  return [first, ...fields, ...rest.filter((line) => !line.startsWith(`${name}:`))]
}

/** A client that asks for something else, and takes any answer for yes. */
const clientSaying = (head: Head) =>
  heads.pipe(
    Handshake.send(head),
    Handshake.verify("response", ([status]) =>
      status.startsWith("HTTP/1.1 101 ") ? Effect.void : Effect.fail(
        new HandshakeError.Rejected({ by: "peer", said: status, retryable: false })
      ))
  )

/** A server that answers something else to a key. */
const serverSaying = (answer: (key: string) => Head) =>
  Effect.gen(function*() {
    const transport = yield* heads
    const request = yield* transport.receive
    const key = request.find((line) => line.startsWith("Sec-WebSocket-Key: "))?.slice(19) ?? ""
    yield* transport.send(answer(key))
    return yield* Effect.flatMap(Transport.switchCodec(transport, packets), ({ receive }) => receive)
  })

interface Rule {
  readonly value: RegExp
  readonly isList?: boolean
  readonly isOptional?: boolean
}
type Rules = Readonly<Record<string, Rule>>

/** What a client may say: any host, key and protocol, and whatever else it likes. */
const requestRules: Rules = {
  host: { value: /^/ },
  upgrade: { value: /(^|,[ \t]*)websocket[ \t]*(,|$)/i, isList: true },
  connection: { value: /(^|,[ \t]*)upgrade[ \t]*(,|$)/i, isList: true },
  "sec-websocket-version": { value: /^13$/ },
  "sec-websocket-key": { value: /^[A-Za-z0-9+/]{21}[AQgw]==$/ },
  authorization: { value: new RegExp(`^[Bb][Ee][Aa][Rr][Ee][Rr] +${token}$`) },
  "content-length": { value: /^0$/, isOptional: true },
  "transfer-encoding": { value: /^(?!)/, isOptional: true }
}

/** What a server may say: the same digest and protocol, or no protocol. */
const responseRules = (due: string): Rules => ({
  upgrade: requestRules.upgrade,
  connection: requestRules.connection,
  "sec-websocket-accept": { value: new RegExp(`^${/Accept: (\S+)/.exec(due)?.[1].replaceAll("+", "\\+")}$`) },
  "sec-websocket-protocol": { value: /^chat\.v[12]$/, isOptional: true },
  "sec-websocket-extensions": { value: /^(?!)/, isOptional: true }
})

/** Whether a head means the same: names in any case, spaces around values, the fields in any order. */
const keeps = (head: string, first: RegExp, rules: Rules): boolean => {
  const [start, ...lines] = head.split("\r\n")
  if (!first.test(start) || lines.at(-1) !== "" || lines.at(-2) !== "") return false
  const fields = lines.slice(0, -2).map((line) =>
    // No control character but the tab, and no space before the colon
    /^([\w!#$%&'*+.^`|~-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*$/.exec(line)
  )
  return fields.every((field) => field !== null) &&
    Object.entries(rules).every(([name, { isList, isOptional, value }]) => {
      const values = fields.filter((field) => field?.[1].toLowerCase() === name).map((field) => field?.[2] ?? "")
      if (values.length === 0) return isOptional === true
      return isList === true ? values.some((one) => value.test(one)) : values.length === 1 && value.test(values[0])
    })
}

type S = Effect.Success<typeof answers>
type C = Effect.Success<typeof asks>

export const options: Laws.HandshakeOptions<S, C> = {
  name: "upgrade",
  server: answers,
  client: asks,
  deadline: { server: "10 seconds", client: "5 seconds" },
  maxBytes: 8192,
  secrets: [token],
  fresh: { client: true },
  accepts: ({ due, said, side }) => {
    const head = new TextDecoder().decode(said)
    return side === "server"
      ? keeps(head, /^GET \/chat HTTP\/1\.1$/, requestRules)
      : keeps(head, /^HTTP\/1\.1 101 [^\x00-\x08\x0a-\x1f\x7f]*$/, responseRules(new TextDecoder().decode(due)))
  },
  refusal: { server: [badRequest, unauthorized, notFound, upgradeRequired].map(text) },
  wrong: {
    server: [
      text(["GET /other HTTP/1.1", ...request.slice(1)]),
      text(["GET /chat HTTP/1.0", ...request.slice(1)]),
      text(["POST /chat HTTP/1.1", ...request.slice(1)]),
      text(swapped(request, "", "Content-Length: 5")),
      text(swapped(request, "", "Transfer-Encoding: chunked")),
      text(swapped(request, "Host", "Host: a", "Host: b")),
      text(swapped(request, "Host", "Host : chat.example"))
    ],
    client: [text(unavailable), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]
  },
  impostors: {
    client: [
      swapped(request, "Authorization"),
      swapped(request, "Authorization", "Authorization: Bearer YW5vdGhlci1zZWNyZXQ"),
      swapped(request, "Authorization", `Authorization: Bearer ${token.slice(0, -1)}`),
      swapped(request, "Authorization", `Authorization: Bearer ${token}A`),
      swapped(request, "Authorization", `Authorization: Basic ${token}`),
      swapped(request, "Sec-WebSocket-Version", "Sec-WebSocket-Version: 8"),
      swapped(request, "Sec-WebSocket-Key", "Sec-WebSocket-Key: c2hvcnQ="),
      swapped(request, "Upgrade"),
      swapped(request, "Connection", "Connection: keep-alive")
    ].map(clientSaying),
    server: [
      serverSaying(() => response("dGhlIHNhbXBsZSBub25jZQ==")),
      serverSaying((key) => swapped(response(key), "Sec-WebSocket-Accept", `Sec-WebSocket-Accept: ${key}`)),
      serverSaying((key) => swapped(response(key), "Sec-WebSocket-Accept")),
      serverSaying((key) => swapped(response(key), "", "Sec-WebSocket-Protocol: chat.v3")),
      serverSaying((key) => swapped(response(key), "", "Sec-WebSocket-Extensions: permessage-deflate")),
      serverSaying((key) => ["HTTP/1.1 200 OK", ...response(key).slice(1)])
    ]
  },
  failure: ({ said, side }) => {
    const [, status] = /^HTTP\/1\.1 ([45]\d\d) [^\r]*\r\n(?:[^\r]+\r\n)*\r\n$/.exec(new TextDecoder().decode(said)) ??
      []
    return side === "server" || status === undefined
      ? { fault: "peer", retryable: false }
      : status === "401"
      ? { reason: "AuthenticationFailed", fault: "local", retryable: false }
      : { reason: "Rejected", fault: "peer", retryable: status[0] === "5" }
  },
  alternatives: [
    { name: "an older protocol", client: asking({ protocols: ["chat.v1"] }).client },
    { name: "no protocol", client: asking({ protocols: [] }).client },
    { name: "protocols that nobody knows", client: asking({ protocols: ["mail", "news"] }).client }
  ],
  negotiated: { server: ({ protocol }) => protocol, client: ({ protocol }) => protocol, value: "chat.v2" },
  calls: {
    serve: Pipeline.serve((packet: Uint8Array) => Effect.succeed(packet.toReversed())),
    requests: [Uint8Array.of(1, 2, 3), Uint8Array.of(), Uint8Array.of(4, 5)],
    respond: (packet) => packet.toReversed()
  }
}
