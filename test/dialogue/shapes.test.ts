/**
 * Protocols of the field as dialogues hold all laws, with nothing told but the dialogue.
 */
import { describe } from "@effect/vitest"
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
})

describe("MQTT", () => {
  Laws.dialogue(Mqtt.Mqtt, { ...options, server: Mqtt.server("ann", password), client: Mqtt.client("ann", password) })
})
