/**
 * The laws of dialogues in which TLS begins.
 */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Codec from "../../src/Codec.ts"
import * as Dialogue from "../../src/Dialogue.ts"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import type * as Transport from "../../src/Transport.ts"
import * as Wire from "../../src/Wire.ts"
import * as Certificates from "../support/certificates/index.ts"

const specified = (texts: Codec.Codec<string, string>) =>
  Dialogue.make<Secure>()({
    name: "secure",
    messages: { StartTls: {}, GoAhead: {}, Hello: {}, Ok: {} },
    wire: Wire.text(texts, { StartTls: "STARTTLS", GoAhead: "GO", Hello: "HELLO", Ok: "OK" }),
    live: Codec.lines(),
    start: "clear",
    states: {
      clear: Dialogue.client({ StartTls: "offered" }),
      offered: Dialogue.server({ GoAhead: Dialogue.encrypted("inside") }),
      inside: Dialogue.client({ Hello: "end" }),
      end: Dialogue.server({ Ok: Dialogue.ready })
    }
  })

class Secure extends specified(Codec.lines()) {}

const server = (dialogue: typeof Secure = Secure) =>
  dialogue.server(Effect.fnUntraced(function*(clear) {
    const securing = yield* (yield* clear.receive).then.say("GoAhead")
    const inside = yield* securing.startTls({ certificate: Certificates.server })
    return yield* (yield* inside.receive).then.say("Ok")
  }))

const client = (verify: Transport.TlsClientOptions["verify"] = "full") =>
  Secure.client(Effect.fnUntraced(function*(clear) {
    const { then: securing } = yield* (yield* clear.say("StartTls")).receive
    const inside = yield* securing.startTls({ servername: "localhost", ca: Certificates.root, verify })
    return (yield* (yield* inside.say("Hello")).receive).then
  }))

/** What is only held where TLS begins: the part of a law with this rank. */
const part = (law: Laws.LawNumber, rank: number, options: Laws.DialogueOptions<any, any>) => {
  const { laws } = Laws.dialogue(Secure, { server: server(), client: client(), rungs: [Rung.pure], ...options })
  return laws[law - 1]!.parts!.find((part) => part.rank === rank)!.check
}

it.effect("a side that takes whatever comes at once for a message is caught", () =>
  Effect.gen(function*() {
    yield* part(1, -9.5, {})
    const hasty = Codec.bytes.pipe(Codec.map({
      decode: (bytes) => new TextDecoder().decode(bytes).replace(/\n$/, ""),
      encode: (text: string) => new TextEncoder().encode(`${text}\n`)
    }))
    const violation = yield* Effect.flip(part(1, -9.5, { server: server(specified(hasty) as never) }))
    assert.match(violation.message, /law 1.*server[^]*in pieces of 1 bytes[^]*failed at step clear/)
  }))

it.effect("a client that takes any certificate is caught, unless it may", () =>
  Effect.gen(function*() {
    yield* part(5, -4, {})
    const violation = yield* Effect.flip(part(5, -4, { client: client("none") }))
    assert.match(violation.message, /law 5.*client[^]*takes any certificate/)
    yield* part(5, -4, { client: client("none"), anyCertificate: true })
  }))

it.effect("a client that takes the certificate of any name is caught, unless it may", () =>
  Effect.gen(function*() {
    const violation = yield* Effect.flip(part(5, -4, { client: client("authority") }))
    assert.match(violation.message, /law 5.*client[^]*takes any certificate of its authority, whatever the name/)
    yield* part(5, -4, { client: client("authority"), anyCertificate: "authority" })
    yield* part(5, -4, { client: client("authority"), anyCertificate: true })
    const none = yield* Effect.flip(part(5, -4, { client: client("none"), anyCertificate: "authority" }))
    assert.match(none.message, /takes any certificate: `verify` is "none"/)
  }))
