/**
 * What a server logs of connections that have failed, and how loudly.
 */
import { expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { report } from "../../../src/internal/server/report.ts"
import * as Peer from "../../../src/Peer.ts"
import { TlsFailure, type TlsFailureKind, TransportError } from "../../../src/TransportError.ts"

const levelOf = (kind: TlsFailureKind, fault: "peer" | "local") => {
  const levels: Array<string> = []
  const logger = Logger.make<unknown, void>(({ logLevel }) => void levels.push(logLevel))
  const error = new TransportError({ reason: new TlsFailure({ kind, detail: "so it is", fault }) })
  return Effect.as(report(Cause.fail(error), 1, Peer.unknown), levels).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "Debug")
  )
}

it.effect.each(["expired", "unknown-authority", "bad-certificate", "revoked", "bad-record", "protocol"] as const)(
  "what a client says of this side is for those who debug, for anybody may say it: %s",
  (kind) =>
    Effect.gen(function*() {
      expect(yield* levelOf(kind, "local")).toEqual(["Debug"])
    })
)

it.effect.each(["bad-configuration", "unsupported", "no-shared-alpn"] as const)(
  "what this side has found to be wrong here is a warning: %s",
  (kind) =>
    Effect.gen(function*() {
      expect(yield* levelOf(kind, "local")).toEqual(["Warn"])
      expect(yield* levelOf(kind, "peer")).toEqual(["Debug"])
    })
)
