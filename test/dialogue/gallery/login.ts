/** A login in lines, whose sides are written by hand as well: what a dialogue holds by itself, they may forget. */
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Codec from "../../../src/Codec.ts"
import * as Dialogue from "../../../src/Dialogue.ts"
import * as Handshake from "../../../src/Handshake.ts"
import * as HandshakeError from "../../../src/HandshakeError.ts"
import * as Transport from "../../../src/Transport.ts"
import * as Wire from "../../../src/Wire.ts"

export class Login extends Dialogue.make<Login>()({
  name: "login",
  messages: {
    User: { name: Schema.NonEmptyString },
    Password: { password: Schema.Redacted(Schema.String) },
    Ok: {},
    No: {},
    Pardon: {}
  },
  wire: Wire.text(Codec.lines(), {
    User: "USER {name}",
    Password: "PASS {password}",
    Ok: "OK",
    No: "NO",
    Pardon: "WHAT"
  }),
  live: Codec.lines(),
  start: "user",
  states: {
    user: Dialogue.client({ User: "password" }),
    password: Dialogue.client({ Password: "verdict" }),
    verdict: Dialogue.server({ Ok: Dialogue.ready, No: Dialogue.refused({ retryable: false, code: "login" }) })
  },
  otherwise: { server: "Pardon" }
}) {}

export const client = Login.client((user) =>
  Effect.gen(function*() {
    const password = yield* user.say("User", { name: "ann" })
    const verdict = yield* password.say("Password", { password: Redacted.make("sesame open") })
    return (yield* verdict.receive).then
  })
)

export const server = Login.server((user) =>
  Effect.gen(function*() {
    const { message: { name }, then } = yield* user.receive
    const { message: { password }, then: verdict } = yield* then.receive
    if (name !== "ann" || Redacted.value(password) !== "sesame open") return yield* verdict.refuse("No")
    return yield* verdict.say("Ok")
  })
)

const lines = Transport.framed(Codec.lines())

const wrong = new HandshakeError.AuthenticationFailed({ method: "login", detail: "no such login", fault: "peer" })

const pardon = { orReply: "WHAT" }

const unexpected = (expected: string) => new HandshakeError.InvalidGreeting({ expected, received: "something else" })

/** What is written by hand, and what is left out of it. */
export interface Slips {
  readonly user?: RegExp
  readonly pardon?: { readonly orReply: string } | undefined
  readonly isRight?: (name: string, password: string) => boolean
  readonly no?: string | undefined
  readonly ok?: string
  readonly early?: string
  readonly isReadyAnyway?: boolean
  readonly step?: string
}

export const serverByHand = (slips: Slips = {}) => {
  const options = "pardon" in slips ? slips.pardon : pardon
  const told = options === undefined ? {} : options
  const { isRight = (name, password) => name === "ann" && password === "sesame open", no = "NO", ok = "OK" } = slips
  const { user = /^USER (.+)$/, step = "user" } = slips
  return Effect.gen(function*() {
    const transport = yield* lines
    if (slips.early !== undefined) yield* Handshake.send(transport, slips.early)
    const { name, transport: second } = yield* Handshake.receive(transport, step, (line) => {
      const found = user.exec(line)
      return found === null
        ? Effect.fail(unexpected("USER name"))
        : Effect.succeed({ name: found[1] ?? "", transport })
    }, told)
    const { password, transport: third } = yield* Handshake.receive(
      second,
      "password",
      (line) =>
        line.startsWith("PASS ")
          ? Effect.succeed({ password: line.slice(5), transport: second })
          : Effect.fail(unexpected("PASS password")),
      { ...told, secret: true }
    )
    if (isRight(name, password)) return yield* Handshake.send(third, ok, { name: "verdict" })
    if (slips.isReadyAnyway === true) return yield* Handshake.send(third, no, { name: "verdict" })
    if ("no" in slips && slips.no === undefined) {
      return yield* Effect.fail(
        new HandshakeError.HandshakeError({ protocol: "login", step: "verdict", reason: wrong })
      )
    }
    return yield* Handshake.refuse(third, no, wrong)
  }).pipe(Handshake.withRefusal(() => Handshake.refuse(lines, "WHAT")), Handshake.named("login"))
}

/** A client that takes for an answer whatever it is told to. */
export const clientByHand = (isOk: (line: string) => boolean, rejections: ReadonlyArray<string> = ["NO", "WHAT"]) =>
  lines.pipe(
    Handshake.send("USER ann"),
    Handshake.send("PASS sesame open", { secret: true }),
    Handshake.verify(
      "verdict",
      (line) =>
        isOk(line)
          ? Effect.void
          : Effect.fail(
            rejections.includes(line)
              ? new HandshakeError.Rejected({
                by: "peer",
                said: line,
                retryable: false,
                ...(line === "NO" && { code: "login" })
              })
              : unexpected("OK")
          )
    ),
    Handshake.named("login")
  )
