import { describe, expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Body from "../src/Body.ts"
import { ConnectionClosed, TransportError } from "../src/TransportError.ts"

const failed = (reason: Body.Reason) => new Body.BodyError({ reason })

describe("BodyError", () => {
  const cases = [
    [new Body.Aborted({ by: "peer" }), "the peer gave the body up", "peer"],
    [new Body.Aborted({ by: "local" }), "the body was given up on this side", "local"],
    [new Body.Stalled({ after: Body.defaultBodyTimeout }), "nobody has read the body for 10s", "local"],
    [new Body.AlreadyRead(), "the body can be read once, and it was", "local"]
  ] as const

  it.each(cases)("%s says what has happened, and whose mistake it is", (reason, message, fault) => {
    expect(failed(reason).message).toBe(message)
    expect(failed(reason).fault).toBe(fault)
  })

  it.effect.each(cases)("%s survives an encoding", ([reason]) =>
    Effect.gen(function*() {
      const codec = Schema.toCodecJson(Body.BodyError)
      const encoded = JSON.stringify(yield* Schema.encodeEffect(codec)(failed(reason)))
      const decoded = yield* Schema.decodeUnknownEffect(codec)(JSON.parse(encoded))
      expect(decoded).toEqual(failed(reason))
      expect(decoded.message).toBe(failed(reason).message)
    }))

  it.effect("its reasons are caught one by one", () =>
    Effect.gen(function*() {
      const by = yield* Effect.catchReason(
        Effect.fail(failed(new Body.Aborted({ by: "peer" }))),
        "BodyError",
        "Aborted",
        (reason) => Effect.succeed(reason.by)
      )
      expect(by).toBe("peer")
    }))

  it("is told from other errors", () => {
    expect(Body.isBodyError(failed(new Body.AlreadyRead()))).toBe(true)
    expect(Body.isBodyError(new TransportError({ reason: new ConnectionClosed({ by: "peer" }) }))).toBe(false)
    expect(Body.isBodyError(undefined)).toBe(false)
  })
})
