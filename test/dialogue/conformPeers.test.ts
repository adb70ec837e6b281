/**
 * Servers that nobody here wrote, held to dialogues.
 */
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import { Socket } from "effect/socket/Socket"
import type * as Dialogue from "../../src/Dialogue.ts"
import * as Conform from "../../src/internal/dialogue/conform.ts"
import type * as Given from "../../src/internal/dialogue/given.ts"
import * as Net from "../../src/node/Net.ts"
import * as Peers from "../support/peers.ts"
import { Redis, Strict } from "./shapes/redis.ts"
import { Socks } from "./shapes/socks5.ts"

const conform = ({ dialogue }: Dialogue.Any, port: number, given: Given.Given) =>
  Conform.conform(dialogue, { given, runs: 40, within: "5 seconds", patience: "1 second" }).pipe(
    Effect.provideServiceEffect(Socket, Net.socket({ host: "127.0.0.1", port })),
    Random.withSeed(1)
  )

const missed = ({ transitions }: Conform.Report) =>
  transitions.filter(({ times }) => times === 0).map(({ message, state }) => `${state}: ${message}`)

Peers.describeWith(["redis-server"], "Redis, held to a dialogue", () => {
  const server = Peers.serverOn(
    "redis-server",
    (port) => ["--bind", "127.0.0.1", "--port", `${port}`, "--requirepass", "sesame", "--save", ""]
  )
  const given = new Map([["Auth", { password: Redacted.make("sesame") }]])

  it.live("goes each way, and refuses what is not due; and is caught where more is due than was thought", () =>
    Effect.gen(function*() {
      const { port } = yield* server
      const report = yield* conform(Redis, port, given)
      expect(report.failure).toBeUndefined()
      expect(missed(report)).toEqual([])
      expect(report.ready).toBeGreaterThan(0)
      // Five messages of the server in each of the two states of the client.
      expect(report.undue).toEqual({ refused: 10, untried: 0 })

      const { failure } = yield* conform(Strict, port, given)
      expect(failure).toMatchObject({
        state: "session",
        undue: { message: "Auth", fields: { password: "<redacted>" } },
        due: "a refusal, or the end of the connection",
        came: expect.stringMatching(/WRONGPASS/)
      })
    }))
})

Peers.describeWith(["microsocks"], "microsocks, held to a dialogue", () => {
  it.live("goes each way that its client leads it, in bytes", () =>
    Effect.gen(function*() {
      const { port } = yield* Peers.serverOn(
        "microsocks",
        (port) => ["-i", "127.0.0.1", "-p", `${port}`, "-u", "ann", "-P", "pw"]
      )
      const report = yield* conform(
        Socks,
        port,
        new Map<string, Readonly<Record<string, unknown>>>([
          ["Methods", { methods: [2] }],
          ["Login", { user: "ann", password: Redacted.make("pw") }],
          ["Connect", { host: Uint8Array.of(127, 0, 0, 1), port }]
        ])
      )
      expect(report.failure).toBeUndefined()
      // Of what it need not look at, what is given is said each time: so it finds the method, and whom to connect to.
      expect(missed(report)).toEqual(["method: NoMethod", "reply: Failed"])
      expect(report.undue.refused).toBeGreaterThan(10)
    }))
})
