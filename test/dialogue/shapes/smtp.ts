/** SMTP up to a login (RFC 5321, 3207, 4954), in clear or behind STARTTLS. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import { AuthenticationFailed } from "../../../src/HandshakeError.ts"
import type * as Transport from "../../../src/Transport.ts"
import * as Wire from "../../../src/Wire.ts"

const Text = Dialogue.free(Schema.String)

/** A reply of several lines is one text. */
const replies = Codec.lines({ ending: "\r\n", maxLength: 512 }).pipe(
  Codec.aggregate({ isLast: (line) => line[3] !== "-" }),
  Codec.map({
    decode: (lines) => lines.join("\n"),
    encode: (text: string) => text.split("\n") as [string, ...Array<string>] // there is always one
  })
)

export class Mail extends Dialogue.make<Mail>()({
  name: "smtp",
  messages: {
    Banner: { text: Text },
    Ehlo: { domain: Text },
    StartTls: {},
    GoAhead: { text: Text },
    Auth: { login: Schema.Redacted(Schema.String) },
    Extensions: { text: Text },
    More: { text: Text },
    Welcome: { text: Text },
    WrongLogin: { text: Text },
    BadSequence: { text: Text }
  },
  wire: Wire.text(replies, {
    Banner: "220 {text}",
    Ehlo: "EHLO {domain}",
    StartTls: "STARTTLS",
    GoAhead: "220 {text}",
    Auth: "AUTH PLAIN {login}",
    Extensions: "250 {text}",
    More: "250-{text}",
    Welcome: "235 {text}",
    WrongLogin: "535 {text}",
    BadSequence: "503 {text}"
  }, { ignoreCase: true }),
  live: replies,
  start: "banner",
  states: {
    banner: Dialogue.server({ Banner: "hello" }),
    hello: Dialogue.client({ Ehlo: "extensions" }, { within: "5 minutes" }),
    extensions: Dialogue.server({ More: "open", Extensions: "open" }),
    open: Dialogue.client({ StartTls: "tls", Auth: "verdict" }),
    tls: Dialogue.server({ GoAhead: Dialogue.encrypted("hello") }),
    verdict: Dialogue.server({
      Welcome: Dialogue.ready,
      WrongLogin: Dialogue.refused({ retryable: false, code: "535" })
    })
  },
  otherwise: { server: { _tag: "BadSequence", text: "bad sequence of commands" } }
}) {}

const plain = (user: string, password: string) => Buffer.from(`\0${user}\0${password}`).toString("base64")

export const server = (user: string, password: string, tls: Transport.TlsServerOptions) =>
  Mail.server((banner) =>
    Effect.gen(function*() {
      let hello = yield* banner.say("Banner", { text: "mail.example" })
      for (;;) {
        const extensions = (yield* hello.receive).then
        const text = "mail.example\n250-STARTTLS\n250 AUTH PLAIN"
        const heard = yield* (yield* extensions.say("More", { text })).receive
        if (heard._tag === "StartTls") {
          hello = yield* (yield* heard.then.say("GoAhead", { text: "go ahead" })).startTls(tls)
          continue
        }
        if (Redacted.value(heard.message.login) === plain(user, password)) {
          return yield* heard.then.say("Welcome", { text: "ok" })
        }
        const reason = new AuthenticationFailed({ method: "PLAIN", detail: "no such login", fault: "peer" })
        return yield* heard.then.refuse("WrongLogin", { text: "no such login" }, reason)
      }
    })
  )

/** Where TLS is `optional`, whoever leaves out that it is offered has the password. */
export const client = (
  user: string,
  password: string,
  tls: Transport.TlsClientOptions | undefined,
  optional = false
) =>
  Mail.client((banner) =>
    Effect.gen(function*() {
      let hello = (yield* banner.receive).then
      const { message, then } = yield* (yield* hello.say("Ehlo", { domain: "client.example" })).receive
      let open = then
      if (tls !== undefined && !(optional && !message.text.includes("STARTTLS"))) {
        hello = yield* (yield* (yield* open.say("StartTls")).receive).then.startTls(tls)
        open = (yield* (yield* hello.say("Ehlo", { domain: "client.example" })).receive).then
      }
      return (yield* (yield* open.say("Auth", { login: Redacted.make(plain(user, password)) })).receive).then
    })
  )
