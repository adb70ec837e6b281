/**
 * What a server logs of connections that have failed, and how loudly.
 */
import { expect, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { HandshakeError, Rejected } from "../../../src/HandshakeError.ts"
import { report } from "../../../src/internal/server/report.ts"
import * as Peer from "../../../src/Peer.ts"
import { TlsFailure, type TlsFailureKind, TransportError } from "../../../src/TransportError.ts"

const logged = Effect.fnUntraced(function*(error: HandshakeError | TransportError) {
  const seen: Array<string> = []
  const logger = Logger.make<unknown, void>(({ cause, logLevel }) =>
    void seen.push(`${logLevel} ${Cause.pretty(cause).split("\n")[0]}`.trim())
  )
  yield* report(Cause.fail(error), 1, Peer.unknown).pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "All")
  )
  return seen
})

const rejected = { by: "local", said: "no", retryable: true } as const

it.effect("that this side turns a peer away is for those who debug, unless something has gone wrong here", () =>
  Effect.gen(function*() {
    const of = (reason: Rejected) => logged(new HandshakeError({ protocol: "line", step: "a", reason }))
    expect(yield* of(new Rejected(rejected))).toEqual(["Debug"])
    expect(yield* of(new Rejected({ ...rejected, cause: new Error("LDAP is gone") }))).toEqual([
      "Warn Error: LDAP is gone"
    ])
  }))

const ofTls = (kind: TlsFailureKind, fault: "peer" | "local") =>
  logged(new TransportError({ reason: new TlsFailure({ kind, detail: "so it is", fault }) }))

it.effect.each(["expired", "unknown-authority", "bad-certificate", "revoked", "bad-record", "protocol"] as const)(
  "what a client says of this side is for those who debug, for anybody may say it: %s",
  (kind) =>
    Effect.gen(function*() {
      expect(yield* ofTls(kind, "local")).toEqual(["Debug"])
    })
)

it.effect.each(["bad-configuration", "unsupported", "no-shared-alpn"] as const)(
  "what this side has found to be wrong here is a warning: %s",
  (kind) =>
    Effect.gen(function*() {
      expect(yield* ofTls(kind, "local")).toEqual(["Warn"])
      expect(yield* ofTls(kind, "peer")).toEqual(["Debug"])
    })
)
