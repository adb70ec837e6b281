/**
 * Protocols of the field as dialogues hold all laws, with nothing told but the dialogue.
 */
import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Laws from "../../src/testing/Laws.ts"
import * as Rung from "../../src/testing/Rung.ts"
import * as Certificates from "../support/certificates/index.ts"
import * as Law from "../support/laws.ts"
import * as Mqtt from "./shapes/mqtt.ts"
import * as Smtp from "./shapes/smtp.ts"
import * as Socks from "./shapes/socks5.ts"

const options = { it: Law.it, rungs: [Rung.pure], runs: 10 }
const password = "correct horse"

describe("SOCKS5", () => {
  const client = Socks.client("ann", password, { host: Uint8Array.of(127, 0, 0, 1), port: 80 })
  Laws.dialogue(Socks.Socks, { ...options, server: Socks.server("ann", password), client })
})

describe("SMTP", () => {
  const server = Smtp.server("ann", password, { role: "server", certificate: Certificates.server })
  const inTls = Smtp.client("ann", password, { role: "client", servername: "localhost", ca: Certificates.root })
  const inClear = Smtp.client("ann", password, undefined)
  Laws.dialogue(Smtp.Mail, { ...options, server, client: inTls, alternatives: [{ client: inClear }] })

  const anyCertificate = (isAllowed: boolean) => {
    const client = Smtp.client("ann", password, { role: "client", servername: "localhost", verify: "none" })
    const rungs = [Rung.pure]
    const { laws } = Laws.dialogue(Smtp.Mail, { server, client, rungs, anyCertificate: isAllowed })
    return Effect.flip(laws[4].parts!.find(({ rank }) => rank === -4)!.check)
  }

  it.effect("a client that takes any certificate is caught", () =>
    Effect.gen(function*() {
      const violation = yield* anyCertificate(false)
      expect(violation.message).toMatch(/law 5.*client[^]*takes any certificate/)
      // Where it may, there is no violation.
      expect(Exit.isFailure(yield* Effect.exit(anyCertificate(true)))).toBe(true)
    }))
})

describe("MQTT", () => {
  Laws.dialogue(Mqtt.Mqtt, { ...options, server: Mqtt.server("ann", password), client: Mqtt.client("ann", password) })
})
