/**
 * What a peer sends costs in proportion to its length, whatever character it repeats: one message holds nobody up.
 *
 * Time is that of this thread on its processor, so that a busy machine changes nothing; and what is compared is the same
 * number of bytes, in one message and in four of a quarter of its length.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Answers from "../src/cli/answers.ts"
import * as Flags from "../src/cli/flags.ts"
import * as PostgresUrl from "../src/cli/postgresUrl.ts"
import * as Sql from "../src/cli/sql.ts"
import * as Codec from "../src/Codec.ts"
import * as Excerpt from "../src/Excerpt.ts"
import { ByteBuffer } from "../src/internal/bytes/buffer.ts"
import * as Literal from "../src/internal/text/literal.ts"
import * as Http2 from "../src/protocols/Http2.ts"
import { Starting } from "../src/protocols/http2/start.ts"
import * as Postgres from "../src/protocols/Postgres.ts"
import * as Codecs from "../src/protocols/postgres/codecs.ts"
import * as Messages from "../src/protocols/postgres/messages.ts"
import { signatureHash } from "../src/protocols/scram/certificate.ts"
import * as Scram from "../src/protocols/scram/message.ts"
import * as Saslprep from "../src/protocols/scram/saslprep.ts"
import * as Tls from "../src/protocols/Tls.ts"
import * as ServerName from "../src/protocols/tls/serverName.ts"
import * as Transcript from "../src/Transcript.ts"

/** In characters: where nothing less is allowed. */
const length = 16_384

/** In milliseconds. What is done by then is linear for all that anybody notices; squares take ten times as long. */
const soon = 12

/** How many times as long a message may take as its four quarters do, where the square of its length would be four. */
const proportion = 2.5

/** A collection of garbage is nobody's. */
const looks = 3

const spent = (work: () => void): number => {
  const before = process.threadCpuUsage()
  work()
  const { system, user } = process.threadCpuUsage(before)
  return (user + system) / 1000
}

/** Why it is not linear, if it is not. */
const excess = (work: (length: number) => void, most: number): string | undefined => {
  let problem: string | undefined
  for (let look = 0; look < looks; look++) {
    const whole = spent(() => work(most))
    if (whole <= soon) return undefined
    const quarters = spent(() => {
      for (let quarter = 0; quarter < 4; quarter++) work(most / 4)
    })
    if (whole <= proportion * Math.max(quarters, soon / 4)) return undefined
    problem = `${whole} ms, and its quarters ${quarters} ms`
  }
  return problem
}

const repeated =
  " |\n|\r\n| \n|\0|;|,|\"|'|\\|\\x|[|(|{\"a\":|=|=2|a=,|%|?|&|?a&|@|:|/|/*|*/|-|$|$a|$1,|e'|.|1|a|A|a.|password|é|\u0301\u0323|\uff9e\u0301|😀"
    .split("|")

/** What may stand behind them, so that what has matched so far does not match after all. */
const endings = ["", "!\u0001"]

interface Parser {
  readonly parse: (text: string) => unknown
  /** In characters. */
  readonly most?: number
  readonly before?: ReadonlyArray<string>
  /** Where it does not matter which characters they are. */
  readonly pieces?: ReadonlyArray<string>
}

const encoder = new TextEncoder()

const drained = <In>(
  codec: Codec.Codec<In, never>,
  chunks: ReadonlyArray<Uint8Array>,
  see: (frame: In) => void = () => {}
) => {
  const input = new ByteBuffer()
  const decoder = codec.decoder()
  for (const chunk of chunks) {
    input.push(chunk)
    for (;;) {
      const result = decoder.decode(input)
      if (result === undefined) break
      if (Result.isFailure(result)) return
      see(result.success)
    }
  }
}

const inPieces = (bytes: Uint8Array, size: number): ReadonlyArray<Uint8Array> =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))

/** In one chunk, and in many small ones. */
const decodedBy = <In>(codec: Codec.Codec<In, never>) => (text: string): void => {
  const bytes = encoder.encode(text)
  drained(codec, [bytes])
  drained(codec, inPieces(bytes, 11))
}

/** A message of PostgreSQL with this type and body. */
const typed = (type: string, body: Uint8Array): Uint8Array => {
  const bytes = new Uint8Array(body.length + 5)
  bytes[0] = type.charCodeAt(0)
  new DataView(bytes.buffer).setUint32(1, body.length + 4)
  bytes.set(body, 5)
  return bytes
}

const context: Answers.Context = {
  user: "ann",
  database: "ann",
  processId: 1,
  serverVersion: "18.0",
  now: () => 0,
  setting: () => undefined,
  declared: []
}

const answered = (sql: string): void => {
  for (const tokens of Sql.statements(sql)) if (tokens !== undefined) Answers.replyTo(tokens, context)
}

const header = "effect-handshake transcript 1"

const parsers: Record<string, Parser> = {
  "Excerpt.ofText": { parse: (text) => Excerpt.ofText(text, text.length) },
  "Excerpt.ofString": { parse: (text) => Excerpt.ofString(text, text.length) },
  "Excerpt.ofBytes": { parse: (text) => Excerpt.ofBytes(encoder.encode(text), 4 * text.length) },
  "Excerpt.ofFrame": { parse: (text) => Excerpt.ofFrame({ text, list: [text] }) },
  "Codec.lines": { parse: decodedBy(Codec.lines({ maxLength: length })) },
  "Codec.lines with a long ending": { parse: decodedBy(Codec.lines({ ending: "aaaaa!", maxLength: length })) },
  "Codec.delimited": { parse: decodedBy(Codec.delimited(encoder.encode("  "), { maxLength: length })) },
  "Codec.aggregate": {
    parse: decodedBy(Codec.aggregate(Codec.lines({ maxLength: length }), { isLast: () => false, maxLength: length }))
  },
  "Codec.lengthPrefixed": { parse: decodedBy(Codec.lengthPrefixed({ maxLength: length })), before: ["", "\0"] },
  "Transcript.parse": {
    parse: Transcript.parse,
    before: [
      "",
      `${header}\n`,
      `${header}\n1 ms <- "`,
      `${header}\n1 ms <- "a" # `,
      `${header}\n1 ms -- `,
      `${header}\nself `,
      `${header}\n1`
    ]
  },
  "Literal.unquote": { parse: Literal.unquote, before: ["\""] },
  "client-first-message": {
    parse: Scram.parseClientFirst,
    most: Scram.maxMessageLength,
    before: ["", "n,,n=", "n,,n=a,r="]
  },
  "server-first-message": { parse: Scram.parseServerFirst, most: Scram.maxMessageLength, before: ["r=", "r=a,s="] },
  "client-final-message": {
    parse: Scram.parseClientFinal,
    most: Scram.maxMessageLength,
    before: ["c=", "c=biws,r=a,"]
  },
  "server-final-message": { parse: Scram.parseServerFinal, most: Scram.maxMessageLength, before: ["v=", "e="] },
  "a name of SCRAM": { parse: Scram.unescapeName },
  "base64": { parse: Scram.decodeBase64 },
  "SASLprep": { parse: (text) => [Saslprep.prepare(text), Saslprep.prepare(text, "query")], before: ["", "a"] },
  "a password of PostgreSQL": { parse: Saslprep.preparePostgres, before: ["", "a"] },
  "a stored password": {
    parse: (text) => Postgres.parseStored(Redacted.make(text)),
    before: ["", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096:", "md5"]
  },
  "a start-up packet": {
    parse: (text) => {
      const body = encoder.encode(text).subarray(0, 9_990)
      const packet = new Uint8Array(body.length + 8)
      new DataView(packet.buffer).setUint32(0, packet.length)
      packet.set([0, 3, 0, 0], 4)
      packet.set(body, 8)
      drained(Codecs.startup, inPieces(packet, 11), Messages.describe)
      return Postgres.isStartup(packet)
    },
    most: 8192,
    before: ["", "user\0"]
  },
  "requests of PostgreSQL": {
    parse: (text) => {
      const body = encoder.encode(text)
      for (const type of "QPBCDEFfcHSpX") drained(Codecs.requests(), [typed(type, body)], Messages.describe)
      drained(Codecs.requests(), inPieces(typed("Q", body), 11))
    },
    before: ["", "\0", "a\0a\0"]
  },
  "answers of PostgreSQL": {
    parse: (text) => {
      const body = encoder.encode(text)
      for (const type of "RSKEZNATDC123tvGHWIns") drained(Codecs.backend(), [typed(type, body)], Messages.describe)
      drained(Codecs.clientHandshake, inPieces(encoder.encode(`E${text}`), 11))
    },
    before: ["", "\0\0\0\x0a", "M"]
  },
  "frames of HTTP/2": {
    parse: (text) => {
      const payload = encoder.encode(text)
      for (let type = 0; type <= 10; type++) {
        const frame = new Uint8Array(payload.length + 9)
        new DataView(frame.buffer).setUint32(0, payload.length << 8 | type)
        frame[8] = type === 4 || type === 6 || type === 7 ? 0 : 1
        frame.set(payload, 9)
        drained(Http2.codec({ maxFrameSize: 2 ** 20 }), [frame], Http2.format)
      }
    },
    before: ["", "\0"]
  },
  "many frames of HTTP/2": {
    parse: (text) => {
      // Empty ones: DATA, HEADERS and CONTINUATIONs that go on and on, SETTINGS.
      for (const [first, others] of [[0, 0], [1, 9], [4, 4]] as const) {
        const bytes = new Uint8Array(9 * (text.length >> 2))
        for (let at = 0; at < bytes.length; at += 9) {
          bytes[at + 3] = at === 0 ? first : others
          bytes[at + 8] = first === 4 ? 0 : 1
        }
        drained(Http2.codec({ maxContinuations: Infinity }), [bytes])
        drained(Http2.codec({ maxContinuations: Infinity }), inPieces(bytes, 11))
      }
    },
    pieces: [" "]
  },
  "the preface of HTTP/2": {
    parse: (text) => {
      for (const role of ["client", "server"] as const) {
        const decoder = () => new Starting(role, Http2.codec().decoder())
        decodedBy(Codec.make({ decoder, encode: () => undefined, maxLength: length }))(text)
      }
      return Http2.isPreface(encoder.encode(text))
    },
    before: ["", "PRI * ", "HTTP/1."]
  },
  "a ClientHello": { parse: (text) => Tls.isClientHello(encoder.encode(text)), before: ["", "\x16\x03\x01"] },
  "the name of a server": {
    parse: (text) => [ServerName.parse(text), ServerName.normalized(text), ServerName.find(new Map(), text)],
    before: ["", "fe80::1%", "["]
  },
  "the certificate of a peer": { parse: (text) => signatureHash(encoder.encode(text)), before: ["", "0", "0\x820"] },
  "SQL": {
    parse: answered,
    before: ["", "select ", "select '", "/*", "begin ", "set x to ", "show ", "select a from pg_type where ", "$a$"]
  },
  "a URL of the command": {
    parse: (text) => [Flags.masked(text), PostgresUrl.parse(text), PostgresUrl.problemWithHost(text)],
    before: ["", "postgres://", "postgres://a@h/?", "?require_auth=", "?"]
  }
}

describe.each(Object.entries(parsers))("%s", (_, { before = [""], most = length, parse, pieces = repeated }) => {
  it("costs in proportion to the length of what is repeated", () => {
    const problems: Array<string> = []
    for (const head of before) {
      for (const piece of pieces) {
        for (const tail of endings) {
          const room = (length: number) =>
            Math.floor((length - head.length - tail.length) / encoder.encode(piece).length)
          const problem = excess((length) => parse(head + piece.repeat(room(length)) + tail), most)
          if (problem !== undefined) {
            problems.push(`${JSON.stringify(head + piece)}, ${JSON.stringify(tail)}: ${problem}`)
          }
        }
      }
    }
    expect(problems).toEqual([])
  })
})
